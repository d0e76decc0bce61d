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
}

impl StatusView {
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self {
            deployment: settings.deployment.to_string(),
            paused: settings.paused,
            max_runners: settings.limits.max_runners,
            max_runners_per_repository: settings.limits.max_runners_per_repository,
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
