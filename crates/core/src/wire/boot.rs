//! The boot item, by which a task gets the configuration made for it.
//!
//! Deleting the item returns it. A caller that gets it knows that no one else
//! has the configuration. The table's protocol does not belong here.

use serde::{Deserialize, Serialize};

use crate::id::{RunId, RunnerName};
use crate::rules::policy::Policy;
use crate::rules::service::offer::Offer;

/// The names of the item's attributes in the boot table. They are pinned: agents
/// of an older release read items of a newer control plane.
pub mod attribute {
    /// Partition key: `<task role unique id>:<task id>`, a string.
    pub const OWNER: &str = "owner";
    /// GitHub's encoded just-in-time configuration, a string and a secret.
    pub const JIT: &str = "jit";
    /// The runner's name, a string.
    pub const RUNNER: &str = "runner";
    /// A [`crate::rules::policy::Policy`] as JSON text.
    pub const POLICY: &str = "policy";
    /// A [`super::Fail`] as JSON text; may be missing.
    pub const FAIL: &str = "fail";
    /// A [`crate::rules::service::offer::Offer`] as JSON text; missing if no class declares a service.
    pub const SERVICES: &str = "services";
    /// Seconds since the epoch, a number; the table's TTL attribute, only a last resort.
    pub const EXPIRES_AT: &str = "expires_at";
}

/// Which of the deployment's two task roles a task has. The key of its boot item
/// begins with that role's unique id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TaskRole {
    /// It may take its boot item, and nothing else.
    Plain,
    /// It may also open a channel for ECS Exec.
    Exec,
}

/// What a task takes from the table, without the secret, which is passed separately.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BootItem {
    /// The name of the task's runner.
    pub runner: RunnerName,
    pub policy: Policy,
    /// A job that the runner fails on purpose if GitHub gives it that job.
    pub fail: Option<Fail>,
    /// The services of its class, and which classes have others. `None` if no class has any.
    pub services: Option<Offer>,
}

/// A job that has to end as a visible failure, and the reason for its log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fail {
    /// The job's run.
    pub run: RunId,
    /// The run's attempt, from 1.
    pub attempt: u32,
    /// The job's name in the webhook's spelling.
    pub job: String,
    /// One sentence for the job's log.
    pub reason: String,
}
