//! Decides the next effect for a warm task, and applies the answers to our own calls to its record.

use jiff::Timestamp;

use super::{Next, STOP_LIMIT};
use crate::id::TaskId;
use crate::records::runner::{Retry, Task, TaskLeft};
use crate::records::warm::{WarmEnd, WarmEnding, WarmState, WarmTask};
use crate::wire::fault::Fault;

/// One effect, which data in the record makes idempotent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WarmStep {
    /// Start its task.
    RunTask,
    StopTask,
    /// Move it to history.
    Finish,
}

impl WarmTask {
    /// The next step, or when there will be one.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Next<WarmStep> {
        let next = self.next_step(now);
        match self.retry.as_ref().and_then(|retry| retry.waits_until(now)) {
            Some(until) if matches!(next, Next::Now(_)) => Next::At(until),
            _ => next,
        }
    }

    fn next_step(&self, now: Timestamp) -> Next<WarmStep> {
        match &self.state {
            WarmState::Reserved => Next::Now(WarmStep::RunTask),
            // The plan ends the link to a runner once that is gone.
            WarmState::Starting(_) | WarmState::Warm(_) | WarmState::Used(_) => Next::Event,
            WarmState::Ending(ending) => match &ending.task {
                TaskLeft::Unanswered { .. } => Next::Now(WarmStep::RunTask),
                TaskLeft::Running(_) => Next::Now(WarmStep::StopTask),
                TaskLeft::Stopping { since, .. } => {
                    let again = *since + STOP_LIMIT;
                    if now >= again { Next::Now(WarmStep::StopTask) } else { Next::At(again) }
                }
                TaskLeft::Stopped { .. } => Next::Now(WarmStep::Finish),
            },
        }
    }

    /// `RunTask` was accepted.
    #[must_use]
    pub fn task_started(&self, task: TaskId, at: Timestamp) -> Option<Self> {
        let task = Task { id: task, heard: 0 };
        let state = match &self.state {
            WarmState::Reserved => WarmState::Starting(task),
            WarmState::Ending(ending) if matches!(ending.task, TaskLeft::Unanswered { .. }) => {
                WarmState::Ending(WarmEnding { task: TaskLeft::Running(task), ..ending.clone() })
            }
            _ => return None,
        };
        Some(self.with_state(state, at))
    }

    /// `RunTask` was answered without a task, or was not called. A later plan decides again.
    #[must_use]
    pub fn not_started(
        &self,
        kind: WarmEnd,
        fault: Option<Fault>,
        words: String,
        at: Timestamp,
    ) -> Option<Self> {
        let stopped = TaskLeft::Stopped { task: None, at };
        let ending = match &self.state {
            WarmState::Reserved => WarmEnding { kind, words: Some(words), fault, task: stopped },
            WarmState::Ending(ending) if matches!(ending.task, TaskLeft::Unanswered { .. }) => {
                WarmEnding { task: stopped, ..ending.clone() }
            }
            _ => return None,
        };
        Some(self.with_state(WarmState::Ending(ending), at))
    }

    /// A step failed and is retried later.
    #[must_use]
    pub fn failed(&self, retry: Retry) -> Self {
        Self { version: self.version.next(), retry: Some(retry), ..self.clone() }
    }

    /// Its task was asked to stop.
    #[must_use]
    pub fn task_stopping(&self, at: Timestamp) -> Option<Self> {
        let WarmState::Ending(ending) = &self.state else { return None };
        let (TaskLeft::Running(task) | TaskLeft::Stopping { task, .. }) = &ending.task else { return None };
        let task = TaskLeft::Stopping { task: task.clone(), since: at };
        Some(self.with_state(WarmState::Ending(WarmEnding { task, ..ending.clone() }), at))
    }
}
