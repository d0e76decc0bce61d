//! Where the listener stands, by what it has said so far.

use std::time::Instant;

use crate::lines::Hint;

/// Only ever moves forward: a line that belongs to an earlier phase is ignored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Started, and not heard of.
    Starting,
    /// In a session with GitHub.
    Connected,
    /// Waiting for a job.
    Listening,
    /// Executing a job.
    Running { job: String, since: Instant },
    /// Done with its job.
    Completed { job: String, result: String, since: Instant },
}

impl Phase {
    /// The phase that a hint leads to; `None` where it leads nowhere new.
    pub(crate) fn after(&self, hint: Hint, now: Instant) -> Option<Self> {
        let next = match hint {
            Hint::Connected => Self::Connected,
            Hint::Listening => Self::Listening,
            Hint::Running { job } => Self::Running { job, since: now },
            Hint::Completed { job, result } => Self::Completed { job, result, since: now },
        };
        (next.rank() > self.rank()).then_some(next)
    }

    /// Whether a job was given to this runner.
    pub(crate) fn job_seen(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::Completed { .. })
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Starting => 0,
            Self::Connected => 1,
            Self::Listening => 2,
            Self::Running { .. } => 3,
            Self::Completed { .. } => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_an_earlier_phase_changes_nothing() {
        let now = Instant::now();
        let running = Phase::Starting.after(Hint::Running { job: "build".into() }, now).unwrap();
        assert!(running.job_seen());
        assert_eq!(running.after(Hint::Listening, now), None);
        assert_eq!(running.after(Hint::Running { job: "other".into() }, now), None);
        assert_eq!(Phase::Connected.after(Hint::Listening, now), Some(Phase::Listening));
    }
}
