//! Reasons, and the outcome of a request.

use ecsrunner_core::decide::record::Outcome;
use ecsrunner_core::reason::{Code, Reason};
use serde::{Deserialize, Serialize};

/// The reason of a state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReasonView {
    pub code: Code,
    /// The sentence for people.
    pub text: String,
}

impl ReasonView {
    #[must_use]
    pub fn of(reason: &Reason) -> Self {
        Self { code: reason.code(), text: reason.text() }
    }
}

/// The outcome of an event or of a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OutcomeView {
    pub outcome: OutcomeKind,
    pub reason: ReasonView,
}

/// The kind of outcome of an event or of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// It changed something.
    Accepted,
    /// It changed nothing.
    Ignored,
    Refused,
}

impl OutcomeView {
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        Self { outcome: OutcomeKind::of(outcome), reason: ReasonView::of(outcome.reason()) }
    }

    /// Whether something was changed.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.outcome == OutcomeKind::Accepted
    }
}

impl OutcomeKind {
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Accepted(_) => Self::Accepted,
            Outcome::Ignored(_) => Self::Ignored,
            Outcome::Refused(_) => Self::Refused,
        }
    }
}
