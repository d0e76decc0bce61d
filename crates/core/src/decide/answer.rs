//! What the answers to our own calls make of a runner's record.
//!
//! Each takes the record as it is *now*: events may have changed it while the
//! call was under way. `None` means that there is nothing to write.

use jiff::Timestamp;

use crate::id::{RunnerId, TaskId};
use crate::reason::Reason;
use crate::records::runner::{
    Custody, Ending, EndingKind, RegistrationLeft, Retry, Runner, RunnerState, Task, TaskLeft,
};
use crate::rules::placement::Placement;

impl Runner {
    /// `RunTask` was accepted.
    #[must_use]
    pub fn task_started(&self, task: TaskId, at: Timestamp) -> Option<Self> {
        let task = Task { id: task, heard: 0 };
        let state = match &self.state {
            RunnerState::Reserved { .. } => RunnerState::Starting { task, custody: Custody::Unissued },
            RunnerState::Ending(ending) if matches!(ending.task, TaskLeft::Unanswered { .. }) => {
                RunnerState::Ending(Ending { task: TaskLeft::Running(task), ..ending.clone() })
            }
            _ => return None,
        };
        Some(self.with_state(state, at))
    }

    /// `RunTask` was answered: there is no task, and the next try is to be made
    /// there and then. For a runner that is to go, the answer ends its tries.
    #[must_use]
    pub fn next_try(&self, placement: Placement, retry: Retry, at: Timestamp) -> Option<Self> {
        match &self.state {
            RunnerState::Reserved { attempt } => Some(Self {
                version: self.version.next(),
                placement,
                retry: Some(retry),
                state: RunnerState::Reserved { attempt: attempt + 1 },
                ..self.clone()
            }),
            _ => self.task_refused(retry.reason, at),
        }
    }

    /// Its first try, which nobody has asked for yet, is to be made elsewhere.
    #[must_use]
    pub fn placed(&self, placement: Placement) -> Self {
        Self { version: self.version.next(), placement, ..self.clone() }
    }

    /// A step failed and is tried again later.
    #[must_use]
    pub fn failed(&self, retry: Retry) -> Self {
        Self { version: self.version.next(), retry: Some(retry), ..self.clone() }
    }

    /// `RunTask` was refused for good: there is no task.
    #[must_use]
    pub fn task_refused(&self, reason: Reason, at: Timestamp) -> Option<Self> {
        let ended = match &self.state {
            RunnerState::Reserved { .. } => self.end(EndingKind::BootFailed, Some(reason), at),
            RunnerState::Ending(ending) if matches!(ending.task, TaskLeft::Unanswered { .. }) => {
                self.with_state(self.state.clone(), at)
            }
            _ => return None,
        };
        let RunnerState::Ending(ending) = ended.state.clone() else { return None };
        // A configuration is made only for a task that was accepted, and the
        // same token would have told of it.
        let registration = RegistrationLeft::Deleted;
        let task = TaskLeft::Stopped { task: None, at };
        Some(Self { state: RunnerState::Ending(Ending { task, registration, ..ending }), ..ended })
    }

    /// The record of a hand-over that is to be committed with its boot item;
    /// `None` where nothing may be handed over any more.
    #[must_use]
    pub fn handed_over(&self, registration: RunnerId, at: Timestamp) -> Option<(Self, TaskId)> {
        let custody = Custody::Issued(registration);
        let (state, task) = match &self.state {
            RunnerState::Starting { task, custody: Custody::Unissued } => {
                (RunnerState::Starting { task: task.clone(), custody }, task)
            }
            RunnerState::Booted { task, custody: Custody::Unissued } => {
                (RunnerState::Booted { task: task.clone(), custody }, task)
            }
            _ => return None,
        };
        Some((self.with_state(state, at), task.id.clone()))
    }

    /// GitHub will not register it: its task, which waits in vain, is to stop.
    #[must_use]
    pub fn not_registered(&self, reason: Reason, at: Timestamp) -> Option<Self> {
        let waits = matches!(
            self.state,
            RunnerState::Starting { custody: Custody::Unissued, .. }
                | RunnerState::Booted { custody: Custody::Unissued, .. }
        );
        waits.then(|| self.end(EndingKind::BootFailed, Some(reason), at))
    }

    /// The boot item came back (or did not, or no answer came: then a task may hold it).
    #[must_use]
    pub fn revoked(&self, given_back: bool, at: Timestamp) -> Option<Self> {
        match &self.state {
            RunnerState::Ending(ending) => match ending.custody {
                Custody::Issued(id) => {
                    let custody = if given_back { Custody::Revoked(id) } else { Custody::Taken(id) };
                    Some(self.with_state(RunnerState::Ending(Ending { custody, ..ending.clone() }), at))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// Its registration is gone.
    #[must_use]
    pub fn registration_deleted(&self, at: Timestamp) -> Option<Self> {
        match &self.state {
            RunnerState::Ending(ending) if ending.registration != RegistrationLeft::Deleted => {
                let registration = RegistrationLeft::Deleted;
                Some(self.with_state(RunnerState::Ending(Ending { registration, ..ending.clone() }), at))
            }
            _ => None,
        }
    }

    /// GitHub says that it runs a job, which nobody has named yet: it lives,
    /// unless its task has stopped or its ending is one that takes the job with it.
    #[must_use]
    pub fn registration_busy(&self, registration: RunnerId, at: Timestamp) -> Option<Self> {
        let task = match &self.state {
            RunnerState::Starting { task, .. } | RunnerState::Booted { task, .. } => task,
            RunnerState::Ending(Ending { kind, task: TaskLeft::Running(task), .. })
                if !kind.overrides_job() && *kind != EndingKind::Completed =>
            {
                task
            }
            _ => return None,
        };
        let state = RunnerState::Busy { task: task.clone(), registration, job: None };
        Some(self.with_state(state, at))
    }

    /// Its task was asked to stop.
    #[must_use]
    pub fn task_stopping(&self, at: Timestamp) -> Option<Self> {
        match &self.state {
            RunnerState::Ending(ending) => match &ending.task {
                TaskLeft::Running(task) | TaskLeft::Stopping { task, .. } => {
                    let task = TaskLeft::Stopping { task: task.clone(), since: at };
                    Some(self.with_state(RunnerState::Ending(Ending { task, ..ending.clone() }), at))
                }
                TaskLeft::Unanswered { .. } | TaskLeft::Stopped { .. } => None,
            },
            _ => None,
        }
    }
}
