//! The listener's phase, derived from its output so far.

use std::time::Instant;

use crate::lines::Hint;

/// Only moves forward: a line that belongs to an earlier phase is ignored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Started. It may have a session with GitHub, but does not wait for a job yet.
    Starting,
    /// Connected, and waiting for a job.
    Listening,
    /// Executing a job. `since` is when its line about the job was read.
    Running { since: Instant },
    /// Its job has ended.
    Completed { result: String, since: Instant },
}

impl Phase {
    /// The phase after a hint; `None` if it stays the same.
    pub(crate) fn after(&self, hint: &Hint, now: Instant) -> Option<Self> {
        let next = match hint {
            Hint::Listening => Self::Listening,
            Hint::Running { .. } => Self::Running { since: now },
            Hint::Completed { result } => Self::Completed { result: result.clone(), since: now },
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
            Self::Listening => 1,
            Self::Running { .. } => 2,
            Self::Completed { .. } => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_an_earlier_phase_changes_nothing() {
        let now = Instant::now();
        let running = Phase::Starting.after(&Hint::Running { job: "build".into() }, now).unwrap();
        assert!(running.job_seen());
        assert_eq!(running.after(&Hint::Listening, now), None);
        assert_eq!(running.after(&Hint::Running { job: "other".into() }, now), None);
        assert_eq!(Phase::Starting.after(&Hint::Listening, now), Some(Phase::Listening));
    }
}
