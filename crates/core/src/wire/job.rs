//! GitHub's data about a workflow job that ecsrunner keeps.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{JobId, Repository, RunId, RunnerName};
use crate::rules::labels::Labels;

/// GitHub's facts about a job that never change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobFacts {
    pub id: JobId,
    pub run: RunId,
    /// The run's attempt, from 1.
    pub attempt: u32,
    pub repository: Repository,
    /// The name that GitHub shows, cut at [`JobFacts::NAME_CHARS`].
    pub name: Arc<str>,
    /// The workflow's name, cut in the same way.
    pub workflow: Option<Arc<str>>,
    /// The labels of `runs-on`.
    pub labels: Labels,
}

impl JobFacts {
    /// How many characters of a name are kept.
    pub const NAME_CHARS: usize = 60;

    /// Cuts a name to [`JobFacts::NAME_CHARS`].
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
    /// A runner whose name follows our grammar.
    Ours(RunnerName),
    /// A foreign runner, or one that GitHub did not name.
    Other(Option<Arc<str>>),
}

impl TakenBy {
    /// Reads the runner name that GitHub gave.
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

    /// Its name, if GitHub gave one.
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
    /// Any other conclusion: `timed_out`, `neutral`, `action_required`, …
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

impl Serialize for Conclusion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Conclusion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}

impl fmt::Display for Conclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A job's status in GitHub's API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobStatus {
    /// `queued`
    Queued,
    /// `requested`: GitHub has not queued it yet.
    Requested,
    /// `pending`: a concurrency group holds it.
    Pending,
    /// `waiting`: a deployment approval is missing.
    Waiting,
    /// `in_progress`
    InProgress,
    /// `completed`
    Completed,
    /// A status that GitHub added later.
    Other(Arc<str>),
}

impl JobStatus {
    #[must_use]
    pub fn parse(word: &str) -> Self {
        let known =
            [Self::Queued, Self::Requested, Self::Pending, Self::Waiting, Self::InProgress, Self::Completed];
        let other = || Self::Other(word.chars().take(40).collect::<String>().into());
        known.into_iter().find(|status| status.as_str() == word).unwrap_or_else(other)
    }

    /// GitHub's word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Queued => "queued",
            Self::Requested => "requested",
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Other(word) => word,
        }
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for JobStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
