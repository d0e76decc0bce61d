//! How fast launches may come: one bucket for each rate limit of AWS or GitHub,
//! by the generic cell rate algorithm.
//!
//! A bucket's whole state is one time, so that a store can take slots with one
//! atomic write.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::clock::set_back;
use crate::id::{Account, Repository};
use crate::rules::cost::Market;

/// What a launch takes a slot from.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Bucket {
    /// Just-in-time configurations of one installation or token.
    GitHub(Account),
    /// Launches of one capacity provider in the Region.
    Fargate(Market),
    /// One of the runners an hour that fail a repository's jobs on purpose, by its number from 0. A bucket for each of
    /// them makes the limit strict: no hour has more.
    Failure(Repository, u8),
}

impl Bucket {
    /// How many jobs of a repository are failed on purpose within an hour.
    pub const FAILURES_AN_HOUR: u8 = 10;
    /// How long a slot for such a job is taken.
    pub const FAILURE_TAKEN: SignedDuration = SignedDuration::from_hours(1);

    /// Returns the buckets that limit a repository's jobs that are failed on purpose.
    pub fn failures(repository: &Repository) -> impl Iterator<Item = Self> {
        (0..Self::FAILURES_AN_HOUR).map(|number| Self::Failure(repository.clone(), number))
    }
}

/// How long before its time a slot is taken, at most. A step waits for a slot for 6 s, and launches that AWS throttles rest
/// for up to 30 s.
const AHEAD: SignedDuration = SignedDuration::from_mins(1);

/// How many slots there are at once, and how many later on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Slots that a full bucket gives at once.
    pub burst: u32,
    /// Slots that it gives each minute after that.
    pub per_minute: u32,
}

/// The rates of a deployment's launches.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Paces {
    /// Registrations for each GitHub App installation. GitHub's secondary
    /// limit is 900 points a minute for an endpoint, and a POST takes 5 of them.
    pub github: Rate,
    /// RunTask for each capacity provider. Fargate's own limit is a bucket of
    /// 100, refilled with 20 a second; 25 and 5 in its newest Regions.
    pub fargate: Rate,
}

impl Default for Paces {
    fn default() -> Self {
        Self {
            // Nine tenths of GitHub's 180 a minute, and never more than 15 + 162 within any minute.
            github: Rate { burst: 15, per_minute: 162 },
            fargate: Rate { burst: 100, per_minute: 1200 },
        }
    }
}

impl Paces {
    #[must_use]
    pub fn rate(&self, bucket: &Bucket) -> Rate {
        match bucket {
            Bucket::GitHub(_) => self.github,
            Bucket::Fargate(_) => self.fargate,
            // Its slot is taken for an hour, whatever the rate.
            Bucket::Failure(..) => Rate { burst: 1, per_minute: 1 },
        }
    }

    /// Returns the level, unless it lies further ahead than it can have been set: then the clock was set back since, and
    /// the bucket counts as full. `rests_until` is when a hold ends for which the bucket was emptied.
    #[must_use]
    pub fn believe(
        &self,
        bucket: &Bucket,
        level: Level,
        rests_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Level> {
        let longest = match bucket {
            Bucket::GitHub(_) | Bucket::Fargate(_) => self.rate(bucket).fill_time() + AHEAD,
            Bucket::Failure(..) => Bucket::FAILURE_TAKEN,
        };
        let from = rests_until.map_or(now, |until| until.max(now));
        let set_at = level.0.saturating_sub(longest).unwrap_or(Timestamp::MIN);
        set_back(set_at, from).is_none().then_some(level)
    }
}

/// A bucket's state: the time at which it will be full again. A bucket without
/// a level is full.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Level(pub Timestamp);

impl Rate {
    /// Returns how many slots are available now.
    #[must_use]
    pub fn available(self, level: Option<Level>, now: Timestamp) -> u32 {
        let Level(untouched_at) = level.unwrap_or(Level(now));
        let missing = untouched_at.duration_since(now).max(SignedDuration::ZERO);
        // A slot that has been refilled only in part is not available.
        let missing = u64::try_from(missing.as_millis()).unwrap_or(u64::MAX);
        let taken = missing.div_ceil(u64::try_from(self.interval().as_millis()).unwrap_or(1).max(1));
        self.burst.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX))
    }

    /// Returns how many slots can be taken from now until `ahead` has passed, each at its time.
    #[must_use]
    pub fn within(self, level: Option<Level>, now: Timestamp, ahead: SignedDuration) -> u32 {
        let first = self.next_at(level, now);
        let left = (now + ahead).duration_since(first);
        if left.is_negative() {
            return 0;
        }
        let later = left.as_millis() / self.interval().as_millis().max(1);
        let burst = self.available(level, now).max(1);
        u32::try_from(later).unwrap_or(u32::MAX).saturating_add(burst)
    }

    /// Returns the level after `slots` have been taken.
    #[must_use]
    pub fn take(self, level: Option<Level>, slots: u32, now: Timestamp) -> Level {
        let from = level.map_or(now, |Level(at)| at.max(now));
        Level(from + self.interval() * i32::try_from(slots).unwrap_or(i32::MAX))
    }

    /// Returns when the next slot will be available.
    #[must_use]
    pub fn next_at(self, level: Option<Level>, now: Timestamp) -> Timestamp {
        level.map_or(now, |Level(at)| (at - self.tolerance()).max(now))
    }

    /// Returns the level of a bucket that gives nothing before `until`, and one slot then.
    #[must_use]
    pub fn empty_until(self, level: Option<Level>, until: Timestamp) -> Level {
        let held = Level(until + self.tolerance());
        level.map_or(held, |level| level.max(held))
    }

    fn interval(self) -> SignedDuration {
        SignedDuration::from_millis(i64::from(60_000_u32.div_ceil(self.per_minute.max(1))))
    }

    /// Returns how long it takes until an empty bucket is full.
    fn fill_time(self) -> SignedDuration {
        self.interval() * i32::try_from(self.burst).unwrap_or(i32::MAX)
    }

    fn tolerance(self) -> SignedDuration {
        self.interval() * i32::try_from(self.burst.saturating_sub(1)).unwrap_or(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, per_minute: 60 };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    #[test]
    fn an_untouched_bucket_gives_its_burst_and_then_its_rate() {
        assert_eq!(RATE.available(None, at(0)), 3);
        let level = Some(RATE.take(None, 3, at(0)));
        assert_eq!(RATE.available(level, at(0)), 0);
        assert_eq!(RATE.next_at(level, at(0)), at(1000));
        assert_eq!(RATE.available(level, at(999)), 0);
        assert_eq!(RATE.available(level, at(1000)), 1);
        assert_eq!(RATE.available(level, at(60_000)), 3);
    }

    #[test]
    fn a_minute_never_gives_more_than_burst_and_rate_together() {
        let (mut level, mut given) = (None, 0);
        for millis in (0..60_000).step_by(50) {
            let slots = RATE.available(level, at(millis));
            if slots > 0 {
                level = Some(RATE.take(level, slots, at(millis)));
                given += slots;
            }
        }
        assert_eq!(given, 62, "3 at once and one each second from then on");
    }

    #[test]
    fn slots_within_a_time_ahead_are_those_of_now_and_those_that_come() {
        let second = SignedDuration::from_secs(1);
        assert_eq!(RATE.within(None, at(0), SignedDuration::ZERO), 3);
        assert_eq!(RATE.within(None, at(0), second * 5), 8);
        let empty = Some(RATE.take(None, 3, at(0)));
        assert_eq!(RATE.within(empty, at(0), SignedDuration::ZERO), 0);
        assert_eq!(RATE.within(empty, at(0), second), 1);
        assert_eq!(RATE.within(empty, at(0), second * 5), 5);
        let ahead = Some(RATE.take(None, 10, at(0)));
        assert_eq!(RATE.within(ahead, at(0), second * 5), 0, "others have taken these");
    }

    #[test]
    fn a_wish_to_be_asked_later_gives_one_slot_then_and_no_burst() {
        let level = Some(RATE.empty_until(None, at(30_000)));
        assert_eq!(RATE.available(level, at(29_999)), 0);
        assert_eq!(RATE.next_at(level, at(0)), at(30_000));
        assert_eq!(RATE.available(level, at(30_000)), 1);
        let later = RATE.take(None, 3, at(60_000));
        assert_eq!(RATE.empty_until(Some(later), at(0)), later, "an earlier wish changes nothing");
    }

    #[test]
    fn a_level_further_ahead_than_a_rule_sets_it_is_of_a_clock_that_was_set_back() {
        let paces = Paces { fargate: RATE, github: RATE };
        let hour = SignedDuration::from_hours(1);
        let fargate = Bucket::Fargate(Market::OnDemand);
        let github = Bucket::GitHub(Account::parse("acme").unwrap());
        let believe = |bucket: &Bucket, level: Level, rests_until: Option<Timestamp>| {
            paces.believe(bucket, level, rests_until, at(0)) == Some(level)
        };
        let [full, empty] = [0, 3].map(|slots| RATE.take(None, slots, at(0)));
        for bucket in [&fargate, &github] {
            assert!(believe(bucket, full, None) && believe(bucket, empty, None));
            assert!(!believe(bucket, Level(full.0 + hour), None));
            assert!(!believe(bucket, Level(empty.0 + hour), None));
        }
        // AWS has throttled a launch, half a minute ago at most.
        assert!(believe(&fargate, RATE.empty_until(None, at(30_000)), None));
        // GitHub has asked for a rest of an hour, which a hold shows.
        let rests = RATE.empty_until(None, at(0) + hour);
        assert!(believe(&github, rests, Some(at(0) + hour)));
        assert!(!believe(&github, Level(rests.0 + hour), Some(at(0) + hour)));
        let failure = Bucket::Failure(Repository::parse("acme/app").unwrap(), 0);
        let taken = Level(at(0) + Bucket::FAILURE_TAKEN);
        assert!(believe(&failure, taken, None));
        assert!(!believe(&failure, Level(taken.0 + hour), None));
    }
}
