//! Steps of the world that are due at a time.

use ecsrunner_core::id::JobId;
use ecsrunner_core::wire::event::TaskEvent;

use super::fleet::TaskNumber;

#[derive(Debug)]
pub(super) enum Happening {
    /// The next job is queued.
    Queue,
    /// GitHub looks for a runner for a queued job.
    Assign(JobId),
    /// A step of a task. It is dropped if the task has had another turn since.
    Task { task: TaskNumber, turn: u32, step: TaskStep },
    /// An event has reached the function, which is invoked.
    Invoke(Input),
}

/// A step of a task, of its container, or of the agent in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TaskStep {
    /// Its container starts.
    Run,
    /// The agent asks for its boot item.
    Boot,
    /// The listener is connected.
    Connect,
    /// GitHub looks for a job for the idle listener.
    Assign,
    /// The listener has waited for a job as long as it may, or its registration was deleted.
    GiveUp,
    /// Its job ends.
    EndJob,
    /// The listener ends after its job.
    Leave,
    /// It has stopped.
    Stop,
}

/// The event of an invocation.
#[derive(Debug)]
pub(super) enum Input {
    /// A webhook about a job.
    Webhook { job: JobId, action: Action },
    /// A task's state change.
    Task(Box<TaskEvent>),
    /// A kick that was posted.
    Kick,
    /// The sweep of each minute.
    Sweep,
}

/// The action of a webhook.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    Queued,
    InProgress,
    Completed,
}
