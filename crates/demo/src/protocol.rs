//! What the fake GitHub and the stand-in listener have in common: words.
//!
//! The protocol between the two is GitHub's own (V2). Each side has its own
//! forms of its messages, so that a mistake of one is seen by the other.

use serde::{Deserialize, Serialize};

/// The version that the stand-in listener claims to be.
pub(crate) const RUNNER_VERSION: &str = "2.336.0";

/// The `name` of a synthetic job's only step. The stand-in executes its script
/// without starting a shell, since a burst of jobs is not about shells.
pub(crate) const SYNTHETIC_STEP: &str = "__synthetic";

/// How a step or job ended, in the words of GitHub's API.
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

    /// The word that a runner posts for it.
    pub(crate) const fn posted(self) -> &'static str {
        match self {
            Self::Success => "succeeded",
            Self::Failure => "failed",
            Self::Cancelled => "canceled",
            Self::Skipped => "skipped",
        }
    }
}
