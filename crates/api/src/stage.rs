//! The times at which a job or a runner reached its states.

use ecsrunner_core::records::timeline::Timeline;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A state, and when it was reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StageView<S> {
    pub at: Timestamp,
    pub state: S,
}

/// Returns the states in the order in which they were reached.
#[must_use]
pub fn stages<S: Copy + PartialEq>(timeline: &Timeline<S>) -> Vec<StageView<S>> {
    timeline.iter().map(|(state, at)| StageView { at, state }).collect()
}

/// Returns when a state was reached last.
#[must_use]
pub fn reached<S: PartialEq>(timeline: &[StageView<S>], state: S) -> Option<Timestamp> {
    timeline.iter().rev().find(|stage| stage.state == state).map(|stage| stage.at)
}
