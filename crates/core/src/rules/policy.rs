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
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// Names of the events that may start a run; if the list is empty, all may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
}

/// What is known of a job when it is judged. Unknown facts are not judged: a
/// webhook contains no event or head, and a runner's event file no labels.
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

/// Why policy refuses a job.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The repository is not on the list.
    #[error("repository `{0}` is not allowed on this deployment")]
    Repository(Repository),
    #[error("repository `{0}` is public, and this deployment refuses public repositories")]
    Public(Repository),
    /// The head commit is in a fork.
    #[error("the run's head is in the fork `{0}`, and this deployment refuses forks")]
    Fork(Repository),
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
        if let Some(event) = job.event
            && !self.events.is_empty()
            && !self.events.iter().any(|allowed| allowed == event)
        {
            return Err(Refusal::Event(event.to_owned()));
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
}
