//! The states of a task's containers.

use std::time::Duration;

use serde::Deserialize;

use super::super::http::Http;
use super::{Asked, TaskError, get};

/// A container as the task metadata endpoint, version 4, describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Container {
    pub name: String,
    /// ECS's `KnownStatus`, such as `PULLED`, `RUNNING` or `STOPPED`.
    pub status: String,
    /// `UNKNOWN`, `HEALTHY` or `UNHEALTHY`, if it has a health check.
    pub health: Option<String>,
    /// Set once it has stopped.
    pub exit_code: Option<i64>,
}

impl Container {
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.status == "RUNNING"
    }

    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.status == "STOPPED"
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Task {
    containers: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    name: String,
    #[serde(default)]
    known_status: Option<String>,
    #[serde(default)]
    health: Option<Health>,
    #[serde(default)]
    exit_code: Option<i64>,
}

#[derive(Deserialize)]
struct Health {
    #[serde(default)]
    status: Option<String>,
}

/// Asks ECS for the containers of this task. `metadata` is `ECS_CONTAINER_METADATA_URI_V4`.
///
/// # Errors
///
/// See [`TaskError`].
pub fn containers(metadata: &str, http: &Http, limit: Duration) -> Result<Vec<Container>, TaskError> {
    let asked = Asked::Metadata;
    let body = get(http, asked, &format!("{}/task", metadata.trim_end_matches('/')), None, limit)?;
    let task: Task = serde_json::from_slice(&body)
        .map_err(|error| TaskError::Unusable { asked, fault: error.to_string() })?;
    Ok(task.containers.into_iter().map(Container::from).collect())
}

impl From<Entry> for Container {
    fn from(entry: Entry) -> Self {
        Self {
            name: entry.name,
            status: entry.known_status.unwrap_or_default(),
            health: entry.health.and_then(|health| health.status),
            exit_code: entry.exit_code,
        }
    }
}
