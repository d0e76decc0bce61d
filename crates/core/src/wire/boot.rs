//! The boot item: how one task gets the one configuration made for it.
//!
//! Whoever gets the item back from its deletion knows that nobody else holds
//! the configuration. The table's protocol does not belong here.

use serde::{Deserialize, Serialize};

use crate::id::{RunId, RunnerName};
use crate::rules::policy::Policy;

/// The names of the item's attributes in the boot table, pinned: agents of an
/// older release read items of a newer control plane.
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
    /// Seconds since the epoch, a number; the table's TTL attribute, a last resort only.
    pub const EXPIRES_AT: &str = "expires_at";
}

/// Which of a deployment's two task roles a task has: the key of its boot item
/// begins with that role's unique id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TaskRole {
    /// It may take its boot item, and nothing else.
    Plain,
    /// It may open a channel for ECS Exec, too.
    Exec,
}

/// What a task takes from the table, but for the secret, which travels beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BootItem {
    /// The runner that the task is to be.
    pub runner: RunnerName,
    /// What the runner may execute.
    pub policy: Policy,
    /// A job that is to be failed on purpose, if GitHub gives it to this runner.
    pub fail: Option<Fail>,
}

/// A job that has to end as a visible failure, and the reason its log shows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fail {
    /// The run that the job belongs to.
    pub run: RunId,
    /// The run's attempt, from 1.
    pub attempt: u32,
    /// The job's name, as the webhook spelt it.
    pub job: String,
    /// One sentence for the job's log.
    pub reason: String,
}
