//! Holds: launches are held back for a scope in which GitHub refuses
//! registrations, a class whose runners do not start, or a placement without
//! capacity, until a probe succeeds.
//!
//! A hold is an open record, so that any process that plans next knows it.
//! [`crate::decide::plan`] decides which launches it holds back.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::id::ClassName;
use crate::rules::class::size::Arch;
use crate::rules::placement::Placement;
use crate::rules::pool::Scope;

/// How long a class whose circuit breaker is open is held before a probe is
/// made, and the longest that a scope is.
pub const PROBE_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// Faults of one kind in a row that open a class's circuit breaker.
pub const BREAKER_FAULTS: u32 = 5;
/// The first wait after GitHub has refused a registration in a scope; doubled with each further refusal. GitHub refuses
/// now and then what it accepts a moment later.
const REFUSAL_WAIT: SignedDuration = SignedDuration::from_secs(2);
/// Refusals in a row after which a person may have to act.
const ALARMING_REFUSALS: u32 = 3;
/// The first wait for capacity, in a placement; doubled with each further refusal.
const CAPACITY_WAIT: SignedDuration = SignedDuration::from_secs(15);
const LONGEST_CAPACITY_WAIT: SignedDuration = SignedDuration::from_mins(5);
/// The wait after one fault of a class; doubled with each further one.
const FAULT_WAIT: SignedDuration = SignedDuration::from_millis(500);
/// Faults of a class that are further apart do not count as in a row.
const ROW: SignedDuration = SignedDuration::from_hours(1);
const WORDS_CHARS: usize = 160;

/// What is held back.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Held {
    /// Registrations in a scope.
    Scope(Scope),
    /// Launches of a class.
    Class(ClassName),
    /// Launches into a placement.
    Placement {
        placement: Placement,
        /// x64 and arm64 have separate capacity.
        arch: Arch,
    },
}

/// A hold and its cause.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// What is held back.
    pub held: Held,
    /// Failures in a row.
    pub failures: u32,
    /// The message of the last failure.
    pub words: Arc<str>,
    /// When the last failure was.
    pub latest: Timestamp,
    /// When a probe may be made.
    pub not_before: Timestamp,
}

impl Hold {
    /// Returns the hold after one more failure.
    #[must_use]
    pub fn after(before: Option<&Self>, held: Held, words: &str, at: Timestamp) -> Self {
        let words: Arc<str> = words.chars().take(WORDS_CHARS).collect::<String>().into();
        let row = before.filter(|before| match held {
            Held::Class(_) => is_of_one_kind(&before.words, &words) && at.duration_since(before.latest) < ROW,
            Held::Scope(_) | Held::Placement { .. } => true,
        });
        let failures = row.map_or(0, |before| before.failures).saturating_add(1);
        let doubled = |first: SignedDuration, most: SignedDuration| {
            (first * (1 << failures.saturating_sub(1).min(16))).min(most)
        };
        let wait = match held {
            Held::Scope(_) => doubled(REFUSAL_WAIT, PROBE_AFTER),
            Held::Class(_) if failures >= BREAKER_FAULTS => PROBE_AFTER,
            Held::Class(_) => doubled(FAULT_WAIT, PROBE_AFTER),
            Held::Placement { .. } => doubled(CAPACITY_WAIT, LONGEST_CAPACITY_WAIT),
        };
        Self { held, failures, words, latest: at, not_before: at + wait }
    }

    /// Whether a person may have to act: GitHub keeps refusing, or runners of a class do not start.
    #[must_use]
    pub fn is_alarming(&self) -> bool {
        (matches!(self.held, Held::Scope(_)) && self.failures >= ALARMING_REFUSALS) || self.is_open_breaker()
    }

    /// Whether the class's circuit breaker is open: then it is launched once at a time, as a probe.
    #[must_use]
    pub fn is_open_breaker(&self) -> bool {
        matches!(self.held, Held::Class(_)) && self.failures >= BREAKER_FAULTS
    }
}

impl Held {
    #[must_use]
    pub fn placement(placement: Placement, arch: Arch) -> Self {
        Self::Placement { placement, arch }
    }
}

/// Whether two messages differ only in what names a single case: numbers, addresses, ids, digests.
fn is_of_one_kind(one: &str, other: &str) -> bool {
    let plain = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic());
    let split = |c: char| {
        c.is_whitespace() || matches!(c, ':' | ',' | ';' | '(' | ')' | '`' | '\'' | '"' | '[' | ']')
    };
    one.split(split).filter(plain).eq(other.split(split).filter(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_differ_in_numbers_and_addresses_are_of_one_kind() {
        let pull = |address: &str, retries: u32| {
            format!(
                "CannotPullContainerError: pull image manifest has been retried {retries} time(s): failed to \
                 resolve ref 1.dkr.ecr/x:1: dial tcp {address}:443: i/o timeout"
            )
        };
        assert!(is_of_one_kind(&pull("3.5.141.17", 1), &pull("3.5.149.34", 5)));
        assert!(is_of_one_kind("exit code 1: task 0123abcd gone", "exit code 2: task 4567ef01 gone"));
        assert!(!is_of_one_kind(&pull("3.5.141.17", 1), "CannotPullContainerError: manifest unknown"));
        assert!(!is_of_one_kind("no listener", "no session"));
    }
}
