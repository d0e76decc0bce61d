//! The observed times of the official runner 2.336, and their scale.
//!
//! `ECSRUNNER_SIM_TIME_SCALE` scales all of them by the same factor, so that tests
//! need not wait for minutes.

use std::time::Duration;

/// The variable with the scale: a factor above 0, 1 by default.
pub(crate) const SCALE_VARIABLE: &str = "ECSRUNNER_SIM_TIME_SCALE";

/// All times of the stand-in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    scale: f64,
}

impl Times {
    /// Reads the scale from the value of the variable.
    pub(crate) fn scaled_by(text: Option<&str>) -> Self {
        let scale = text.and_then(|text| text.parse::<f64>().ok()).filter(|scale| *scale > 0.0);
        Self { scale: scale.unwrap_or(1.0) }
    }

    fn secs(self, secs: f64) -> Duration {
        Duration::from_secs_f64(secs * self.scale)
    }

    /// Between two attempts to create a session.
    pub(crate) fn session_retry(self) -> Duration {
        self.secs(30.0)
    }

    /// How many session conflicts the listener accepts before it gives up.
    pub(crate) const SESSION_CONFLICTS: u32 = 8;

    /// How long the HTTP layer retries by itself if a service is not available (502 to 504).
    pub(crate) fn unavailable(self) -> Duration {
        self.secs(42.0)
    }

    /// Between the attempts of one call.
    pub(crate) fn call_retry(self) -> Duration {
        self.secs(10.0)
    }

    /// After a round of failed polls. Longer after the fifth round.
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

    /// From INT to TERM for a step's process.
    pub(crate) fn interrupt_grace(self) -> Duration {
        self.secs(7.5)
    }

    /// From TERM to KILL of its process tree.
    pub(crate) fn terminate_grace(self) -> Duration {
        self.secs(2.5)
    }

    /// How long to wait for output that other processes keep open.
    pub(crate) fn output_drain(self) -> Duration {
        self.secs(5.0)
    }
}
