//! Stored times and a clock that was set back.
//!
//! Records hold times at which something may happen again, and times at which it last happened. If the clock is set back,
//! such times lie further in the future than any rule puts them, and launches would stop until the clock has caught up.
//! [`set_back`] finds that out, and everything here follows from it:
//!
//! - A record that says when it was written is moved back as a whole, so its pause begins again and is never shortened.
//! - A wait whose rule has a longest time is over if it would last longer than that.
//! - What last happened in the future counts as long ago, so it is done again.
//!
//! What does not belong here: limits that end something, such as a job's. They only last longer, by at most as much as
//! the clock was set back, because a wrong clock must end no job.

use jiff::{SignedDuration, Timestamp};

/// By how much the clocks of two processes of a deployment may differ.
pub const SKEW: SignedDuration = SignedDuration::from_secs(1);

/// Returns by how much, at least, the clock has been set back since something was written at `written_at`; `None` if it
/// was not, or by no more than [`SKEW`].
#[must_use]
pub fn set_back(written_at: Timestamp, now: Timestamp) -> Option<SignedDuration> {
    let by = written_at.duration_since(now);
    (by > SKEW).then_some(by)
}

/// Returns when a wait ends that lasts for `longest` at most: at `until`, or now if the clock has been set back since.
#[must_use]
pub fn end_of_wait(until: Timestamp, longest: SignedDuration, now: Timestamp) -> Timestamp {
    let is_too_far = set_back(until.saturating_sub(longest).unwrap_or(Timestamp::MIN), now).is_some();
    if is_too_far { now } else { until }
}

/// Whether `period` has passed since `at`, or the clock has been set back since.
#[must_use]
pub fn has_passed(period: SignedDuration, at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at) >= period || set_back(at, now).is_some()
}

/// Returns when something was last done; `None` also if the clock has been set back since, so that it is done again.
#[must_use]
pub fn last_done(at: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    at.filter(|at| set_back(*at, now).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: SignedDuration = SignedDuration::from_mins(1);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_764_000_000 + secs).unwrap()
    }

    #[test]
    fn a_time_of_writing_in_the_future_shows_by_how_much_the_clock_was_set_back() {
        assert_eq!(set_back(at(0), at(10)), None);
        assert_eq!(set_back(at(1), at(0)), None, "another process may be a little ahead");
        assert_eq!(set_back(at(3600), at(0)), Some(SignedDuration::from_hours(1)));
    }

    #[test]
    fn a_wait_lasts_to_its_end_unless_it_would_last_longer_than_its_longest() {
        assert_eq!(end_of_wait(at(60), MINUTE, at(0)), at(60));
        assert_eq!(end_of_wait(at(60), MINUTE, at(70)), at(60));
        assert_eq!(end_of_wait(at(61), MINUTE, at(0)), at(61), "another process may be a little ahead");
        assert_eq!(end_of_wait(at(62), MINUTE, at(0)), at(0));
        assert_eq!(end_of_wait(Timestamp::MIN, MINUTE, at(0)), Timestamp::MIN);
    }

    #[test]
    fn what_was_done_in_the_future_was_done_long_ago() {
        assert_eq!([59, 60].map(|now| has_passed(MINUTE, at(0), at(now))), [false, true]);
        assert!(!has_passed(MINUTE, at(1), at(0)));
        assert!(has_passed(MINUTE, at(2), at(0)));
        assert_eq!(last_done(Some(at(0)), at(0)), Some(at(0)));
        assert_eq!(last_done(Some(at(2)), at(0)), None);
    }
}
