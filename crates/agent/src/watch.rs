//! Watches whether the listener still attends to its job.
//!
//! A job's processes run as the listener's user. They can stop the listener (SIGSTOP) or kill its worker, leave their
//! session and live on. The listener then prints nothing more and never ends. So this watch reads the list of processes
//! alone, and none of the listener's output.

use std::time::{Duration, Instant};

/// How many looks without a worker make the limit.
const LOOKS: u32 = 6;

/// The looks so far, from the moment when the job's hook has checked in: the listener has a worker then.
pub(crate) struct Watch {
    limit: Duration,
    /// Since when each look found the listener stopped or without a worker.
    since: Option<Instant>,
    next_at: Instant,
}

impl Watch {
    pub(crate) fn from(now: Instant, limit: Duration) -> Self {
        Self { limit, since: None, next_at: now + limit / LOOKS }
    }

    /// When to look next.
    pub(crate) fn next_at(&self) -> Instant {
        self.next_at
    }

    /// Adds a look. Returns whether the job has been unattended for the limit.
    pub(crate) fn looked(&mut self, now: Instant, is_attended: bool) -> bool {
        self.next_at = now + self.limit / LOOKS;
        if is_attended {
            self.since = None;
            return false;
        }
        now.duration_since(*self.since.get_or_insert(now)) >= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_looks_without_a_worker_for_the_whole_limit_end_the_job() {
        let limit = Duration::from_secs(60);
        let began = Instant::now();
        let after = |secs| began + Duration::from_secs(secs);
        let mut watch = Watch::from(began, limit);
        assert_eq!(watch.next_at(), after(10));
        for (secs, is_attended, is_over) in
            [(10, true, false), (20, false, false), (70, false, false), (75, true, false), (80, false, false)]
        {
            assert_eq!(watch.looked(after(secs), is_attended), is_over, "after {secs} s");
        }
        assert!(!watch.looked(after(139), false));
        assert!(watch.looked(after(140), false));
    }
}
