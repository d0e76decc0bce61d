//! The state of a runner: who holds its configuration, and what is left to clean up.

use jiff::Timestamp;

use super::EndingKind;
use crate::id::{JobId, RunnerId, TaskId};
use crate::reason::Reason;
use crate::wire::fault::Fault;

/// The state of an open runner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RunnerState {
    /// It has a slot; `RunTask` may have been called for this attempt.
    Reserved {
        /// The attempt, from 1: a part of the client token.
        attempt: u32,
    },
    /// Its task was accepted.
    Starting {
        task: Task,
        /// Who holds its configuration.
        custody: Custody,
    },
    Booted {
        task: Task,
        /// Who holds its configuration.
        custody: Custody,
    },
    /// It executes a job, or GitHub says that it does.
    Busy {
        task: Task,
        /// GitHub's id of its registration.
        registration: RunnerId,
        /// The job, once a webhook or GitHub has named it.
        job: Option<JobId>,
    },
    /// It has ended, or is to end.
    Ending(Ending),
}

/// A task and its last recorded state change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    pub id: TaskId,
    /// The version of the last recorded event, which increases; older events are dropped.
    pub heard: u64,
}

/// Who holds a runner's just-in-time configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Custody {
    /// No one: none was handed over. One may have been created and lost.
    Unissued,
    /// The boot table, or the task that has taken it since.
    Issued(RunnerId),
    /// No one: the boot item was taken back.
    Revoked(RunnerId),
    Taken(RunnerId),
}

impl Custody {
    /// GitHub's id of the registration, if it is known.
    #[must_use]
    pub fn registration(self) -> Option<RunnerId> {
        match self {
            Self::Unissued => None,
            Self::Issued(id) | Self::Revoked(id) | Self::Taken(id) => Some(id),
        }
    }
}

/// What is left to clean up before a runner is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ending {
    pub kind: EndingKind,
    pub note: Option<Reason>,
    /// What went wrong, if it is more than the job's own failure, until that has been learnt.
    pub fault: Option<Fault>,
    pub served: Served,
    pub task: TaskLeft,
    /// Who holds the configuration; `Issued` means that the boot item may still exist.
    pub custody: Custody,
    pub registration: RegistrationLeft,
}

/// The job that an ending runner executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Served {
    Job(JobId),
    /// A job that GitHub has not named yet.
    Unnamed,
    /// None, as far as is known.
    Nothing,
}

/// What is left of a runner's task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TaskLeft {
    /// `RunTask` may have been called for this attempt, and was not answered.
    Unanswered { attempt: u32 },
    /// It runs, as far as is known.
    Running(Task),
    /// It was asked to stop.
    Stopping { task: Task, since: Timestamp },
    /// It has stopped, or never existed.
    Stopped {
        /// The task, if there was one.
        task: Option<TaskId>,
        /// When that became known.
        at: Timestamp,
    },
}

/// What is left of a registration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegistrationLeft {
    /// It may still exist.
    Unproved,
    /// The agent reported that its job completed; GitHub's webhook has not come yet.
    AgentCompleted,
    /// GitHub reported that the job completed; the agent's report has not come yet.
    JobCompleted,
    Deleted,
}
