//! What ECS says of any task of ours, whichever call or event says it.

use ecsrunner_core::id::{Deployment, InstanceId, TaskId};

use jiff::Timestamp;
use serde::Serialize;

/// The name of the container that the agent is.
pub const CONTAINER: &str = ecsrunner_core::rules::service::RUNNER;

/// The task definitions' `awslogs-stream-prefix`.
pub(crate) const STREAM_PREFIX: &str = "runner";

/// Returns the task to whose agent a stream of the log group belongs; `None` for the stream of a service or of anything
/// else.
#[must_use]
pub fn task_of_stream(stream: &str) -> Option<TaskId> {
    let container_and_task = stream.strip_prefix(STREAM_PREFIX)?.strip_prefix('/')?;
    TaskId::parse(container_and_task.strip_prefix(CONTAINER)?.strip_prefix('/')?).ok()
}

/// Parts of messages about missing capacity, in lower case. The messages about
/// quotas begin with `You’ve`, whose apostrophe is U+2019, so only a part is
/// matched. A subnet without free addresses counts as missing capacity, since
/// another subnet may have some. The last ones are EC2's codes: ECS Managed Instances start EC2 instances, and
/// docs/undocumented.md says what is known of how ECS passes them on.
const CAPACITY_WORDS: [&str; 16] = [
    "capacity is unavailable",
    "limit on the number of vcpus",
    "limit on the number of tasks you can run",
    "insufficientfreeaddressesinsubnet",
    "not enough free addresses in subnet",
    "insufficientinstancecapacity",
    "insufficient capacity",
    "vcpulimitexceeded",
    "instancelimitexceeded",
    "maxspotinstancecountexceeded",
    "spotmaxpricetoolow",
    "unfulfillablecapacity",
    "resource:cpu",
    "resource:memory",
    "resource:gpu",
    "resource:eni",
];

/// Returns `startedBy` of a deployment's tasks, which tells them from others in the same cluster.
pub(crate) fn started_by(deployment: &Deployment) -> String {
    format!("ecsrunner/{deployment}")
}

/// Whether a message of ECS is about missing capacity.
pub(crate) fn tells_of_capacity(words: &str) -> bool {
    let words = words.to_lowercase();
    CAPACITY_WORDS.iter().any(|some| words.contains(some))
}

/// A task's id, the last part of its ARN.
pub(crate) fn task_id(arn: &str) -> Option<TaskId> {
    TaskId::parse(arn.rsplit('/').next()?).ok()
}

/// A container instance's id, the last part of its ARN.
pub(crate) fn instance_id(arn: &str) -> Option<InstanceId> {
    InstanceId::parse(arn.rsplit('/').next()?).ok()
}

/// A task, as ECS describes it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TaskInfo {
    pub task: String,
    /// The runner's name.
    pub runner: Option<String>,
    /// Such as `PENDING`.
    pub last_status: String,
    /// `RUNNING` or `STOPPED`.
    pub desired_status: String,
    /// `FARGATE` or `FARGATE_SPOT`.
    pub capacity_provider: Option<String>,
    /// CPU units; 1024 are one vCPU.
    pub cpu: Option<u32>,
    pub availability_zone: Option<String>,
    /// When ECS accepted it.
    pub created_at: Option<Timestamp>,
    /// When its container began to run.
    pub started_at: Option<Timestamp>,
    /// When it had stopped.
    pub stopped_at: Option<Timestamp>,
    /// ECS's code of why it stopped, such as `SpotInterruption`.
    pub stop_code: Option<String>,
    /// ECS's message about why it stopped.
    pub stopped_reason: Option<String>,
    /// The container's exit code.
    pub exit_code: Option<i32>,
    /// ECS's message about the container, such as `CannotPullContainerError: …`.
    pub container_reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_known_by_the_last_part_of_its_arn() {
        let arn = "arn:aws:ecs:eu-west-1:123456789012:task/ci/0123456789abcdef0123456789abcdef";
        assert_eq!(task_id(arn).unwrap().as_str(), "0123456789abcdef0123456789abcdef");
        assert_eq!(task_id(""), None);
    }
}
