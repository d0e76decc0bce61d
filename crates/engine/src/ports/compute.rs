//! Where tasks run: ECS, or one machine's processes.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use ecsrunner_core::decide::sweep::SeenTask;
use ecsrunner_core::id::TaskId;
use ecsrunner_core::records::runner::RunnerFacts;
use ecsrunner_core::rules::placement::Placement;

use super::Disposition;

/// A service that runs one task for a runner.
pub trait Compute: Send + Sync {
    /// Starts the runner's task. The order's token makes it happen once: asked
    /// again with the same token, the service answers with the same task.
    fn run_task(&self, order: &TaskOrder<'_>) -> impl Future<Output = Result<TaskId, ComputeError>> + Send;

    /// Stops a task. One that has stopped, or that nobody knows, is no error.
    fn stop_task(&self, task: &TaskId, reason: &str)
    -> impl Future<Output = Result<(), ComputeError>> + Send;

    /// The deployment's tasks, those that stopped lately among them.
    fn tasks(&self) -> impl Future<Output = Result<Vec<SeenTask>, ComputeError>> + Send;
}

/// One try to start a runner's task, as it was recorded before.
#[derive(Clone, Debug)]
pub struct TaskOrder<'a> {
    /// What the task is to be.
    pub runner: &'a RunnerFacts,
    pub placement: &'a Placement,
    pub token: ClientToken,
}

/// `<the runner's ulid>-<try>`, at most 64 characters.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ClientToken(String);

impl ClientToken {
    /// The token of a runner's try.
    #[must_use]
    pub fn new(runner: &RunnerFacts, attempt: u32) -> Self {
        Self(format!("{}-{attempt}", runner.name.ulid()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why no task was started, stopped or listed.
#[derive(Debug, thiserror::Error)]
pub enum ComputeError {
    /// No answer: the task may have been started, and the same token tells.
    #[error("no answer to {operation}")]
    Unanswered {
        operation: &'static str,
        /// What went wrong below.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The token stands for another order, and for no task that is named: its
    /// answer was lost, or it is being answered at this moment.
    #[error("{message}")]
    TokenSpent {
        /// In the service's words.
        message: String,
    },
    /// There is no task: the placement has no capacity, or a quota is spent.
    /// The same token would bring the same answer.
    #[error("{message}")]
    NoCapacity {
        /// In the service's words.
        message: String,
    },
    /// There is no task: too many requests.
    #[error("{message}")]
    Throttled {
        /// In the service's words.
        message: String,
        /// How long to wait, where the service said.
        after: Option<Duration>,
    },
    #[error("{message}")]
    Refused {
        /// In the service's words.
        message: String,
    },
}

impl ComputeError {
    /// What a caller can do about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unanswered { .. } | Self::TokenSpent { .. } | Self::NoCapacity { .. } => {
                Disposition::Retry { after: None }
            }
            Self::Throttled { after, .. } => Disposition::Retry { after: *after },
            Self::Refused { .. } => Disposition::Permanent,
        }
    }
}
