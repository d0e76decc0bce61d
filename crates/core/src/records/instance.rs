//! The instance on which a runner's task runs, where tasks could share one: ECS Managed Instances.
//!
//! A job there may be root of its instance. So one instance serves one runner, ever: a runner is handed its configuration
//! only after it is recorded as the only one of its EC2 instance ([`Claim`]), and the instance takes no more tasks before
//! the runner is gone. [`crate::decide::claim`] decides.

use jiff::Timestamp;

use crate::id::{HostId, InstanceId, RunnerName};

/// A runner's instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instance {
    /// ECS's id. A job that is root can register its EC2 instance again under another one.
    pub id: InstanceId,
    /// The EC2 instance, once the runner is recorded as the only one that ever has it.
    pub host: Option<HostId>,
    /// Whether ECS was told to place no more tasks on it.
    pub drained: bool,
}

impl Instance {
    #[must_use]
    pub const fn new(id: InstanceId) -> Self {
        Self { id, host: None, drained: false }
    }
}

/// An EC2 instance that belongs to one runner. It never belongs to another: the store refuses a second claim of the same
/// instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    pub host: HostId,
    pub runner: RunnerName,
    pub at: Timestamp,
}
