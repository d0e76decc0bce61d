//! Applies the answers to our own calls to a runner's record.
//!
//! Each function takes the *present* record, which events may have changed during
//! the call. `None` means that there is nothing to write.

use jiff::Timestamp;

use crate::id::{RunnerId, TaskId};
use crate::reason::Reason;
use crate::records::runner::{
    Custody, Ending, EndingKind, RegistrationLeft, Retry, Runner, RunnerState, Task, TaskLeft,
};
use crate::rules::placement::Placement;
use crate::wire::fault::Fault;

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

    /// `RunTask` was answered without a task. The next attempt uses this placement, at
    /// the time in `retry`. A runner that is ending makes no further attempt.
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
            _ => self.task_refused(Fault::NoCapacity, retry.reason, at),
        }
    }

    /// Its next attempt, which has not been made yet, gets another placement.
    #[must_use]
    pub fn placed(&self, placement: Placement) -> Self {
        Self { version: self.version.next(), placement, ..self.clone() }
    }

    /// A step failed and is retried later.
    #[must_use]
    pub fn failed(&self, retry: Retry) -> Self {
        Self { version: self.version.next(), retry: Some(retry), ..self.clone() }
    }

    /// `RunTask` was refused permanently: there is no task.
    #[must_use]
    pub fn task_refused(&self, fault: Fault, reason: Reason, at: Timestamp) -> Option<Self> {
        let ended = match &self.state {
            RunnerState::Reserved { .. } => {
                self.end(EndingKind::BootFailed, Some(reason), at).for_fault(Some(fault))
            }
            RunnerState::Ending(ending) if matches!(ending.task, TaskLeft::Unanswered { .. }) => {
                self.with_state(self.state.clone(), at)
            }
            _ => return None,
        };
        let RunnerState::Ending(ending) = ended.state.clone() else { return None };
        // A configuration is created only for an accepted task, and with the same
        // client token `RunTask` would have returned that task.
        let registration = RegistrationLeft::Deleted;
        let task = TaskLeft::Stopped { task: None, at };
        Some(Self { state: RunnerState::Ending(Ending { task, registration, ..ending }), ..ended })
    }

    /// Returns the record to commit together with the boot item of a hand-over;
    /// `None` if nothing may be handed over any more.
    #[must_use]
    pub fn handed_over(&self, registration: RunnerId, at: Timestamp) -> Option<(Self, TaskId)> {
        if self.lacks_instance() {
            return None;
        }
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

    /// It is not launched, or not again: every attempt was answered without a task. A later plan decides again.
    #[must_use]
    pub fn withdrawn(&self, reason: Reason, at: Timestamp) -> Option<Self> {
        let RunnerState::Reserved { .. } = &self.state else { return None };
        let ended = self.end(EndingKind::Withdrawn, Some(reason), at);
        let RunnerState::Ending(ending) = ended.state.clone() else { return None };
        let (task, registration) = (TaskLeft::Stopped { task: None, at }, RegistrationLeft::Deleted);
        Some(Self { state: RunnerState::Ending(Ending { task, registration, ..ending }), ..ended })
    }

    /// GitHub does not register it: its task has nothing to wait for and is to stop.
    #[must_use]
    pub fn not_registered(&self, fault: Fault, reason: Reason, at: Timestamp) -> Option<Self> {
        let waits = matches!(
            self.state,
            RunnerState::Starting { custody: Custody::Unissued, .. }
                | RunnerState::Booted { custody: Custody::Unissued, .. }
        );
        waits.then(|| self.end(EndingKind::BootFailed, Some(reason), at).for_fault(Some(fault)))
    }

    /// The boot item was taken back if `given_back`. Otherwise a task may hold it.
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

    /// GitHub says that it runs a job, which is not known yet. It becomes busy, unless
    /// its task has stopped or its ending also ends the job.
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
