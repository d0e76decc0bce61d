//! Why a runner ended.

use crate::reason::Code;
use crate::wire_form::by_wire_form;

/// Why a runner ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EndingKind {
    /// It executed its job.
    Completed,
    /// Its pool had more supply than demand.
    Surplus,
    IdleTimeout,
    /// It did not start.
    BootFailed,
    /// The agent or the listener ended without reporting why.
    AgentCrashed,
    /// AWS took the capacity back.
    SpotInterrupted,
    /// GitHub no longer knows it.
    RegistrationLost,
    /// Its job ran longer than its limit.
    JobTimeout,
    /// An operator stopped it.
    StoppedByOperator,
    /// It was reserved and never launched.
    Withdrawn,
}

impl EndingKind {
    pub const ALL: [Self; 10] = [
        Self::Completed,
        Self::Surplus,
        Self::IdleTimeout,
        Self::BootFailed,
        Self::AgentCrashed,
        Self::SpotInterrupted,
        Self::RegistrationLost,
        Self::JobTimeout,
        Self::StoppedByOperator,
        Self::Withdrawn,
    ];

    /// Returns the reason code of the same name.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Completed => Code::Completed,
            Self::Surplus => Code::Surplus,
            Self::IdleTimeout => Code::IdleTimeout,
            Self::BootFailed => Code::BootFailed,
            Self::AgentCrashed => Code::AgentCrashed,
            Self::SpotInterrupted => Code::SpotInterrupted,
            Self::RegistrationLost => Code::RegistrationLost,
            Self::JobTimeout => Code::JobTimeout,
            Self::StoppedByOperator => Code::StoppedByOperator,
            Self::Withdrawn => Code::Withdrawn,
        }
    }

    /// The wire form, pinned.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.code().as_str()
    }

    /// Whether the task may be stopped even if it took its configuration and a job may run in it.
    #[must_use]
    pub const fn overrides_job(self) -> bool {
        matches!(self, Self::JobTimeout | Self::StoppedByOperator)
    }
}

by_wire_form!(EndingKind, "ending of a runner");
