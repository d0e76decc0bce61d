//! Keeps events that strangers cause at will from filling a log.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// Of equal events, one in this time is logged.
const EVERY: SignedDuration = SignedDuration::from_mins(1);

/// Selects which of many events are logged: in each minute the first of each kind.
#[derive(Default, Debug)]
pub struct Seldom(Mutex<HashMap<&'static str, Logged>>);

#[derive(Debug)]
struct Logged {
    at: Timestamp,
    left_out: u64,
}

impl Seldom {
    /// Returns how many events of this kind were left out since the last one that was logged, or `None` if this one is
    /// left out too.
    pub fn admit(&self, kind: &'static str, now: Timestamp) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kinds.get_mut(kind) {
            Some(logged) if now.duration_since(logged.at).abs() < EVERY => {
                logged.left_out += 1;
                None
            }
            known => {
                let left_out = known.map_or(0, |logged| logged.left_out);
                kinds.insert(kind, Logged { at: now, left_out: 0 });
                Some(left_out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_kind_in_a_minute_is_logged_with_the_number_of_those_before() {
        let seldom = Seldom::default();
        let at = |secs: i64| Timestamp::from_second(1_700_000_000 + secs).unwrap();
        assert_eq!(seldom.admit("a", at(0)), Some(0));
        assert_eq!(seldom.admit("a", at(1)), None);
        assert_eq!(seldom.admit("b", at(2)), Some(0));
        assert_eq!(seldom.admit("a", at(59)), None);
        assert_eq!(seldom.admit("a", at(60)), Some(2));
        assert_eq!(seldom.admit("a", at(61)), None);
        // A clock that was set back does not silence it.
        assert_eq!(seldom.admit("a", at(-3_600)), Some(1));
    }
}
