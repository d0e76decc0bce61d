//! The stored forms of records: short, versioned, and separate from the core's
//! states, so that both can change independently.

mod hold;
mod image;
mod job;
mod overspend;
mod placement;
mod progress;
mod rerun;
mod runner;
mod task;
mod times;
mod warm;

use ecsrunner_core::id::ParseIdError;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::records::timeline::Timeline;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(super) use hold::{StoredHold, hold_key};
pub(super) use image::{StoredImage, image_key};
pub(super) use job::{StoredEndedJob, StoredJob};
pub(super) use overspend::{StoredOverspend, budget_key};
pub(super) use progress::StoredProgress;
pub(super) use rerun::{StoredRerun, rerun_key};
pub(super) use runner::{StoredEndedRunner, StoredRunner};
pub(super) use warm::{StoredEndedWarm, StoredWarm};

/// The version of the stored forms. A record of a newer version is set aside.
pub(super) const SCHEMA: u64 = 1;

/// A record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnreadableError {
    #[error("it has schema {0}: this release reads up to {SCHEMA}")]
    Schema(u64),
    #[error("it has no `{0}`")]
    Missing(&'static str),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Id(#[from] ParseIdError),
    #[error("{what} `{value}` is not known")]
    Unknown { what: &'static str, value: String },
    #[error(transparent)]
    Size(#[from] ecsrunner_core::rules::class::size::SizeError),
    #[error(transparent)]
    Time(#[from] jiff::Error),
}

/// A reason: its code, and its detail if there is one.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredReason(
    String,
    #[serde(default, skip_serializing_if = "Option::is_none")] Option<String>,
);

impl From<&Reason> for StoredReason {
    fn from(reason: &Reason) -> Self {
        Self(reason.code().as_str().to_owned(), reason.detail().map(str::to_owned))
    }
}

impl StoredReason {
    /// Replaces an unknown code of a newer release by one that any release can handle.
    fn read(&self) -> Reason {
        Reason::from_parts(&self.0, self.1.as_deref()).unwrap_or_else(|| Code::ToPlan.into())
    }
}

/// Stages and milliseconds: the first since the epoch, the others since the previous stage.
type StoredTimeline = Vec<(String, i64)>;

fn store_timeline<S: Copy + PartialEq>(
    timeline: &Timeline<S>,
    name: fn(S) -> &'static str,
) -> StoredTimeline {
    let mut before = 0;
    timeline
        .iter()
        .map(|(stage, at)| {
            let at = at.as_millisecond();
            (name(stage).to_owned(), at - std::mem::replace(&mut before, at))
        })
        .collect()
}

fn read_timeline<S: Copy>(
    stored: &StoredTimeline,
    stages: &[S],
    name: fn(S) -> &'static str,
) -> Result<Timeline<S>, UnreadableError> {
    let mut at = 0;
    stored
        .iter()
        .map(|(stage, later)| {
            let stage = known("stage", stage, stages, name)?;
            at += later;
            Ok((stage, Timestamp::from_millisecond(at)?))
        })
        .collect::<Result<Vec<_>, UnreadableError>>()
        .map(|stages| stages.into_iter().collect())
}

/// Finds the value with this wire form.
fn known<T: Copy>(
    what: &'static str,
    value: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, UnreadableError> {
    all.iter()
        .copied()
        .find(|one| name(*one) == value)
        .ok_or_else(|| UnreadableError::Unknown { what, value: value.to_owned() })
}
