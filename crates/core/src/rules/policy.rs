//! Which jobs may run. The policy is checked twice: when a webhook asks for a
//! runner, and in the runner before a job's first step, since GitHub may give a
//! refused job to a runner with the same labels.
//!
//! A policy is a rule of the deployment. It never contains facts of the job that
//! caused a launch, since runners of a pool are interchangeable.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{Account, Organization, ParseIdError, Repository, is_owner};

/// `owner/name`, `owner/*` or `*`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryPattern(String);

impl RepositoryPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    ///
    /// The text is not `owner/name`, `owner/*` or `*`.
    pub fn parse(text: &str) -> Result<Self, ParseIdError> {
        let valid =
            text == "*" || Repository::parse(text).is_ok() || text.strip_suffix("/*").is_some_and(is_owner);
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseIdError::new("repository pattern", text, "`owner/name`, `owner/*` or `*` is expected"))
        }
    }

    /// Returns the repository, if the pattern names exactly one.
    #[must_use]
    pub fn exact(&self) -> Option<Repository> {
        Repository::parse(&self.0).ok()
    }

    /// Returns the owner of all repositories that it matches; `None` for `*`.
    #[must_use]
    pub fn owner(&self) -> Option<Account> {
        let (owner, _) = self.0.split_once('/')?;
        Account::parse(&owner.to_ascii_lowercase()).ok()
    }

    /// Whether it matches only repositories of this organization.
    #[must_use]
    pub fn is_within(&self, organization: &Organization) -> bool {
        self.0.split_once('/').is_some_and(|(owner, _)| owner.eq_ignore_ascii_case(organization.as_str()))
    }

    /// Whether it matches every repository that `other` matches.
    fn covers(&self, other: &Self) -> bool {
        match (self.0.strip_suffix('*'), other.0.strip_suffix('*')) {
            (Some(""), _) => true,
            (_, Some("")) | (None, Some(_)) => false,
            (Some(owner), Some(others)) => owner.eq_ignore_ascii_case(others),
            (_, None) => other.exact().is_some_and(|repository| self.matches(&repository)),
        }
    }

    #[must_use]
    pub fn matches(&self, repository: &Repository) -> bool {
        match self.0.strip_suffix('*') {
            Some("") => true,
            Some(owner) => owner.trim_end_matches('/').eq_ignore_ascii_case(repository.owner()),
            None => self.0.eq_ignore_ascii_case(repository.as_str()),
        }
    }
}

impl fmt::Display for RepositoryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RepositoryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "repository pattern:{}", self.0)
    }
}

impl TryFrom<String> for RepositoryPattern {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, ParseIdError> {
        Self::parse(&text)
    }
}

impl From<RepositoryPattern> for String {
    fn from(pattern: RepositoryPattern) -> String {
        pattern.0
    }
}

/// The deployment's rules on what may run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Repositories whose jobs may run; if the list is empty, none may.
    pub repositories: Vec<RepositoryPattern>,
    /// Whether jobs of public repositories may run. Anyone can open a pull request there.
    #[serde(default)]
    pub public_repositories: bool,
    /// Whether a run whose head is in another repository (a fork's pull request) may run.
    #[serde(default)]
    pub forks: bool,
    /// Names of the events that may start a run; if the list is empty, all may. An event that is named is allowed even if
    /// it does not say whose commit it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
}

/// What is known of a job when it is judged. A webhook contains no event and no head, and neither is judged then. Where
/// the event is known, a fact that it should tell and does not tell is a reason to refuse.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub repository: &'a Repository,
    /// Whether that repository is private or internal.
    pub private: Option<bool>,
    /// The event that started the run, such as `push`.
    pub event: Option<&'a str>,
    /// The repository that the run's head commit is in.
    pub head_repository: Option<&'a Repository>,
}

const SCHEDULE: &str = "schedule";

/// Whose code a run executes, by the event that started it (GitHub's list of events, by the commit that each runs).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A commit of the repository's own: its default branch, or a branch or tag that someone with write access made.
    Own,
    /// The event names a head repository, which may be a fork.
    Head,
    /// A third party can name any commit, a fork's included. So can an event that is not known here.
    Any,
}

impl Source {
    #[must_use]
    pub fn of(event: &str) -> Self {
        match event {
            "push"
            | SCHEDULE
            | "workflow_dispatch"
            | "repository_dispatch"
            | "merge_group"
            | "release"
            | "create"
            | "delete"
            | "issues"
            | "issue_comment"
            | "discussion"
            | "discussion_comment"
            | "label"
            | "milestone"
            | "branch_protection_rule"
            | "check_run"
            | "check_suite"
            | "status"
            | "fork"
            | "gollum"
            | "page_build"
            | "public"
            | "watch" => Self::Own,
            "pull_request"
            | "pull_request_target"
            | "pull_request_review"
            | "pull_request_review_comment"
            | "workflow_run" => Self::Head,
            // `deployment` and `deployment_status` among them.
            _ => Self::Any,
        }
    }
}

/// Why policy refuses a job.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The repository is not on the list.
    #[error("repository `{0}` is not allowed on this deployment")]
    Repository(Repository),
    #[error("repository `{0}` is public, and this deployment refuses public repositories")]
    Public(Repository),
    /// The event should say whether the repository is private.
    #[error(
        "event `{0}` does not say whether its repository is public, and this deployment refuses public repositories"
    )]
    VisibilityUnknown(String),
    /// The head commit is in a fork.
    #[error("the run's head is in the fork `{0}`, and this deployment refuses forks")]
    Fork(Repository),
    /// The head repository has been deleted, or the event does not name it.
    #[error(
        "event `{0}` names no head repository, which may be a fork that is gone, and this deployment refuses forks"
    )]
    HeadGone(String),
    /// The event may be about a commit of a fork.
    #[error(
        "event `{0}` can be about a commit of a fork, and this deployment refuses forks: the setting `events` has to name it"
    )]
    SourceUnknown(String),
    /// The event is not on the list.
    #[error("event `{0}` is not allowed on this deployment")]
    Event(String),
}

impl Policy {
    /// Returns the policy for only those of its repositories that one of `patterns` matches too.
    #[must_use]
    pub fn within(&self, patterns: &[RepositoryPattern]) -> Self {
        let mut repositories = Vec::new();
        for own in &self.repositories {
            // Of two patterns that overlap, one covers the other.
            let narrower = patterns.iter().filter_map(|pattern| {
                if own.covers(pattern) { Some(pattern) } else { pattern.covers(own).then_some(own) }
            });
            repositories.extend(narrower.cloned());
        }
        repositories.dedup();
        Self { repositories, ..self.clone() }
    }

    /// Judges a job by what is known of it.
    ///
    /// # Errors
    ///
    /// A rule refuses it; the first one is returned.
    pub fn judge(&self, job: &Subject<'_>) -> Result<(), Refusal> {
        if !self.repositories.iter().any(|pattern| pattern.matches(job.repository)) {
            return Err(Refusal::Repository(job.repository.clone()));
        }
        if job.private == Some(false) && !self.public_repositories {
            return Err(Refusal::Public(job.repository.clone()));
        }
        if let Some(head) = job.head_repository
            && !self.forks
            && head != job.repository
        {
            return Err(Refusal::Fork(head.clone()));
        }
        job.event.map_or(Ok(()), |event| self.judge_event(event, job))
    }

    fn judge_event(&self, event: &str, job: &Subject<'_>) -> Result<(), Refusal> {
        let is_named = self.events.iter().any(|allowed| allowed == event);
        if !self.events.is_empty() && !is_named {
            return Err(Refusal::Event(event.to_owned()));
        }
        let source = Source::of(event);
        if !self.forks {
            match source {
                Source::Head if job.head_repository.is_none() => {
                    return Err(Refusal::HeadGone(event.to_owned()));
                }
                Source::Any if !is_named => return Err(Refusal::SourceUnknown(event.to_owned())),
                Source::Own | Source::Head | Source::Any => {}
            }
        }
        // The payload of a schedule need not name its repository.
        let should_tell = event != SCHEDULE && !is_named;
        if job.private.is_none() && !self.public_repositories && should_tell {
            return Err(Refusal::VisibilityUnknown(event.to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<RepositoryPattern> {
        texts.iter().map(|text| RepositoryPattern::parse(text).unwrap()).collect()
    }

    fn within(own: &[&str], class: &[&str]) -> Vec<String> {
        let policy = Policy {
            repositories: patterns(own),
            public_repositories: false,
            forks: false,
            events: vec!["push".to_owned()],
        };
        let narrowed = policy.within(&patterns(class));
        assert_eq!(Policy { repositories: policy.repositories.clone(), ..narrowed.clone() }, policy);
        narrowed.repositories.into_iter().map(String::from).collect()
    }

    #[test]
    fn a_narrowed_policy_allows_what_both_lists_allow() {
        assert_eq!(within(&["*"], &["acme/infra"]), ["acme/infra"]);
        assert_eq!(within(&["acme/*"], &["Acme/infra", "other/x"]), ["Acme/infra"]);
        assert_eq!(within(&["acme/infra", "acme/web"], &["ACME/*"]), ["acme/infra", "acme/web"]);
        assert_eq!(within(&["acme/infra"], &["*", "acme/*", "acme/infra"]), ["acme/infra"]);
        assert_eq!(within(&["acme/*"], &["other/*"]), Vec::<String>::new());
        assert_eq!(within(&["acme/app"], &["acme/app2"]), Vec::<String>::new());
    }

    #[test]
    fn narrowing_agrees_with_judging_by_both_lists() {
        let texts = ["*", "acme/*", "acme/app", "acme/web", "other/*", "other/app"];
        for own in texts {
            for class in texts {
                let narrowed =
                    patterns(&within(&[own], &[class]).iter().map(String::as_str).collect::<Vec<_>>());
                for repository in ["acme/app", "Acme/Web", "other/app", "third/app"] {
                    let repository = Repository::parse(repository).unwrap();
                    let matches =
                        |list: &[RepositoryPattern]| list.iter().any(|one| one.matches(&repository));
                    let both = matches(&patterns(&[own])) && matches(&patterns(&[class]));
                    assert_eq!(matches(&narrowed), both, "{own}, {class}: {repository}");
                }
            }
        }
    }

    /// Returns the refusal of a job of `acme/app`, or `runs`.
    fn judged(policy: &Policy, event: &str, head: Option<&str>, private: Option<bool>) -> String {
        let repository = |name: &str| Repository::parse(name).unwrap();
        let (app, head) = (repository("acme/app"), head.map(repository));
        let subject =
            Subject { repository: &app, private, event: Some(event), head_repository: head.as_ref() };
        policy.judge(&subject).map_or_else(|refusal| refusal.to_string(), |()| "runs".to_owned())
    }

    fn policy(forks: bool, events: &[&str]) -> Policy {
        Policy {
            repositories: patterns(&["acme/*"]),
            public_repositories: false,
            forks,
            events: events.iter().map(|event| (*event).to_owned()).collect(),
        }
    }

    #[test]
    fn an_event_that_can_be_about_a_forks_commit_is_refused_unless_forks_are_allowed_or_it_is_named() {
        for event in ["deployment", "deployment_status", "registry_package", "dynamic", "invented"] {
            for head in [None, Some("acme/app")] {
                let told = judged(&policy(false, &[]), event, head, Some(true));
                assert!(
                    told.starts_with(&format!("event `{event}` can be about a commit of a fork")),
                    "{told}"
                );
                assert_eq!(judged(&policy(true, &[]), event, head, Some(true)), "runs", "{event}");
                assert_eq!(
                    judged(&policy(false, &[event, "push"]), event, head, Some(true)),
                    "runs",
                    "{event}"
                );
            }
            let told = judged(&policy(false, &[event]), event, Some("mallory/app"), Some(true));
            assert!(told.contains("the fork `mallory/app`"), "a fork that is known is refused: {told}");
        }
    }

    #[test]
    fn an_event_with_a_head_repository_has_to_name_it_though_it_is_in_the_list() {
        for event in ["pull_request", "pull_request_target", "pull_request_review", "workflow_run"] {
            for policy in [policy(false, &[]), policy(false, &[event])] {
                let told = judged(&policy, event, None, Some(true));
                assert!(told.starts_with(&format!("event `{event}` names no head repository")), "{told}");
                assert_eq!(judged(&policy, event, Some("Acme/App"), Some(true)), "runs", "{event}");
                let told = judged(&policy, event, Some("mallory/app"), Some(true));
                assert!(told.contains("the fork `mallory/app`"), "{told}");
            }
            assert_eq!(judged(&policy(true, &[]), event, None, Some(true)), "runs", "{event}");
        }
    }

    #[test]
    fn an_event_of_the_repositorys_own_code_needs_no_head_repository() {
        for event in [
            "push",
            "schedule",
            "workflow_dispatch",
            "repository_dispatch",
            "merge_group",
            "release",
            "issue_comment",
            "check_run",
        ] {
            assert_eq!(judged(&policy(false, &[]), event, None, Some(true)), "runs", "{event}");
        }
    }

    #[test]
    fn an_event_that_does_not_tell_whether_its_repository_is_public_is_refused_unless_it_is_named() {
        let mut open = policy(false, &[]);
        open.public_repositories = true;
        for event in ["push", "workflow_dispatch", "issue_comment"] {
            let told = judged(&policy(false, &[]), event, None, None);
            assert!(told.starts_with(&format!("event `{event}` does not say whether")), "{told}");
            assert_eq!(judged(&policy(false, &[event]), event, None, None), "runs", "{event}");
            assert_eq!(judged(&open, event, None, None), "runs", "{event}");
        }
        assert_eq!(
            judged(&policy(false, &[]), "schedule", None, None),
            "runs",
            "its payload has no repository"
        );
    }
}
