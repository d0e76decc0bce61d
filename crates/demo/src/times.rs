//! The times of the official runner 2.336, as they were seen, and their scale.
//!
//! Tests do not wait for minutes: `ECSRUNNER_SIM_TIME_SCALE` shortens all of them
//! by the same factor.

use std::time::Duration;

/// A factor above 0, 1 by default.
pub(crate) const SCALE_VARIABLE: &str = "ECSRUNNER_SIM_TIME_SCALE";

/// Every time that the stand-in keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    scale: f64,
}

impl Times {
    /// By the value of the variable.
    pub(crate) fn scaled_by(text: Option<&str>) -> Self {
        let scale = text.and_then(|text| text.parse::<f64>().ok()).filter(|scale| *scale > 0.0);
        Self { scale: scale.unwrap_or(1.0) }
    }

    fn secs(self, secs: f64) -> Duration {
        Duration::from_secs_f64(secs * self.scale)
    }

    /// Between two tries of creating a session.
    pub(crate) fn session_retry(self) -> Duration {
        self.secs(30.0)
    }

    /// How many tries a session conflict is given.
    pub(crate) const SESSION_CONFLICTS: u32 = 8;

    /// How long the HTTP layer tries by itself where a service is not available (502 to 504).
    pub(crate) fn unavailable(self) -> Duration {
        self.secs(42.0)
    }

    /// Between the tries of one call.
    pub(crate) fn call_retry(self) -> Duration {
        self.secs(10.0)
    }

    /// Between rounds of failed polls: the first five, and those that follow.
    pub(crate) fn poll_retry(self, round: u32) -> Duration {
        self.secs(if round <= 5 { 22.0 } else { 45.0 })
    }

    /// Between renewals of a job's lock.
    pub(crate) fn renewal(self) -> Duration {
        self.secs(60.0)
    }

    /// Between failed first renewals.
    pub(crate) fn first_renewal_retry(self) -> Duration {
        self.secs(5.5)
    }

    /// How long the deletion of the session may take.
    pub(crate) fn session_deletion(self) -> Duration {
        self.secs(30.0)
    }

    /// From the INT of a step's process to TERM.
    pub(crate) fn interrupt_grace(self) -> Duration {
        self.secs(7.5)
    }

    /// From TERM to KILL of its tree.
    pub(crate) fn terminate_grace(self) -> Duration {
        self.secs(2.5)
    }

    /// How long output is waited for that others keep open.
    pub(crate) fn output_drain(self) -> Duration {
        self.secs(5.0)
    }
}
