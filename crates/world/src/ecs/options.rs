//! The options of the fake.

use std::collections::BTreeMap;
use std::time::Duration;

use ecsrunner_core::rules::class::size::Arch;
use serde::{Deserialize, Serialize};

use super::faults::Faults;

/// The options of a fake ECS. Faults can be changed later.
#[derive(Clone, Debug)]
pub struct Options {
    /// Makes task ids, choices and faults of events reproducible. Without a seed they
    /// differ with each start.
    pub seed: Option<u64>,
    /// The Region in every ARN.
    pub region: String,
    /// The account in every ARN.
    pub account: String,
    /// Names of existing clusters.
    pub clusters: Vec<String>,
    /// Registered task definitions.
    pub task_definitions: Vec<TaskDefinition>,
    /// Existing subnets, with their availability zones. If empty, every subnet exists.
    pub subnets: BTreeMap<String, String>,
    /// How long each status lasts.
    pub durations: Durations,
    /// How long reads lag behind RunTask.
    pub lags: Lags,
    /// The rate limits of calls and launches.
    pub rates: Rates,
    /// Whether the clusters have capacity providers of ECS Managed Instances.
    pub managed: bool,
    /// StopTask deletes the task's tags, as its reference says.
    pub stop_deletes_tags: bool,
    /// Faults from the start.
    pub faults: Faults,
    /// The URL to which [`super::FakeEcs`] posts each event in EventBridge's envelope; only `http`.
    pub events_url: Option<String>,
}

impl Options {
    pub(super) fn instance_arn(&self, cluster: &str, id: &str) -> String {
        format!("arn:aws:ecs:{}:{}:container-instance/{cluster}/{id}", self.region, self.account)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: None,
            region: "eu-central-1".to_owned(),
            account: "123456789012".to_owned(),
            clusters: vec!["default".to_owned()],
            task_definitions: Vec::new(),
            subnets: BTreeMap::new(),
            durations: Durations::default(),
            lags: Lags::default(),
            rates: Rates::default(),
            managed: false,
            stop_deletes_tags: true,
            faults: Faults::default(),
            events_url: None,
        }
    }
}

/// The parts of a task definition that affect RunTask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskDefinition {
    pub family: String,
    /// The revision, from 1.
    pub revision: u32,
    /// CPU units, 1024 for one vCPU.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory: u32,
    /// Its `runtimePlatform`.
    pub arch: Arch,
    /// Names of its containers, the essential one first.
    pub containers: Vec<String>,
    /// The image of its containers.
    pub image: String,
    /// Its task role, which ECS Exec needs.
    pub task_role_arn: Option<String>,
    /// From SIGTERM to SIGKILL; Fargate allows 120 s at most.
    pub stop_timeout: Duration,
}

impl TaskDefinition {
    /// Makes a task definition with one container `runner` of the smallest size, for x64.
    #[must_use]
    pub fn new(family: &str, revision: u32) -> Self {
        Self {
            family: family.to_owned(),
            revision,
            cpu: 256,
            memory: 512,
            arch: Arch::X64,
            containers: vec!["runner".to_owned()],
            image: "runner:latest".to_owned(),
            task_role_arn: None,
            stop_timeout: Duration::from_secs(30),
        }
    }
}

/// How long each status of a task lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Durations {
    /// From RunTask to PENDING, at least.
    pub provisioning: Duration,
    /// What is added to `provisioning` at most, drawn for each task.
    pub provisioning_more: Duration,
    /// PENDING, in which the image is pulled.
    pub pending: Duration,
    /// ACTIVATING.
    pub activating: Duration,
    /// DEACTIVATING.
    pub deactivating: Duration,
    /// How long a container takes to end after SIGTERM, if no test ends it. It is
    /// killed if its stop timeout is shorter.
    pub stopping: Duration,
    /// DEPROVISIONING.
    pub deprovisioning: Duration,
    /// From a Spot interruption's notice to STOPPED, at most.
    pub spot_notice: Duration,
    /// How long a stopped task can be described.
    pub retention: Duration,
}

impl Default for Durations {
    /// Returns about the durations of Fargate.
    fn default() -> Self {
        Self {
            provisioning: Duration::from_secs(8),
            provisioning_more: Duration::ZERO,
            pending: Duration::from_secs(15),
            activating: Duration::from_secs(1),
            deactivating: Duration::from_secs(1),
            stopping: Duration::from_secs(2),
            deprovisioning: Duration::from_secs(10),
            spot_notice: Duration::from_secs(120),
            retention: Duration::from_hours(1),
        }
    }
}

impl Durations {
    /// Makes each status last this long. Stopped tasks stay for the usual hour.
    #[must_use]
    pub fn each(duration: Duration) -> Self {
        Self {
            provisioning: duration,
            provisioning_more: Duration::ZERO,
            pending: duration,
            activating: duration,
            deactivating: duration,
            stopping: duration,
            deprovisioning: duration,
            spot_notice: duration * 4,
            ..Self::default()
        }
    }
}

/// How long other calls do not know a task that RunTask has just started, because
/// ECS is eventually consistent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lags {
    /// For DescribeTasks, which answers MISSING.
    pub describe: Duration,
    /// For ListTasks, which omits it.
    pub list: Duration,
    /// For StopTask, which does not find it.
    pub stop: Duration,
}

/// A token bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// The tokens of a full bucket.
    pub burst: u32,
    /// The tokens that are added each second.
    pub per_second: u32,
}

/// The rates of an account in a Region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rates {
    /// Launches of tasks, separately for FARGATE and FARGATE_SPOT.
    pub launch: Rate,
    pub run_task: Rate,
    pub stop_task: Rate,
}

impl Default for Rates {
    /// Returns AWS's quotas in its older Regions.
    fn default() -> Self {
        Self {
            launch: Rate { burst: 100, per_second: 20 },
            run_task: Rate { burst: 100, per_second: 20 },
            stop_task: Rate { burst: 100, per_second: 40 },
        }
    }
}
