//! A task and its states.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::faults::StartFault;
use super::launch::Launch;
use super::options::Durations;

/// A capacity provider of Fargate, or one of ECS Managed Instances.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Provider {
    /// On-Demand.
    #[serde(rename = "FARGATE")]
    Fargate,
    #[serde(rename = "FARGATE_SPOT")]
    FargateSpot,
    /// Managed Instances, On-Demand.
    #[serde(rename = "runners-managed")]
    Managed,
    #[serde(rename = "runners-managed-spot")]
    ManagedSpot,
}

impl Provider {
    /// Its name at ECS.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fargate => "FARGATE",
            Self::FargateSpot => "FARGATE_SPOT",
            Self::Managed => "runners-managed",
            Self::ManagedSpot => "runners-managed-spot",
        }
    }

    pub(super) const fn is_managed(self) -> bool {
        matches!(self, Self::Managed | Self::ManagedSpot)
    }
}

/// A task's `lastStatus`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Its network interface is being created.
    Provisioning,
    /// Its image is being pulled.
    Pending,
    Activating,
    Running,
    /// It has been told to stop.
    Deactivating,
    /// Its containers have got SIGTERM.
    Stopping,
    /// Its containers have ended, and its network interface is being deleted.
    Deprovisioning,
    Stopped,
}

impl Status {
    /// Its name at ECS.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Activating => "ACTIVATING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// Why a task stops, in ECS's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StopCode {
    /// It never ran.
    TaskFailedToStart,
    /// Its container ended by itself.
    EssentialContainerExited,
    UserInitiated,
    /// Spot took its capacity back.
    SpotInterruption,
}

impl fmt::Display for StopCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The variants have the names of ECS.
        fmt::Debug::fmt(self, f)
    }
}

/// The stop of a task whose `desiredStatus` is STOPPED.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    pub code: StopCode,
    pub reason: String,
    pub at: Timestamp,
}

/// How its containers ended. Without a code they never ran.
#[derive(Clone, Debug)]
pub(super) struct Exit {
    pub code: Option<i32>,
    pub reason: Option<String>,
    pub at: Timestamp,
}

/// The next step of a task, unless a call changes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Enter(Status),
    /// Its start fault takes effect.
    Fail,
}

#[derive(Debug)]
pub(super) struct Task {
    pub id: String,
    pub arn: String,
    pub launch: Arc<Launch>,
    pub provider: Provider,
    pub subnet: String,
    /// The container instance, once it is placed on one.
    pub instance: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub start_fault: Option<StartFault>,
    /// How long it stays PROVISIONING.
    pub provisioning: Duration,
    /// Each status that it reached, with the time. Never empty.
    pub timeline: Vec<(Status, Timestamp)>,
    pub stop: Option<Stop>,
    pub exit: Option<Exit>,
    pub version: u64,
    pub updated_at: Timestamp,
    /// When its next step is due.
    pub due: Option<Timestamp>,
}

impl Task {
    pub(super) fn status(&self) -> Status {
        self.timeline.last().map_or(Status::Provisioning, |(status, _)| *status)
    }

    pub(super) fn at(&self, status: Status) -> Option<Timestamp> {
        self.timeline.iter().find(|(of, _)| *of == status).map(|(_, at)| *at)
    }

    pub(super) fn created_at(&self) -> Timestamp {
        self.timeline.first().map_or(self.updated_at, |(_, at)| *at)
    }

    pub(super) fn desired_status(&self) -> &'static str {
        if self.stop.is_some() { "STOPPED" } else { "RUNNING" }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.status() != Status::Stopped
    }

    /// Whether its container runs.
    pub(super) fn has_container(&self) -> bool {
        (Status::Running..=Status::Stopping).contains(&self.status()) && self.exit.is_none()
    }

    /// Returns the next step, and when the present status ends.
    pub(super) fn next(&self, durations: &Durations) -> Option<(Timestamp, Step)> {
        let (status, since) = *self.timeline.last()?;
        if let Some(exit) = self.exit.as_ref().filter(|_| status < Status::Deprovisioning) {
            return Some((exit.at, Step::Enter(Status::Deprovisioning)));
        }
        let (lasts, next) = match status {
            Status::Stopped => return None,
            Status::Deprovisioning => (durations.deprovisioning, Status::Stopped),
            Status::Stopping => (self.stopping_lasts(durations), Status::Deprovisioning),
            Status::Deactivating => (durations.deactivating, Status::Stopping),
            Status::Running => {
                let stop = self.stop.as_ref()?;
                return Some((stop.at + self.grace(stop, durations), Step::Enter(Status::Deactivating)));
            }
            Status::Provisioning | Status::Pending | Status::Activating => {
                if let Some(stop) = &self.stop {
                    return Some((stop.at, Step::Enter(Status::Deprovisioning)));
                }
                self.start_step(status, durations)
            }
        };
        let fails = self.start_fault.as_ref().is_some_and(|fault| fault.status == status);
        let step = if fails && self.stop.is_none() { Step::Fail } else { Step::Enter(next) };
        Some((since + lasts, step))
    }

    fn start_step(&self, status: Status, durations: &Durations) -> (Duration, Status) {
        match status {
            Status::Provisioning => (self.provisioning, Status::Pending),
            Status::Pending => (durations.pending, Status::Activating),
            _ => (durations.activating, Status::Running),
        }
    }

    /// Returns the time from SIGTERM to the container's end.
    pub(super) fn stopping_lasts(&self, durations: &Durations) -> Duration {
        durations.stopping.min(self.launch.definition.stop_timeout)
    }

    /// Returns how long it continues to run after it was told to stop. A Spot interruption
    /// gives two minutes in all.
    fn grace(&self, stop: &Stop, durations: &Durations) -> Duration {
        if stop.code != StopCode::SpotInterruption {
            return Duration::ZERO;
        }
        let end = durations.deactivating + self.stopping_lasts(durations) + durations.deprovisioning;
        durations.spot_notice.saturating_sub(end)
    }
}
