//! A deployment's settings: one versioned schema, TOML on one machine and JSON
//! in SSM. Loading them does not belong here.

mod entry;

use std::collections::BTreeMap;

use crate::id::{Deployment, Organization, ParseIdError, Repository, RunnerGroupId};
use crate::rules::budget::{Budget, BudgetEntry, BudgetError, Budgets, Usd};
use crate::rules::labels::Labels;
use crate::rules::limits::Limits;
use crate::rules::pace::{Paces, Rate};
use crate::rules::policy::{Policy, RepositoryPattern};
use crate::rules::pool::Scope;
pub use entry::{OnFailureEntry, RegistrationEntry, SettingsEntry};

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Registration {
    /// In the job's repository.
    Repository,
    /// In a runner group of an organization.
    Organization { organization: Organization, group: RunnerGroupId },
}

impl Registration {
    /// Returns the scope in which a runner for this repository's job registers.
    #[must_use]
    pub fn scope(&self, repository: &Repository) -> Scope {
        match self {
            Self::Repository => Scope::Repository(repository.clone()),
            Self::Organization { organization, group } => {
                Scope::Organization { organization: organization.clone(), group: *group }
            }
        }
    }
}

/// Valid settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    pub deployment: Deployment,
    /// Labels without which a job is not ours.
    pub required_labels: Labels,
    pub registration: Registration,
    pub policy: Policy,
    /// Whether GitHub is asked what started a job's run before a launch.
    pub check_runs: bool,
    pub reruns: Reruns,
    pub on_failure: OnFailure,
    pub budgets: Budgets,
    /// GitHub's fee for a minute on a self-hosted runner, in US dollars.
    pub self_hosted_fee: Usd,
    pub limits: Limits,
    /// How fast launches may come.
    pub paces: Paces,
    /// Whether each job's summary gets a note about its runner.
    pub job_summary: bool,
    /// Whether launches are paused.
    pub paused: bool,
}

/// Which jobs are run again if their runner was lost. A class may say otherwise.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Reruns {
    /// Those of all repositories.
    pub all: bool,
    /// Those of these repositories.
    pub repositories: Vec<RepositoryPattern>,
}

/// What becomes of jobs that cannot be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnFailure {
    /// A runner takes the job and fails it with a sentence in its log.
    FailJob {
        /// How long a job waits whose class is unknown, invalid or impossible.
        after_minutes: u32,
    },
    /// It waits until GitHub ends it.
    Wait,
}

impl OnFailure {
    /// Jobs wait this long for a correction of their class, unless the settings say otherwise.
    pub const DEFAULT_MINUTES: u32 = 15;
    /// Jobs can wait this long: GitHub ends them after 24 hours.
    pub const MAX_MINUTES: u32 = 23 * 60;
}

/// A mistake in the settings.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SettingsError {
    /// The schema of another release.
    #[error("version {0} is not known: this release reads version 1")]
    Version(u32),
    /// A malformed value.
    #[error("{key}: {source}")]
    Value { key: &'static str, source: ParseIdError },
    /// A list that must not be empty.
    #[error("{0} is empty: at least one is needed")]
    Empty(&'static str),
    /// A number out of range.
    #[error("{key} is {value}: {expected}")]
    Range {
        key: &'static str,
        value: u32,
        /// What is expected instead.
        expected: &'static str,
    },
    /// The same setting in two places.
    #[error("{0} and {1} mean the same: only one of them is expected")]
    Twice(&'static str, &'static str),
    /// A task would be launched for whatever a stranger proposes.
    #[error(
        "public_repositories is true and check_runs is false: anyone can open a pull request there, so GitHub has to be \
         asked what started a run before a runner is launched: set check_runs to true"
    )]
    UncheckedPublic,
    #[error("limits.max_warm is {max_warm}: at most limits.max_runners is expected, which is {max_runners}")]
    MaxWarm { max_warm: u32, max_runners: u32 },
    /// A mistake in a budget.
    #[error("{of} {source}")]
    Budget { of: String, source: BudgetError },
    #[error("self_hosted_fee is {0}: 0 to 1 US dollar a minute is expected")]
    Fee(String),
    #[error("repository_budgets has {0} entries: at most {max} are expected", max = Budgets::MAX_REPOSITORIES)]
    TooManyBudgets(usize),
    #[error("repository_budgets has `{0}` twice: case makes no difference")]
    BudgetTwice(RepositoryPattern),
    /// A repository of another organization, for which no runner can register.
    #[error("repositories: `{pattern}` is not in the organization `{organization}`, where runners register")]
    OtherOrganization { pattern: RepositoryPattern, organization: Organization },
}

impl Settings {
    /// Checks settings.
    ///
    /// # Errors
    ///
    /// Lists every mistake in them.
    pub fn read(entry: &SettingsEntry) -> Result<Self, Vec<SettingsError>> {
        let mut errors = Vec::new();
        if entry.version != 1 {
            errors.push(SettingsError::Version(entry.version));
        }
        let deployment = Deployment::parse(&entry.deployment)
            .map_err(|source| errors.push(SettingsError::Value { key: "deployment", source }))
            .ok();
        let repositories = patterns_of("repositories", &entry.repositories, &mut errors);
        let rerun_repositories = patterns_of("rerun_repositories", &entry.rerun_repositories, &mut errors);
        let registration = registration_of(&entry.registration, &mut errors);
        if entry.repositories.is_empty() {
            errors.push(SettingsError::Empty("repositories"));
        }
        let required_labels = Labels::new(&entry.required_labels);
        if required_labels.is_empty() {
            errors.push(SettingsError::Empty("required_labels"));
        }
        if let Some(Registration::Organization { organization, .. }) = &registration {
            for pattern in repositories.iter().filter(|pattern| !pattern.is_within(organization)) {
                errors.push(SettingsError::OtherOrganization {
                    pattern: pattern.clone(),
                    organization: organization.clone(),
                });
            }
        }
        if entry.public_repositories && !entry.check_runs {
            errors.push(SettingsError::UncheckedPublic);
        }
        let limits = limits_of(entry, &mut errors);
        check_limits(&limits, &mut errors);
        let on_failure = on_failure_of(entry, &mut errors);
        check_paces(&entry.paces, &mut errors);
        let budgets = budgets_of(entry, &mut errors);
        let fee = entry.self_hosted_fee.unwrap_or_default();
        if !(0.0..=1.0).contains(&fee) {
            errors.push(SettingsError::Fee(fee.to_string()));
        }
        match (deployment, registration) {
            (Some(deployment), Some(registration)) if errors.is_empty() => Ok(Self {
                deployment,
                required_labels,
                registration,
                policy: Policy {
                    repositories,
                    public_repositories: entry.public_repositories,
                    forks: entry.forks,
                    events: entry.events.clone(),
                },
                check_runs: entry.check_runs,
                reruns: Reruns { all: entry.rerun, repositories: rerun_repositories },
                on_failure,
                budgets,
                self_hosted_fee: Usd::of(fee),
                limits,
                paces: entry.paces.clone(),
                job_summary: entry.job_summary,
                paused: entry.paused,
            }),
            _ => Err(errors),
        }
    }
}

fn patterns_of(
    key: &'static str,
    texts: &[String],
    errors: &mut Vec<SettingsError>,
) -> Vec<RepositoryPattern> {
    let mut patterns = Vec::new();
    for text in texts {
        match RepositoryPattern::parse(text) {
            Ok(pattern) => patterns.push(pattern),
            Err(source) => errors.push(SettingsError::Value { key, source }),
        }
    }
    patterns
}

fn registration_of(entry: &RegistrationEntry, errors: &mut Vec<SettingsError>) -> Option<Registration> {
    let RegistrationEntry::Organization { name, group } = entry else {
        return Some(Registration::Repository);
    };
    let group = RunnerGroupId::new(*group);
    match Organization::parse(name) {
        Ok(organization) => Some(Registration::Organization { organization, group }),
        Err(source) => {
            errors.push(SettingsError::Value { key: "registration.organization.name", source });
            None
        }
    }
}

fn on_failure_of(entry: &SettingsEntry, errors: &mut Vec<SettingsError>) -> OnFailure {
    let after_minutes = entry.fail_after_minutes.unwrap_or(OnFailure::DEFAULT_MINUTES);
    if after_minutes > OnFailure::MAX_MINUTES {
        errors.push(SettingsError::Range {
            key: "fail_after_minutes",
            value: after_minutes,
            expected: "at most 1380 is expected, since GitHub ends a queued job after 24 hours",
        });
    }
    match entry.on_failure {
        OnFailureEntry::FailJob => OnFailure::FailJob { after_minutes },
        OnFailureEntry::Wait => OnFailure::Wait,
    }
}

fn budgets_of(entry: &SettingsEntry, errors: &mut Vec<SettingsError>) -> Budgets {
    let mut read = |of: &str, budget: &BudgetEntry| {
        let wrong = |source| SettingsError::Budget { of: of.to_owned(), source };
        Budget::read(budget).map_err(|source| errors.push(wrong(source))).ok()
    };
    let deployment = entry.budget.as_ref().and_then(|budget| read("budget", budget));
    let mut repositories = BTreeMap::new();
    let mut mistakes = Vec::new();
    for (text, budget) in &entry.repository_budgets {
        let budget = read(&format!("repository_budgets: `{text}`"), budget);
        match RepositoryPattern::parse(&text.to_lowercase()) {
            Err(source) => mistakes.push(SettingsError::Value { key: "repository_budgets", source }),
            Ok(pattern) if repositories.contains_key(&pattern) => {
                mistakes.push(SettingsError::BudgetTwice(pattern));
            }
            Ok(pattern) => repositories.extend(budget.map(|budget| (pattern, budget))),
        }
    }
    errors.extend(mistakes);
    let count = entry.repository_budgets.len();
    if count > Budgets::MAX_REPOSITORIES {
        errors.push(SettingsError::TooManyBudgets(count));
    }
    Budgets { deployment, repositories }
}

/// Returns the limits, including the one that may also be set at the top level.
fn limits_of(entry: &SettingsEntry, errors: &mut Vec<SettingsError>) -> Limits {
    if entry.limits.hook_limit_secs.is_some() && entry.hook_limit_secs.is_some() {
        errors.push(SettingsError::Twice("limits.hook_limit_secs", "hook_limit_secs"));
    }
    Limits { hook_limit_secs: entry.hook_limit_secs.or(entry.limits.hook_limit_secs), ..entry.limits.clone() }
}

fn check_limits(limits: &Limits, errors: &mut Vec<SettingsError>) {
    let mut least = |key, value: u32, least: u32, expected| {
        if value < least {
            errors.push(SettingsError::Range { key, value, expected });
        }
    };
    least("limits.max_runners", limits.max_runners, 1, "at least 1 is expected");
    least("limits.max_job_minutes", limits.max_job_minutes, 1, "at least 1 is expected");
    least("limits.boot_limit_secs", limits.boot_limit_secs, 10, "at least 10 is expected");
    least("limits.connect_limit_secs", limits.connect_limit_secs, 10, "at least 10 is expected");
    least(
        "limits.idle_limit_secs",
        limits.idle_limit_secs,
        Limits::LEAST_IDLE_SECS,
        "at least 600 is expected: a shorter one would end runners while a job is on its way",
    );
    let hook_limit_secs = limits.hook_limit_secs();
    least("limits.hook_limit_secs", hook_limit_secs, 10, "at least 10 is expected");
    if let Some(most) = limits.max_runners_per_repository {
        least("limits.max_runners_per_repository", most, 1, "at least 1 is expected");
    }
    let Limits { max_warm, max_runners, .. } = *limits;
    if max_warm > max_runners {
        errors.push(SettingsError::MaxWarm { max_warm, max_runners });
    }
    let mut most = |key, value: u32, most: u32, expected| {
        if value > most {
            errors.push(SettingsError::Range { key, value, expected });
        }
    };
    most(
        "limits.max_job_minutes",
        limits.max_job_minutes,
        Limits::MAX_JOB_MINUTES,
        "at most 7200 is expected: GitHub ends a job after five days",
    );
    most("limits.boot_limit_secs", limits.boot_limit_secs, 3600, "at most 3600 is expected");
    most("limits.connect_limit_secs", limits.connect_limit_secs, 3600, "at most 3600 is expected");
    most("limits.idle_limit_secs", limits.idle_limit_secs, 86_400, "at most 86400 is expected");
    most("limits.hook_limit_secs", hook_limit_secs, 3600, "at most 3600 is expected");
}

fn check_paces(paces: &Paces, errors: &mut Vec<SettingsError>) {
    let keys = [
        ("paces.github.burst", "paces.github.per_minute"),
        ("paces.fargate.burst", "paces.fargate.per_minute"),
    ];
    for ((burst, per_minute), rate) in keys.into_iter().zip([paces.github, paces.fargate]) {
        let Rate { burst: bursts, per_minute: minutes } = rate;
        for (key, value) in [(burst, bursts), (per_minute, minutes)] {
            if !(1..=60_000).contains(&value) {
                errors.push(SettingsError::Range { key, value, expected: "1 to 60000 is expected" });
            }
        }
    }
}

#[cfg(test)]
mod tests;
