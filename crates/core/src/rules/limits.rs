//! How much a deployment may use, and how long things may take.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// Limits that bound costs. Usage is counted from open records; there are no stored counters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The most runners at once. A runner takes a slot until its task has stopped.
    pub max_runners: u32,
    /// The most runners at once for one repository; default: no such limit.
    pub max_runners_per_repository: Option<u32>,
    /// The most tasks that wait for a job, of all classes together. They also count as runners.
    pub max_warm: u32,
    /// Minutes after which a job is ended, unless its class sets another value.
    /// GitHub shows such a job as failed.
    pub max_job_minutes: u32,
    /// Seconds from a task's start until its boot item must be there.
    pub boot_limit_secs: u32,
    /// Seconds until the listener must listen for jobs.
    pub connect_limit_secs: u32,
    /// Seconds that a connected runner waits for a job; at least 600.
    pub idle_limit_secs: u32,
    /// Seconds from a job's start until its job-started hook must have checked
    /// in; default: [`Self::HOOK_LIMIT_SECS`].
    pub hook_limit_secs: Option<u32>,
    /// Seconds for which there must be a surplus before a runner is retired.
    pub surplus_grace_secs: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_runners: 50,
            max_runners_per_repository: None,
            max_warm: 0,
            max_job_minutes: 360,
            boot_limit_secs: 300,
            connect_limit_secs: 120,
            idle_limit_secs: 900,
            hook_limit_secs: None,
            surplus_grace_secs: 30,
        }
    }
}

impl Limits {
    /// The smallest idle limit. With a shorter one, a runner could end while a job
    /// is being assigned to it. An agent whose registration is gone ends by itself
    /// anyway if no job runs.
    pub const LEAST_IDLE_SECS: u32 = 600;

    /// The default hook limit. GitHub's runner downloads the job's actions before
    /// it runs the hook.
    pub const HOOK_LIMIT_SECS: u32 = 300;

    /// GitHub ends a job on a self-hosted runner after five days.
    pub const MAX_JOB_MINUTES: u32 = 7200;

    /// Seconds from a job's start until its hook must have checked in.
    #[must_use]
    pub fn hook_limit_secs(&self) -> u32 {
        self.hook_limit_secs.unwrap_or(Self::HOOK_LIMIT_SECS)
    }

    /// Returns the limits of a runner's waiting, as a runner that is launched now gets them.
    #[must_use]
    pub fn waiting(&self) -> WaitLimits {
        WaitLimits {
            boot_secs: self.boot_limit_secs,
            connect_secs: self.connect_limit_secs,
            idle_secs: self.idle_limit_secs,
        }
    }

    pub(crate) fn surplus_grace(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.surplus_grace_secs))
    }
}

/// The least time in which a task on an EC2 instance that is yet to start is not given up, whatever the limits are.
const LEAST_START_OF_INSTANCE: SignedDuration = SignedDuration::from_mins(10);

/// How long a runner may wait until its job starts. A runner keeps the limits with which its agent was started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaitLimits {
    pub boot_secs: u32,
    pub connect_secs: u32,
    pub idle_secs: u32,
}

impl WaitLimits {
    /// The longest time that an accepted task may take until its container runs: capacity, network interface and image
    /// pull, and on ECS Managed Instances the start of an EC2 instance first.
    #[must_use]
    pub fn longest_start(&self, on_managed_instances: bool) -> SignedDuration {
        let least = if on_managed_instances { LEAST_START_OF_INSTANCE } else { SignedDuration::ZERO };
        SignedDuration::from_secs(i64::from(self.boot_secs) * 3).max(least)
    }

    /// The longest time from the container's start to the end of a task whose job is not known to have started.
    #[must_use]
    pub fn longest_life(&self, max_job_minutes: u32) -> SignedDuration {
        let waits = [self.boot_secs, self.connect_secs, self.idle_secs];
        SignedDuration::from_secs(waits.into_iter().map(i64::from).sum()) + longest_work(max_job_minutes)
    }
}

/// The longest time from a job's start to the end of its task. The margin covers the agent's exit limit and the grace
/// period of a listener that it stops.
#[must_use]
pub fn longest_work(max_job_minutes: u32) -> SignedDuration {
    SignedDuration::from_mins(i64::from(max_job_minutes) + 5)
}
