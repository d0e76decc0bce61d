//! The boot item, by which a task gets the configuration made for it.
//!
//! Deleting the item returns it. A caller that gets it knows that no one else
//! has the configuration. The table's protocol does not belong here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{ClassName, Deployment, RunId, RunnerName};
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
    /// An [`super::About`] as JSON text; missing if jobs get no note.
    pub const ABOUT: &str = "about";
    /// A list of [`super::Again`] as JSON text; missing if no job is run again.
    pub const RERUNS: &str = "reruns";
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
    /// What the note in its job's summary says of the runner; `None` if jobs get no note.
    pub about: Option<About>,
    /// Jobs of its repository that are run again because their runner was lost.
    pub reruns: Vec<Again>,
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

/// What a runner is told about itself, for the note in its job's summary. Nothing in it is of a job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct About {
    /// [`About::VERSION`]. An agent writes no note of a version that it does not know.
    pub v: u32,
    pub deployment: Deployment,
    pub class: ClassName,
    /// CPU units; 1024 are one vCPU.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory: u32,
    /// ECS's name, such as `FARGATE_SPOT`.
    pub capacity_provider: String,
    /// When the runner was reserved.
    pub requested_at: Timestamp,
    /// When its task was launched: its cost counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launched_at: Option<Timestamp>,
    /// Whether it took over a warm task, which had booted before.
    #[serde(default)]
    pub warm: bool,
    /// `None` on ECS Managed Instances, whose prices are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// The smallest machine that GitHub hosts with as many CPUs and as much memory; `None` if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosted: Option<HostedPrice>,
}

impl About {
    /// The version that is written here.
    pub const VERSION: u32 = 1;
}

/// A task's list price, in billionths of a US dollar.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Price {
    pub nano_usd_per_hour: u64,
    /// The seconds that are billed at least.
    pub least_secs: u64,
    /// When the price was read, such as `2026-09`.
    pub as_of: String,
}

/// The price of a machine that GitHub hosts, in billionths of a US dollar.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HostedPrice {
    /// GitHub's name.
    pub machine: String,
    pub nano_usd_per_minute: u64,
    /// When the price was read, such as `2026-11`.
    pub as_of: String,
}

/// A job that is run again because its runner was lost.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Again {
    /// The job's run.
    pub run: RunId,
    /// The run's attempt in which it is run again.
    pub attempt: u32,
    /// The job's name in the webhook's spelling.
    pub job: String,
    /// Why its runner was lost, in one sentence.
    pub cause: String,
}
