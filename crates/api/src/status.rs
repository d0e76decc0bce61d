//! The state of a deployment.

use ecsrunner_core::rules::settings::Settings;
use serde::{Deserialize, Serialize};

/// The state of a deployment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StatusView {
    pub deployment: String,
    /// Whether launches are paused.
    pub paused: bool,
    /// The most runners at once.
    pub max_runners: u32,
    /// The most for one repository, if there is such a limit.
    pub max_runners_per_repository: Option<u32>,
    #[serde(default)]
    pub kind: DeploymentKind,
    /// The AWS Region, on AWS.
    #[serde(default)]
    pub region: Option<String>,
    /// Where a job's log comes from.
    #[serde(default)]
    pub logs: LogSource,
    /// The address of GitHub's pages, if it is known.
    #[serde(default)]
    pub github: Option<String>,
}

/// Where a deployment runs.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentKind {
    #[default]
    Local,
    Aws,
}

/// Where a job's log comes from.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub enum LogSource {
    /// GitHub, once the job has ended.
    #[default]
    #[serde(rename = "github")]
    GitHub,
    /// The log of the runner's task in CloudWatch Logs, also while the job runs.
    #[serde(rename = "cloudwatch")]
    CloudWatch,
}

impl StatusView {
    /// Returns the state by the settings alone, of a server on one machine.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self {
            deployment: settings.deployment.to_string(),
            paused: settings.paused,
            max_runners: settings.limits.max_runners,
            max_runners_per_repository: settings.limits.max_runners_per_repository,
            kind: DeploymentKind::Local,
            region: None,
            logs: LogSource::GitHub,
            github: None,
        }
    }
}

/// Whether launches are paused: body and answer of `POST /api/v1/pause`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Paused {
    pub paused: bool,
}

/// The answer of `GET /healthz`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Health {
    /// `ok`.
    pub status: String,
    /// The server's release.
    pub version: String,
}

/// The body of an answer that is an error.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    pub message: String,
}
