//! Reasons, and the outcome of a request.

use std::fmt;

use ecsrunner_core::decide::record::Outcome;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::records::warm::WarmEnd;
use serde::{Deserialize, Serialize};

/// The reason of a state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReasonView {
    pub code: CodeView,
    /// The sentence for people.
    pub text: String,
}

impl ReasonView {
    #[must_use]
    pub fn of(reason: &Reason) -> Self {
        Self { code: CodeView::Known(reason.code()), text: reason.text() }
    }
}

impl ReasonView {
    /// Returns the reason why a warm task ended.
    #[must_use]
    pub fn of_warm(kind: WarmEnd, words: Option<&str>) -> Self {
        let text = words.map_or_else(|| kind.text().to_owned(), |words| format!("{}; {words}", kind.text()));
        Self { code: CodeView::Other(format!("warm_{kind}")), text }
    }
}

/// A reason code. A server that is newer than its client may give one that the client does not know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum CodeView {
    Known(Code),
    Other(String),
}

impl CodeView {
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(code) => code.as_str(),
            Self::Other(code) => code,
        }
    }

    #[must_use]
    pub fn known(&self) -> Option<Code> {
        match self {
            Self::Known(code) => Some(*code),
            Self::Other(_) => None,
        }
    }
}

impl fmt::Display for CodeView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<String> for CodeView {
    fn from(code: String) -> Self {
        Code::parse(&code).map_or(Self::Other(code), Self::Known)
    }
}

impl From<CodeView> for String {
    fn from(code: CodeView) -> Self {
        code.as_str().to_owned()
    }
}

/// The outcome of an event or of a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OutcomeView {
    pub outcome: OutcomeKind,
    pub reason: ReasonView,
    /// What became of it, in a sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
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
        Self { outcome: OutcomeKind::of(outcome), reason: ReasonView::of(outcome.reason()), message: None }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_a_newer_server_is_shown_as_it_is() {
        assert_eq!(CodeView::from("paused".to_owned()), CodeView::Known(Code::Paused));
        let newer = CodeView::from("of_a_newer_release".to_owned());
        assert_eq!((newer.known(), newer.as_str()), (None, "of_a_newer_release"));
        assert_eq!(String::from(newer), "of_a_newer_release");
    }
}
