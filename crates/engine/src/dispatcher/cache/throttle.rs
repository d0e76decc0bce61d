//! When launches may come again after AWS has throttled one. They rest, and then one of them is tried alone.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ecsrunner_core::clock::{end_of_wait, has_passed};
use ecsrunner_core::rules::cost::Market;
use jiff::{SignedDuration, Timestamp};

use super::Cache;

/// The longest rest, however often AWS has throttled launches.
const LONGEST_REST: SignedDuration = SignedDuration::from_secs(30);
/// How long the others wait for the answer to a launch that is tried alone.
const TRY_LIMIT: SignedDuration = SignedDuration::from_secs(5);
/// How often they look whether it is there.
const LOOK: SignedDuration = SignedDuration::from_millis(100);

/// The rests of each market.
#[derive(Default, Debug)]
pub(super) struct Rests {
    rests: HashMap<Market, Rest>,
    /// The markets on which this process has launched something.
    begun: HashSet<Market>,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Timestamp,
    /// How long it lasted; zero if this process does not know whether there was one.
    lasted: SignedDuration,
    /// When the launch that is tried alone was asked for.
    tried_at: Option<Timestamp>,
}

impl Rest {
    fn over_at(&self, now: Timestamp) -> Option<Timestamp> {
        let is_tried = self.tried_at.is_some_and(|at| !has_passed(TRY_LIMIT, at, now));
        let until = self.ends_at(now);
        if now < until { Some(until) } else { is_tried.then(|| now + LOOK) }
    }

    fn ends_at(&self, now: Timestamp) -> Timestamp {
        end_of_wait(self.until, self.lasted, now)
    }
}

impl Rests {
    fn begin(&mut self, market: Market, least: Duration, asked_at: Timestamp, now: Timestamp) -> Timestamp {
        let before = self.rests.get(&market).copied();
        // Launches that were asked for together are throttled together.
        if let Some(rest) = before.filter(|rest| asked_at < rest.ends_at(now)) {
            return rest.until;
        }
        let least = SignedDuration::try_from(least).unwrap_or(LONGEST_REST);
        let doubled = before.map_or(SignedDuration::ZERO, |rest| rest.lasted * 2);
        let lasted = doubled.min(LONGEST_REST).max(least);
        let until = now + lasted;
        self.rests.insert(market, Rest { until, lasted, tried_at: None });
        until
    }

    fn admit(&mut self, market: Market, is_low: bool, now: Timestamp) -> bool {
        if self.begun.insert(market) && is_low {
            let unknown = Rest { until: now, lasted: SignedDuration::ZERO, tried_at: None };
            self.rests.entry(market).or_insert(unknown);
        }
        let Some(rest) = self.rests.get_mut(&market) else { return true };
        if rest.over_at(now).is_some() {
            return false;
        }
        rest.tried_at = Some(now);
        true
    }
}

impl Cache {
    /// Notes that AWS has throttled a launch. Returns until when launches on its market rest: at least this long, and
    /// twice as long as the time before if no launch was accepted since.
    pub(crate) fn throttled(
        &self,
        market: Market,
        least: Duration,
        asked_at: Timestamp,
        now: Timestamp,
    ) -> Timestamp {
        self.lock().rests.begin(market, least, asked_at, now)
    }

    /// Notes that AWS has answered a launch without throttling it.
    pub(crate) fn not_throttled(&self, market: Market, asked_at: Timestamp) {
        let rests = &mut self.lock().rests.rests;
        if rests.get(&market).is_some_and(|rest| asked_at >= rest.until) {
            rests.remove(&market);
        }
    }

    /// Whether a launch on this market may be asked for now. After a rest only one may, until AWS has answered it. The
    /// first one of a process is tried alone too if the level `is_low`, since it may have been set by a throttled launch.
    pub(crate) fn admit_launch(&self, market: Market, is_low: bool, now: Timestamp) -> bool {
        self.lock().rests.admit(market, is_low, now)
    }

    /// Returns when to look again whether a launch on this market may be asked for; `None` if it may now.
    pub(crate) fn launch_rests_until(&self, market: Market, now: Timestamp) -> Option<Timestamp> {
        self.lock().rests.rests.get(&market).and_then(|rest| rest.over_at(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKET: Market = Market::OnDemand;
    const LEAST: Duration = Duration::from_secs(2);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(secs).unwrap()
    }

    #[test]
    fn each_rest_in_a_row_is_twice_as_long_up_to_half_a_minute() {
        let cache = Cache::default();
        let mut now = at(0);
        let mut rests = Vec::new();
        for _ in 0..6 {
            let until = cache.throttled(MARKET, LEAST, now, now);
            rests.push(until.duration_since(now).as_secs());
            now = until;
        }
        assert_eq!(rests, [2, 4, 8, 16, 30, 30]);
        assert_eq!(cache.launch_rests_until(Market::Spot, at(0)), None, "each market has its own");
    }

    #[test]
    fn launches_that_were_asked_for_before_a_rest_lengthen_it_by_nothing() {
        let cache = Cache::default();
        assert_eq!(cache.throttled(MARKET, LEAST, at(10), at(10)), at(12));
        assert_eq!(cache.throttled(MARKET, LEAST, at(10), at(11)), at(12));
        assert_eq!(cache.launch_rests_until(MARKET, at(11)), Some(at(12)));
        assert!(!cache.admit_launch(MARKET, false, at(11)));
    }

    #[test]
    fn after_a_rest_one_launch_is_tried_and_its_answer_lets_all_others_come() {
        let cache = Cache::default();
        cache.throttled(MARKET, LEAST, at(0), at(0));
        assert!(cache.admit_launch(MARKET, false, at(2)));
        assert!(!cache.admit_launch(MARKET, false, at(2)), "it is tried alone");
        assert_eq!(cache.launch_rests_until(MARKET, at(2)), Some(at(2) + LOOK));
        cache.not_throttled(MARKET, at(1));
        assert!(!cache.admit_launch(MARKET, false, at(3)), "that one was asked for before the rest was over");
        cache.not_throttled(MARKET, at(2));
        assert!(cache.admit_launch(MARKET, false, at(3)));
        assert!(cache.admit_launch(MARKET, false, at(3)));
        assert_eq!(cache.throttled(MARKET, LEAST, at(3), at(3)), at(5), "a series of its own");
    }

    #[test]
    fn a_tried_launch_without_an_answer_gives_way_to_another() {
        let cache = Cache::default();
        cache.throttled(MARKET, LEAST, at(0), at(0));
        assert!(cache.admit_launch(MARKET, false, at(2)));
        assert!(cache.admit_launch(MARKET, false, at(7)));
    }

    #[test]
    fn a_process_that_begins_with_a_low_level_tries_one_launch_alone() {
        let cache = Cache::default();
        assert!(cache.admit_launch(MARKET, true, at(0)));
        assert!(!cache.admit_launch(MARKET, true, at(0)));
        cache.not_throttled(MARKET, at(0));
        assert!(cache.admit_launch(MARKET, true, at(1)), "its own launches make the level low as well");
        assert!(cache.admit_launch(MARKET, true, at(1)));
    }
}
