//! What GitHub says of a workflow job, as far as we keep it.

use std::sync::Arc;

use crate::id::{JobId, Repository, RunId, RunnerName};
use crate::rules::labels::Labels;

/// What GitHub said of a job, and never changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobFacts {
    pub id: JobId,
    /// The run that it belongs to.
    pub run: RunId,
    /// The run's attempt, from 1.
    pub attempt: u32,
    pub repository: Repository,
    /// The name in GitHub's pages, cut at [`JobFacts::NAME_CHARS`].
    pub name: Arc<str>,
    /// The workflow's name, cut likewise.
    pub workflow: Option<Arc<str>>,
    /// The labels of `runs-on`.
    pub labels: Labels,
}

impl JobFacts {
    /// Characters of a name that are kept.
    pub const NAME_CHARS: usize = 60;

    /// A name, cut to what is kept.
    #[must_use]
    pub fn cut(name: &str) -> Arc<str> {
        match name.char_indices().nth(Self::NAME_CHARS) {
            None => Arc::from(name),
            Some((end, _)) => Arc::from(&name[..end]),
        }
    }
}

/// Which runner executes a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TakenBy {
    /// One whose name follows our grammar.
    Ours(RunnerName),
    /// Somebody else's, or GitHub did not name it.
    Other(Option<Arc<str>>),
}

impl TakenBy {
    /// The runner that GitHub named.
    #[must_use]
    pub fn from_name(name: Option<&str>) -> Self {
        match name.filter(|name| !name.is_empty()) {
            None => Self::Other(None),
            Some(name) => match RunnerName::parse(name) {
                Ok(name) => Self::Ours(name),
                Err(_) => Self::Other(Some(JobFacts::cut(name))),
            },
        }
    }

    /// Its name, where GitHub gave one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Ours(name) => Some(name.as_str()),
            Self::Other(name) => name.as_deref(),
        }
    }

    #[must_use]
    pub fn ours(&self) -> Option<&RunnerName> {
        match self {
            Self::Ours(name) => Some(name),
            Self::Other(_) => None,
        }
    }
}

/// How a job ended, in GitHub's words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Conclusion {
    /// `success`
    Success,
    /// `failure`
    Failure,
    /// `cancelled`
    Cancelled,
    /// `skipped`
    Skipped,
    /// What else GitHub says: `timed_out`, `neutral`, `action_required`, …
    Other(Arc<str>),
}

impl Conclusion {
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "success" => Self::Success,
            "failure" => Self::Failure,
            "cancelled" => Self::Cancelled,
            "skipped" => Self::Skipped,
            other => Self::Other(other.chars().take(40).collect::<String>().into()),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::Other(word) => word,
        }
    }
}
