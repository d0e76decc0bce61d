//! Holds: launches are held back where runners fail, until one succeeds there.
//!
//! A fault is held against the narrowest place that explains it: a pool, a class in one placement, a class, a
//! placement, a scope or an account at GitHub. A hold is an open record, so that any process that plans next knows it.
//! [`crate::decide::learn`] derives holds from the ends of runners, and [`crate::decide::plan`] decides which launches
//! they hold back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::clock::set_back;
use crate::id::{Account, ClassName, PoolId};
use crate::rules::class::size::Arch;
use crate::rules::pace::Bucket;
use crate::rules::placement::Placement;
use crate::rules::pool::Scope;
use crate::wire::fault::{Fault, Suspect};

/// Failures of different pools after which they are no coincidence.
pub const SEVERAL_POOLS: usize = 3;
/// Failures in a row after which a person may have to act.
const ALARMING: u32 = 5;
/// Refusals in a row of a scope after which a person may have to act.
const ALARMING_REFUSALS: u32 = 3;
/// Refused runners in a row after which launches are held: a single one may come from a mistake in one workflow.
const REFUSED_RUNNERS: u32 = 3;
/// A failure this long after a try was allowed begins a new row.
const ROW: SignedDuration = SignedDuration::from_hours(1);
const WORDS_CHARS: usize = 160;

/// What is held back.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Held {
    /// Registrations in a scope.
    Scope(Scope),
    /// Launches of a class.
    Class(ClassName),
    /// Launches into a placement without capacity.
    Placement {
        placement: Placement,
        /// x64 and arm64 have separate capacity.
        arch: Arch,
    },
    /// Registrations that count against one installation or token.
    Account(Account),
    /// Launches for a pool.
    Pool(PoolId),
    /// Launches of a class into a placement where its runners fail.
    ClassIn { class: ClassName, placement: Placement },
    /// Launches of warm tasks of a class. Jobs do not wait for it.
    Warm(ClassName),
}

/// A hold and its cause.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// What is held back.
    pub held: Held,
    /// The kind of the last failure.
    pub fault: Fault,
    /// Tries in a row that failed, each made when the failure before was known. Runners that fail together count as one;
    /// runners that are refused count each.
    pub failures: u32,
    /// Whose failures these are; a bounded sample.
    pub seen: Seen,
    /// The message of the last failure.
    pub words: Arc<str>,
    /// Since when launches have been held back without a success. Failures that follow each other leave it as it is.
    pub since: Timestamp,
    /// When the last failure was.
    pub latest: Timestamp,
    /// When the next try may be made.
    pub not_before: Timestamp,
    /// In a placement without capacity: the CPU units of our own tasks on its market that had room. As many have room
    /// again as soon as one of them ends.
    pub fits_cpu: Option<u32>,
}

/// Which pools failed, and in which placements: at most [`SEVERAL_POOLS`] of each.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Seen {
    pub pools: BTreeSet<PoolId>,
    pub placements: BTreeSet<Placement>,
}

/// One failure, as a hold counts it.
#[derive(Clone, Debug)]
pub struct Failure<'a> {
    pub fault: Fault,
    pub words: &'a str,
    /// When the try began: a launch, or a call.
    pub began_at: Timestamp,
    pub at: Timestamp,
    pub pool: Option<&'a PoolId>,
    pub placement: Option<&'a Placement>,
    /// Only for [`Fault::NoCapacity`]: CPU units of our own tasks on the placement's market at that time.
    pub running_cpu: Option<u32>,
}

impl<'a> Failure<'a> {
    /// A failure that is known by its kind, its words and its times alone.
    #[must_use]
    pub fn of(fault: Fault, words: &'a str, began_at: Timestamp, at: Timestamp) -> Self {
        Self { fault, words, began_at, at, pool: None, placement: None, running_cpu: None }
    }
}

/// How long a hold lasts after a failure: the first pause, how much longer each further one is, and the longest.
struct Pauses {
    first: SignedDuration,
    factor: u32,
    longest: SignedDuration,
}

impl Pauses {
    const fn secs(first: i64, factor: u32, longest: i64) -> Self {
        let (first, longest) = (SignedDuration::from_secs(first), SignedDuration::from_secs(longest));
        Self { first, factor, longest }
    }

    fn of(held: &Held, fault: Fault) -> Self {
        match held {
            // GitHub is back within minutes, and jobs wait for that.
            Held::Scope(_) | Held::Account(_) if fault.rests_registrations() => Self::secs(1, 2, 45),
            // GitHub refuses now and then what it accepts a moment later.
            Held::Scope(_) | Held::Account(_) => Self::secs(2, 2, 5 * 60),
            Held::Placement { .. } => Self::secs(15, 2, 5 * 60),
            Held::Class(_) => Self::secs(15, 4, 5 * 60),
            Held::ClassIn { .. } => Self::secs(2, 4, 10 * 60),
            // Each try costs, and no job waits for it.
            Held::Warm(_) => Self::secs(60, 4, 60 * 60),
            Held::Pool(_) if fault == Fault::GithubUnavailable => Self::secs(10, 4, 5 * 60),
            // A refused job is over at once, and with each of them the flood is less: a long pause would only make the jobs
            // of this pool wait for longer.
            Held::Pool(_) if fault == Fault::JobRefused => Self::secs(10, 2, 60),
            // Unused runners: labels or a group have to be changed, which takes a person.
            Held::Pool(_) if fault.suspect() == Suspect::Use => Self::secs(10, 4, 60 * 60),
            Held::Pool(_) => Self::secs(10, 4, 15 * 60),
        }
    }

    fn after(&self, failures: u32) -> SignedDuration {
        let factor = self.factor.saturating_pow(failures.saturating_sub(1).min(15));
        let millis = self.first.as_millis().saturating_mul(i128::from(factor));
        let most = self.longest.as_millis();
        SignedDuration::from_millis(i64::try_from(millis.min(most)).unwrap_or(i64::MAX))
    }
}

impl Hold {
    /// Returns the hold after one more failure. A try that began before the last failure was known failed for the same
    /// cause, so it makes the pause no longer.
    #[must_use]
    pub fn after(before: Option<&Self>, held: Held, failure: &Failure<'_>) -> Self {
        let at = failure.at;
        // Refused runners count each, so they and other faults make no common row.
        let is_refusal = |fault| fault == Fault::JobRefused;
        let row = before.filter(|before| {
            at.duration_since(before.not_before) < ROW
                && is_refusal(before.fault) == is_refusal(failure.fault)
        });
        let failures = match row {
            None => 1,
            Some(before) if failure.began_at <= before.latest => before.failures,
            Some(before) => before.failures.saturating_add(1),
        };
        let mut seen = row.map(|before| before.seen.clone()).unwrap_or_default();
        add_some(&mut seen.pools, failure.pool);
        add_some(&mut seen.placements, failure.placement);
        let pause = Pauses::of(&held, failure.fault).after(failures);
        // A hold that was only suspected held nothing back.
        let since = row.filter(|before| before.is_effective()).map_or(at, |before| before.since);
        Self {
            held,
            fault: failure.fault,
            failures,
            seen,
            words: failure.words.chars().take(WORDS_CHARS).collect::<String>().into(),
            since,
            latest: row.map_or(at, |before| at.max(before.latest)),
            not_before: row.map_or(at + pause, |before| before.not_before.max(at + pause)),
            fits_cpu: failure.running_cpu,
        }
    }

    /// Returns the hold of an account that GitHub asked to come back at `until`.
    #[must_use]
    pub fn throttled(
        before: Option<&Self>,
        account: Account,
        words: &str,
        at: Timestamp,
        until: Timestamp,
    ) -> Self {
        let hold = Self::after(None, Held::Account(account), &Failure::of(Fault::Throttled, words, at, at));
        Self { not_before: before.map_or(until, |before| before.not_before.max(until)), ..hold }
    }

    /// Returns the hold as if its last failure had been now, if the clock has been set back since. Its pause begins again, so
    /// it is not shortened.
    #[must_use]
    pub fn moved_back(&self, now: Timestamp) -> Option<Self> {
        let by = set_back(self.latest, now)?;
        let (since, latest, not_before) = (self.since - by, self.latest - by, self.not_before - by);
        Some(Self { since, latest, not_before, ..self.clone() })
    }

    /// Whether launches are held back. A class, or a class in a placement, is only suspected at first: while faults of
    /// its runners may as well lie in their pools. A pool whose runner was refused is only suspected, too.
    #[must_use]
    pub fn is_effective(&self) -> bool {
        match &self.held {
            Held::Pool(_) if self.fault == Fault::JobRefused => self.failures >= REFUSED_RUNNERS,
            Held::Scope(_) | Held::Account(_) | Held::Placement { .. } | Held::Pool(_) | Held::Warm(_) => {
                true
            }
            Held::ClassIn { .. } => {
                self.fault.suspect() == Suspect::Start
                    || self.failures >= 2
                    || self.seen.pools.len() >= SEVERAL_POOLS
            }
            Held::Class(_) => self.seen.pools.len() >= SEVERAL_POOLS && self.seen.placements.len() >= 2,
        }
    }

    /// Whether a person may have to act.
    #[must_use]
    pub fn is_alarming(&self) -> bool {
        match &self.held {
            Held::Placement { .. } => false,
            Held::Scope(_) | Held::Account(_) if !self.fault.rests_registrations() => {
                self.failures >= ALARMING_REFUSALS
            }
            // After two minutes.
            Held::Scope(_) | Held::Account(_) => self.failures >= ALARMING + 3,
            Held::Class(_) => self.is_effective(),
            Held::Pool(_) | Held::ClassIn { .. } | Held::Warm(_) => {
                self.is_effective() && self.failures >= ALARMING
            }
        }
    }
}

/// Returns until when a hold rests what draws from a bucket; `None` if there is none.
#[must_use]
pub fn rests_until(holds: &BTreeMap<Held, Hold>, bucket: &Bucket, now: Timestamp) -> Option<Timestamp> {
    let Bucket::GitHub(account) = bucket else { return None };
    let hold = holds.get(&Held::Account(account.clone()))?;
    Some(hold.moved_back(now).map_or(hold.not_before, |moved| moved.not_before))
}

impl Held {
    #[must_use]
    pub fn placement(placement: Placement, arch: Arch) -> Self {
        Self::Placement { placement, arch }
    }

    #[must_use]
    pub fn class_in(class: ClassName, placement: Placement) -> Self {
        Self::ClassIn { class, placement }
    }
}

fn add_some<T: Clone + Ord>(sample: &mut BTreeSet<T>, one: Option<&T>) {
    if sample.len() < SEVERAL_POOLS
        && let Some(one) = one
    {
        sample.insert(one.clone());
    }
}

#[cfg(test)]
mod tests;
