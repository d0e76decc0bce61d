//! Views of tasks for tests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::task::{Provider, Status, StopCode, Task};

/// A task without any lag, as the control API shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TaskView {
    /// Its id, 32 hexadecimal characters.
    pub id: String,
    pub arn: String,
    pub cluster: String,
    /// The family and revision of its task definition.
    pub task_definition: String,
    pub last_status: Status,
    /// `RUNNING`, or `STOPPED` as soon as it has been told to stop.
    pub desired_status: &'static str,
    /// Whether its container runs, so that [`super::Ecs::exit`] can end it.
    pub has_container: bool,
    /// How often it has changed.
    pub version: u64,
    /// RunTask's `clientToken`.
    pub client_token: Option<String>,
    /// RunTask's `startedBy`.
    pub started_by: Option<String>,
    pub provider: Provider,
    pub subnet: String,
    /// Its container instance, if it has one.
    pub instance: Option<String>,
    pub cpu: u32,
    /// Memory in MiB.
    pub memory: u32,
    /// The environment of its containers from the overrides.
    pub environment: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    pub stop_code: Option<StopCode>,
    /// The text of `stop_code`.
    pub stopped_reason: Option<String>,
    /// The exit code of its container.
    pub exit_code: Option<i32>,
    /// When RunTask accepted it.
    pub created_at: Timestamp,
    /// When the pull of its image began.
    pub pull_started_at: Option<Timestamp>,
    /// When the pull of its image ended.
    pub pull_stopped_at: Option<Timestamp>,
    /// When it reached RUNNING.
    pub started_at: Option<Timestamp>,
    /// When it reached STOPPED.
    pub stopped_at: Option<Timestamp>,
}

impl TaskView {
    pub(super) fn of(task: &Task) -> Self {
        let launch = &task.launch;
        Self {
            id: task.id.clone(),
            arn: task.arn.clone(),
            cluster: launch.cluster.clone(),
            task_definition: format!("{}:{}", launch.definition.family, launch.definition.revision),
            last_status: task.status(),
            desired_status: task.desired_status(),
            has_container: task.has_container(),
            version: task.version,
            client_token: launch.token.clone(),
            started_by: launch.started_by.clone(),
            provider: task.provider,
            subnet: task.subnet.clone(),
            instance: task.instance.clone(),
            cpu: launch.size.cpu(),
            memory: launch.size.memory(),
            environment: launch.environment.clone(),
            tags: task.tags.clone(),
            stop_code: task.stop.as_ref().map(|stop| stop.code),
            stopped_reason: task.stop.as_ref().map(|stop| stop.reason.clone()),
            exit_code: task.exit.as_ref().and_then(|exit| exit.code),
            created_at: task.created_at(),
            pull_started_at: task.at(Status::Pending),
            pull_stopped_at: task.at(Status::Activating),
            started_at: task.at(Status::Running),
            stopped_at: task.at(Status::Stopped),
        }
    }
}
