//! A deployment's settings: one versioned schema, TOML on one machine and JSON
//! in SSM. Loading them does not belong here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{Deployment, Organization, ParseIdError, Repository, RunnerGroupId};
use crate::rules::budget::{Budget, BudgetEntry, BudgetError, Budgets, Usd};
use crate::rules::labels::Labels;
use crate::rules::limits::Limits;
use crate::rules::pace::{Paces, Rate};
use crate::rules::policy::{Policy, RepositoryPattern};
use crate::rules::pool::Scope;

/// The settings as they are written, unchecked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsEntry {
    /// The schema's version, which must be 1.
    pub version: u32,
    pub deployment: String,
    /// Repositories whose jobs may run: `owner/name`, `owner/*` or `*`.
    pub repositories: Vec<String>,
    /// Labels without which a job is not ours.
    #[serde(default = "self_hosted")]
    pub required_labels: Vec<String>,
    /// Whether jobs of public repositories may run.
    #[serde(default)]
    pub public_repositories: bool,
    /// Whether runs whose head is in a fork may run.
    #[serde(default)]
    pub forks: bool,
    /// Events that may start a run; if empty, all may.
    #[serde(default)]
    pub events: Vec<String>,
    /// Whether GitHub is asked what started a job's run before a runner is
    /// launched, which costs one more call for each job. Without it, `forks` and
    /// `events` are still checked in the runner, before the first step.
    #[serde(default)]
    pub check_runs: bool,
    /// Whether jobs whose runner was lost are run again, which needs *Actions: write*.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rerun: bool,
    /// Repositories whose jobs are run again even without `rerun`: `owner/name`, `owner/*` or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rerun_repositories: Vec<String>,
    /// What becomes of jobs that cannot be served.
    #[serde(default, skip_serializing_if = "OnFailureEntry::is_default")]
    pub on_failure: OnFailureEntry,
    /// Minutes after which a job is failed whose class is unknown, invalid or impossible; default 15.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_after_minutes: Option<u32>,
    /// What the deployment may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetEntry>,
    /// What repositories may cost, by `owner/name`, `owner/*` or `*`: one budget for all that match.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub repository_budgets: BTreeMap<String, BudgetEntry>,
    /// GitHub's fee for a minute on a self-hosted runner in US dollars; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_hosted_fee: Option<f64>,
    #[serde(default)]
    pub registration: RegistrationEntry,
    #[serde(default)]
    pub limits: Limits,
    /// The same as `limits.hook_limit_secs`; only one of the two may be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook_limit_secs: Option<u32>,
    /// How fast launches may come.
    #[serde(default)]
    pub paces: Paces,
    /// Whether each job's summary gets a note about its runner.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub job_summary: bool,
    /// Whether launches are paused.
    #[serde(default)]
    pub paused: bool,
}

fn self_hosted() -> Vec<String> {
    vec!["self-hosted".to_owned()]
}

/// What becomes of jobs that cannot be served, unchecked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailureEntry {
    /// A runner takes the job and fails it with a sentence in its log.
    #[default]
    FailJob,
    /// It waits until GitHub ends it.
    Wait,
}

impl OnFailureEntry {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Where runners register, unchecked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationEntry {
    /// In the job's repository: no other repository's job can take the runner.
    #[default]
    Repository,
    /// In a runner group of an organization.
    Organization {
        name: String,
        /// The group's id; 1 is the default group.
        group: u64,
    },
}

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
    /// GitHub's fee for a minute on a self-hosted runner.
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
        let mut value = |key, source| errors.push(SettingsError::Value { key, source });
        let deployment = Deployment::parse(&entry.deployment).map_err(|e| value("deployment", e)).ok();
        let mut repositories = Vec::new();
        for text in &entry.repositories {
            match RepositoryPattern::parse(text) {
                Ok(pattern) => repositories.push(pattern),
                Err(source) => value("repositories", source),
            }
        }
        let mut reruns = Reruns { all: entry.rerun, repositories: Vec::new() };
        for text in &entry.rerun_repositories {
            match RepositoryPattern::parse(text) {
                Ok(pattern) => reruns.repositories.push(pattern),
                Err(source) => value("rerun_repositories", source),
            }
        }
        let registration = match &entry.registration {
            RegistrationEntry::Repository => Some(Registration::Repository),
            RegistrationEntry::Organization { name, group } => Organization::parse(name)
                .map_err(|e| value("registration.organization.name", e))
                .ok()
                .map(|organization| Registration::Organization {
                    organization,
                    group: RunnerGroupId::new(*group),
                }),
        };
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
                reruns,
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
mod tests {
    use super::*;

    fn entry(json: &str) -> SettingsEntry {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_deployment_and_its_repositories_are_enough() {
        let settings =
            Settings::read(&entry(r#"{"version": 1, "deployment": "ci", "repositories": ["acme/*"]}"#))
                .unwrap();
        assert_eq!(settings.registration, Registration::Repository);
        assert_eq!(settings.limits.max_runners, 50);
        assert_eq!(settings.limits.max_job_minutes, 360);
        assert!(!settings.policy.public_repositories);
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let errors = Settings::read(&entry(
            r#"{"version": 2, "deployment": "CI!", "repositories": ["acme"], "required_labels": [],
                "limits": {"max_runners": 0, "idle_limit_secs": 5}}"#,
        ))
        .unwrap_err();
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 6, "{told:#?}");
        assert!(told.iter().any(|e| e.starts_with("limits.idle_limit_secs is 5")));
    }

    #[test]
    fn warm_tasks_are_runners_so_there_are_at_most_as_many() {
        let read = |limits: &str| {
            Settings::read(&entry(&format!(
                r#"{{"version": 1, "deployment": "ci", "repositories": ["*"], "limits": {{{limits}}}}}"#
            )))
            .map(|settings| settings.limits.max_warm)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        };
        assert_eq!(read(""), Ok(0));
        assert_eq!(read(r#""max_warm": 50"#), Ok(50));
        let terraform = include_str!("../../../../terraform/modules/parameters/variables.tf");
        let usual = format!("coalesce(var.settings.limits.max_runners, {})", Limits::default().max_runners);
        assert!(terraform.contains(&usual), "{usual}");
        let told = read(r#""max_warm": 4, "max_runners": 3"#).unwrap_err();
        assert_eq!(told, "limits.max_warm is 4: at most limits.max_runners is expected, which is 3");
    }

    #[test]
    fn public_repositories_need_a_check_of_each_run_before_a_launch() {
        let read = |keys: &str| {
            let text = format!(r#"{{"version": 1, "deployment": "ci", "repositories": ["acme/*"]{keys}}}"#);
            Settings::read(&entry(&text)).map(|settings| settings.policy.public_repositories)
        };
        assert_eq!(read(r#", "public_repositories": true"#), Err(vec![SettingsError::UncheckedPublic]));
        assert_eq!(read(r#", "public_repositories": true, "check_runs": true"#), Ok(true));
        assert_eq!(read(r#", "check_runs": true"#), Ok(false));
        let told = SettingsError::UncheckedPublic.to_string();
        assert!(told.ends_with("before a runner is launched: set check_runs to true"), "{told}");
    }

    #[test]
    fn the_hook_limit_may_stand_in_limits_or_at_the_top_level_and_not_in_both() {
        let read = |limits: &str, top: &str| {
            Settings::read(&entry(&format!(
                r#"{{"version": 1, "deployment": "ci", "repositories": ["*"], "limits": {{{limits}}}{top}}}"#
            )))
            .map(|settings| settings.limits.hook_limit_secs())
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        };
        assert_eq!(read("", ""), Ok(300));
        assert_eq!(read(r#""hook_limit_secs": 60"#, ""), Ok(60));
        assert_eq!(read("", r#", "hook_limit_secs": 60"#), Ok(60));
        let twice = read(r#""hook_limit_secs": 60"#, r#", "hook_limit_secs": 60"#);
        let text = "limits.hook_limit_secs and hook_limit_secs mean the same: only one of them is expected";
        assert_eq!(twice, Err(text.to_owned()));
        for (secs, expected) in [(9, "at least 10"), (3601, "at most 3600")] {
            let told = read(&format!(r#""hook_limit_secs": {secs}"#), "").unwrap_err();
            assert_eq!(told, format!("limits.hook_limit_secs is {secs}: {expected} is expected"));
        }
    }

    #[test]
    fn reruns_are_off_unless_they_are_asked_for() {
        let read = |keys: &str| {
            Settings::read(&entry(&format!(
                r#"{{"version": 1, "deployment": "ci", "repositories": ["acme/*"]{keys}}}"#
            )))
            .map(|settings| settings.reruns)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        };
        assert_eq!(read(""), Ok(Reruns::default()));
        assert!(read(r#", "rerun": true"#).unwrap().all);
        let some = read(r#", "rerun_repositories": ["acme/app", "acme/*"]"#).unwrap();
        assert_eq!((some.all, some.repositories.len()), (false, 2));
        let told = read(r#", "rerun_repositories": ["acme"]"#).unwrap_err();
        let text = "rerun_repositories: repository pattern `acme` is not valid: `owner/name`, `owner/*` or `*` is expected";
        assert_eq!(told, text);
    }

    #[test]
    fn jobs_that_cannot_be_served_fail_after_fifteen_minutes_unless_they_are_to_wait() {
        let read = |keys: &str| {
            Settings::read(&entry(&format!(
                r#"{{"version": 1, "deployment": "ci", "repositories": ["acme/*"]{keys}}}"#
            )))
            .map(|settings| settings.on_failure)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        };
        assert_eq!(read(""), Ok(OnFailure::FailJob { after_minutes: 15 }));
        let hour = r#", "on_failure": "fail_job", "fail_after_minutes": 60"#;
        assert_eq!(read(hour), Ok(OnFailure::FailJob { after_minutes: 60 }));
        assert_eq!(read(r#", "on_failure": "wait""#), Ok(OnFailure::Wait));
        let told = read(r#", "fail_after_minutes": 1381"#).unwrap_err();
        let text = "fail_after_minutes is 1381: at most 1380 is expected, since GitHub ends a queued job after 24 hours";
        assert_eq!(told, text);
    }

    #[test]
    fn an_organization_serves_its_own_repositories_only() {
        let errors = Settings::read(&entry(
            r#"{"version": 1, "deployment": "ci", "repositories": ["acme/*", "other/x", "*"],
                "registration": {"organization": {"name": "Acme", "group": 3}}}"#,
        ))
        .unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
    }
}
