//! The port to the service that runs tasks: ECS, or processes on one machine.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use ecsrunner_core::decide::sweep::SeenTask;
use ecsrunner_core::id::{HostId, InstanceId, TaskId, TaskName};
use ecsrunner_core::records::task::TaskFacts;
use ecsrunner_core::rules::placement::Placement;

use super::Disposition;

/// A service that runs one task for each runner.
pub trait Compute: Send + Sync {
    /// Starts a task. The order's token makes the call idempotent: for
    /// the same token, the service returns the same task.
    fn run_task(&self, order: &TaskOrder<'_>) -> impl Future<Output = Result<TaskId, ComputeError>> + Send;

    /// Stops a task. A task that has stopped or is unknown is no error.
    fn stop_task(&self, task: &TaskId, reason: &str)
    -> impl Future<Output = Result<(), ComputeError>> + Send;

    /// Lists the deployment's tasks, including those that stopped recently.
    fn tasks(&self) -> impl Future<Output = Result<Vec<SeenTask>, ComputeError>> + Send;

    /// Returns the EC2 instance that an instance of ECS is. The service vouches for it. `None` if the service knows no such
    /// instance of this placement's capacity provider.
    fn host_of(
        &self,
        instance: &InstanceId,
        placement: &Placement,
    ) -> impl Future<Output = Result<Option<HostId>, ComputeError>> + Send;

    /// Has no more tasks placed on an instance. An instance that is gone, or about to go, is no error.
    fn drain(&self, instance: &InstanceId) -> impl Future<Output = Result<(), ComputeError>> + Send;
}

/// One attempt to start a task. It is recorded before the call.
#[derive(Clone, Debug)]
pub struct TaskOrder<'a> {
    pub task: &'a TaskFacts,
    pub placement: &'a Placement,
    pub token: ClientToken,
}

/// An idempotency token, `<the ulid of its name>-<attempt>`, of at most 64 characters.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ClientToken(String);

impl ClientToken {
    #[must_use]
    pub fn new(name: &TaskName, attempt: u32) -> Self {
        Self(format!("{}-{attempt}", name.ulid()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why tasks could not be started, stopped or listed.
#[derive(Debug, thiserror::Error)]
pub enum ComputeError {
    /// No answer. The task may have been started; a call with the same token finds out.
    #[error("no answer to {operation}")]
    Unanswered {
        operation: &'static str,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The token is already used, and no task is known for it. Its answer was
    /// lost, or the earlier call is still in progress.
    #[error("{message}")]
    TokenSpent {
        /// The service's message.
        message: String,
    },
    /// No task was started: the placement has no capacity, or a quota is used up.
    /// The same token would return the same answer.
    #[error("{message}")]
    NoCapacity {
        /// The service's message.
        message: String,
    },
    /// No task was started: too many requests.
    #[error("{message}")]
    Throttled {
        /// The service's message.
        message: String,
        /// How long to wait, if the service gave a time.
        after: Option<Duration>,
    },
    /// The request cannot be made now, and nothing was sent: what it needs has been removed or changed since it was
    /// decided. An earlier attempt with the same token may have started a task.
    #[error("{message}")]
    Unsendable {
        /// What is missing.
        message: String,
    },
    #[error("{message}")]
    Refused {
        /// The service's message.
        message: String,
    },
}

impl ComputeError {
    /// Returns what a caller can do about the error.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unanswered { .. }
            | Self::TokenSpent { .. }
            | Self::NoCapacity { .. }
            | Self::Unsendable { .. } => Disposition::Retry { after: None },
            Self::Throttled { after, .. } => Disposition::Retry { after: *after },
            Self::Refused { .. } => Disposition::Permanent,
        }
    }
}
