//! The words that the fake GitHub and the stand-in listener share.
//!
//! The protocol between the two is GitHub's own (V2). Each side has its own types
//! for messages, so that a mistake on one side shows on the other.

use serde::{Deserialize, Serialize};

/// The runner version that the stand-in listener reports.
pub(crate) const RUNNER_VERSION: &str = "2.336.0";

/// The `name` of a synthetic job's only step. The stand-in executes its script
/// without a shell, so that bursts of jobs cost less.
pub(crate) const SYNTHETIC_STEP: &str = "__synthetic";

/// The conclusion of a step or job, in the words of GitHub's API.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Conclusion {
    Success,
    Failure,
    Cancelled,
    Skipped,
}

impl Conclusion {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }

    /// Returns the word that a runner posts for it.
    pub(crate) const fn posted(self) -> &'static str {
        match self {
            Self::Success => "succeeded",
            Self::Failure => "failed",
            Self::Cancelled => "canceled",
            Self::Skipped => "skipped",
        }
    }
}
