//! Jobs that failed because their runner was lost, on their way to another attempt.
//!
//! All of these are open records, so any process that plans next knows them. Two
//! kinds are facts, each written in one transaction with its cause. The third is an
//! intent, which [`crate::decide::rerun`] derives from both.

use std::sync::Arc;

use jiff::Timestamp;

use crate::id::{ClassName, JobId, Repository, RunId, RunnerName};
use crate::reason::Reason;

/// The key of a record about a rerun.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum RerunKey {
    Loss(RunnerName),
    Outcome(JobId),
    Rerun(RerunId),
}

/// A job across the attempts of its run: each attempt's job has an id of its own.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RerunId {
    pub repository: Repository,
    pub run: RunId,
    /// The name of the job, cut as in its facts.
    pub name: Arc<str>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RerunRecord {
    Loss(Loss),
    Outcome(Outcome),
    Rerun(Rerun),
}

/// A runner that may have executed a job, and that was lost through no fault of the job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loss {
    pub runner: RunnerName,
    /// The job, if its runner's record names one.
    pub job: Option<JobId>,
    pub cause: Reason,
    pub at: Timestamp,
}

/// A job that ended, and that could be run again if its runner was lost. Also each
/// job of a later attempt, since its end ends the rerun.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    pub id: RerunId,
    pub job: JobId,
    /// The run's attempt, from 1.
    pub attempt: u32,
    pub class: Option<ClassName>,
    /// The runner that executed it, if it is one of ours.
    pub runner: Option<RunnerName>,
    /// Whether GitHub shows it as failed, and not as cancelled or timed out.
    pub failed: bool,
    pub at: Timestamp,
}

/// A job that is to be run again, or has been.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rerun {
    pub id: RerunId,
    /// The job of the latest attempt that was lost.
    pub job: JobId,
    pub class: Option<ClassName>,
    /// The latest attempt of the run that is known: the lost job's, or one that was
    /// made here. A newer one was made by someone else.
    pub latest: u32,
    /// The latest attempt of the run that was made here for this job; 0 if there is none.
    pub made: u32,
    /// How often GitHub was asked to run it again. Counted before the call.
    pub times: u32,
    /// Why it was lost.
    pub cause: Reason,
    pub state: RerunState,
    /// How often in a row the next step had to wait, or was refused.
    pub checks: u32,
    /// How often in a row GitHub refused it.
    pub refusals: u32,
    /// When the next step may be tried.
    pub not_before: Timestamp,
    /// When this state was reached.
    pub since: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RerunState {
    /// Its run has to end first.
    Wanted,
    /// GitHub is asked for the attempt after `latest`; the answer is not known.
    Called,
    /// The attempt `latest` was made, and runs.
    Made,
    /// It was lost once more than it may be run again.
    Spent,
    /// Nothing more is done. It is kept while other lost jobs of its run have to know the attempts that were made here.
    Over,
}

impl RerunRecord {
    #[must_use]
    pub fn key(&self) -> RerunKey {
        match self {
            Self::Loss(loss) => RerunKey::Loss(loss.runner.clone()),
            Self::Outcome(outcome) => RerunKey::Outcome(outcome.job),
            Self::Rerun(rerun) => RerunKey::Rerun(rerun.id.clone()),
        }
    }
}
