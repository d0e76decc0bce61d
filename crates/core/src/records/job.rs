//! Workflow jobs: what is known of one while it is open, and what is kept.

use std::sync::Arc;

use jiff::Timestamp;

use crate::id::{ClassName, JobId, PoolId, Repository, RunId, RunnerName, Version};
use crate::labels::Labels;
use crate::reason::Reason;
use crate::timeline::Timeline;

/// What GitHub said of a job, and never changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobFacts {
    /// GitHub's id.
    pub id: JobId,
    /// The run that it belongs to.
    pub run: RunId,
    /// The run's attempt, from 1.
    pub attempt: u32,
    /// The repository.
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

/// The stages of a job's time line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobStage {
    /// GitHub waits for an approval.
    Waiting,
    /// It waits for a runner.
    Queued,
    /// A runner executes it.
    InProgress,
    /// It ended.
    Completed,
    /// It is not served here.
    Refused,
}

impl JobStage {
    /// Every stage.
    pub const ALL: [Self; 5] =
        [Self::Waiting, Self::Queued, Self::InProgress, Self::Completed, Self::Refused];

    /// The wire form, pinned.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Refused => "refused",
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

    /// Our runner's name.
    #[must_use]
    pub fn ours(&self) -> Option<&RunnerName> {
        match self {
            Self::Ours(name) => Some(name),
            Self::Other(_) => None,
        }
    }
}

/// Where an admitted job belongs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The class that serves it.
    pub class: ClassName,
    /// The pool whose runners can take it.
    pub pool: PoolId,
}

/// A job that has not ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// What GitHub said of it.
    pub facts: Arc<JobFacts>,
    /// The record's version.
    pub version: Version,
    /// When GitHub made it: the oldest is served first.
    pub created_at: Timestamp,
    /// What it went through.
    pub timeline: Timeline<JobStage>,
    /// When GitHub was last asked about it.
    pub asked_at: Option<Timestamp>,
    /// Where it stands.
    pub state: JobState,
}

/// Where an open job stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobState {
    /// GitHub waits for an approval: no demand yet.
    Waiting,
    /// It waits for a runner, for this reason.
    Queued {
        /// Class and pool.
        place: Place,
        /// Why it still waits.
        wait: Reason,
    },
    /// A runner executes it.
    InProgress {
        /// Class and pool, where it was admitted.
        place: Option<Place>,
        /// Which runner.
        runner: TakenBy,
    },
}

impl Job {
    /// GitHub's id.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.facts.id
    }

    /// Class and pool.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match &self.state {
            JobState::Waiting => None,
            JobState::Queued { place, .. } => Some(place),
            JobState::InProgress { place, .. } => place.as_ref(),
        }
    }

    /// The next version of this record, in another state.
    #[must_use]
    pub fn with_state(&self, state: JobState) -> Self {
        Self { version: self.version.next(), state, ..self.clone() }
    }

    /// The next version of this record, waiting for that reason; `None` where it is not queued.
    #[must_use]
    pub fn waiting_for(&self, reason: &Reason) -> Option<Self> {
        let JobState::Queued { place, .. } = &self.state else { return None };
        Some(self.with_state(JobState::Queued { place: place.clone(), wait: reason.clone() }))
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
    /// GitHub's word.
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

    /// GitHub's word.
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

/// A job that ended, or was refused: history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndedJob {
    /// What GitHub said of it.
    pub facts: Arc<JobFacts>,
    /// The record's version.
    pub version: Version,
    /// When GitHub made it.
    pub created_at: Timestamp,
    /// What it went through.
    pub timeline: Timeline<JobStage>,
    /// Class and pool, where it was admitted.
    pub place: Option<Place>,
    /// How it ended.
    pub ending: JobEnding,
}

/// How a job ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobEnding {
    /// GitHub says so.
    Completed {
        /// The result.
        conclusion: Conclusion,
        /// The runner that executed it.
        runner: TakenBy,
        /// Why it did not succeed, if its runner is the reason.
        reason: Option<Reason>,
    },
    /// It is not served here.
    Refused {
        /// Why.
        reason: Reason,
        /// What GitHub made of it later, and on which runner.
        after: Option<(Conclusion, TakenBy)>,
    },
}

/// What the store has of a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobRecord {
    /// It is open.
    Open(Job),
    /// It is history.
    Ended(EndedJob),
}
