//! Converts ECS's `Task State Change` to an event of the core.
//!
//! The event has no tags. The runner's name comes from the variable that RunTask
//! has set. `startedBy` and the cluster show that the task is ours.

pub(crate) mod stop;

use ecsrunner_core::id::{Deployment, TaskName};
use ecsrunner_core::wire::environment;
use ecsrunner_core::wire::event::{TaskChange, TaskEvent, TaskTimes};
use jiff::Timestamp;
use serde::Deserialize;

use crate::task::{CONTAINER, instance_id, started_by, task_id};
use stop::Stopped;

/// EventBridge's source of the event.
pub const SOURCE: &str = "aws.ecs";
/// EventBridge's detail type of the event.
pub const DETAIL_TYPE: &str = "ECS Task State Change";

/// The detail is not that of an ECS task.
#[derive(Debug, thiserror::Error)]
#[error("the detail is not that of an ECS task")]
pub struct EventError(#[source] serde_json::Error);

/// The fields that are read. All others are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    task_arn: String,
    last_status: String,
    version: u64,
    cluster_arn: Option<String>,
    container_instance_arn: Option<String>,
    started_by: Option<String>,
    desired_status: Option<String>,
    stop_code: Option<String>,
    stopped_reason: Option<String>,
    created_at: Option<String>,
    pull_started_at: Option<String>,
    pull_stopped_at: Option<String>,
    started_at: Option<String>,
    stopped_at: Option<String>,
    updated_at: Option<String>,
    containers: Option<Vec<Container>>,
    overrides: Option<Overrides>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: Option<String>,
    exit_code: Option<i32>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Overrides {
    container_overrides: Option<Vec<ContainerOverride>>,
}

#[derive(Deserialize)]
struct ContainerOverride {
    name: Option<String>,
    environment: Option<Vec<Variable>>,
}

#[derive(Deserialize)]
struct Variable {
    name: Option<String>,
    value: Option<String>,
}

/// Reads the JSON `detail` of an event. Returns `None` if the task is not of this
/// deployment, or if the change is irrelevant: only the start of the container
/// and the end of the task matter. `cluster` is the deployment's, by name or ARN.
///
/// # Errors
///
/// The detail is not that of a task.
pub fn read(
    detail: &str,
    deployment: &Deployment,
    cluster: &str,
    received_at: Timestamp,
) -> Result<Option<TaskEvent>, EventError> {
    let detail: Detail = serde_json::from_str(detail).map_err(EventError)?;
    Ok(detail.event(deployment, cluster, received_at))
}

impl Detail {
    fn event(&self, deployment: &Deployment, cluster: &str, received_at: Timestamp) -> Option<TaskEvent> {
        if self.started_by.as_deref() != Some(started_by(deployment).as_str())
            || !self.cluster_arn.as_deref().is_some_and(|arn| is_cluster(arn, cluster))
        {
            return None;
        }
        let name = self.name().filter(|name| name.belongs_to(deployment))?;
        let (change, happened_at) = match self.last_status.as_str() {
            // The task is being stopped, on Spot with two minutes' notice. STOPPED will report the end.
            "RUNNING" if self.desired_status.as_deref() == Some("STOPPED") => return None,
            "RUNNING" => (TaskChange::Running, &self.started_at),
            "STOPPED" => (TaskChange::Stopped(self.stopped().cause()), &self.stopped_at),
            _ => return None,
        };
        let time = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
        Some(TaskEvent {
            name,
            task: task_id(&self.task_arn)?,
            version: self.version,
            change,
            times: TaskTimes {
                created: time(&self.created_at),
                pull_started: time(&self.pull_started_at),
                pull_stopped: time(&self.pull_stopped_at),
                started: time(&self.started_at),
            },
            instance: self.container_instance_arn.as_deref().and_then(instance_id),
            at: time(happened_at).or_else(|| time(&self.updated_at)).unwrap_or(received_at),
        })
    }

    fn name(&self) -> Option<TaskName> {
        let containers = self.overrides.as_ref()?.container_overrides.as_ref()?;
        let container = containers.iter().find(|container| container.name.as_deref() == Some(CONTAINER))?;
        let variable = container
            .environment
            .as_ref()?
            .iter()
            .find(|variable| variable.name.as_deref() == Some(environment::RUNNER))?;
        TaskName::parse(variable.value.as_deref()?).ok()
    }

    fn stopped(&self) -> Stopped<'_> {
        let mut containers = self.containers.iter().flatten();
        let container = containers.find(|container| container.name.as_deref() == Some(CONTAINER));
        Stopped {
            code: self.stop_code.as_deref(),
            reason: self.stopped_reason.as_deref(),
            exit_code: container.and_then(|container| container.exit_code),
            container_reason: container.and_then(|container| container.reason.as_deref()),
        }
    }
}

/// Whether the ARN is the cluster's. `cluster` is a name or an ARN.
fn is_cluster(arn: &str, cluster: &str) -> bool {
    if cluster.starts_with("arn:") { arn == cluster } else { arn.rsplit('/').next() == Some(cluster) }
}

#[cfg(test)]
mod tests;
