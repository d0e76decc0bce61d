//! State of a dispatcher while it holds the lease: the running effects and the
//! remaining time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ecsrunner_core::clock::set_back;
use ecsrunner_core::id::{Epoch, PoolId};
use ecsrunner_core::records::runner::Runner;
use futures::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};

use super::cache::EffectKey;
use super::{DispatchOptions, LEASE_LENGTH, STEP_LIMIT};
use crate::ports::store::Lease;

/// The most effects at once, in total and for one pool. The limit per pool keeps
/// calls that hang for one repository from delaying the others.
const MAX_EFFECTS: usize = 64;
const MAX_EFFECTS_OF_POOL: usize = 32;
/// The most questions to GitHub at once. Each of them may be a call too many when GitHub throttles.
const MAX_QUESTIONS: usize = 8;

/// How far ahead launches are planned, at least and at most.
pub(super) const MIN_AHEAD: SignedDuration = SignedDuration::from_secs(1);
const MAX_AHEAD: SignedDuration = SignedDuration::from_secs(5);

/// The result of an effect.
pub(crate) struct Effected {
    pub(crate) key: EffectKey,
    pub(crate) news: News,
    /// The effect is not started again before this time. Set if its record does not say so.
    pub(crate) rest_until: Option<Timestamp>,
    /// When more work will be due if no event arrives.
    pub(crate) next_at: Option<Timestamp>,
}

impl Effected {
    pub(crate) fn with(key: EffectKey, news: News) -> Self {
        Self { key, news, rest_until: None, next_at: None }
    }
}

/// Whether an effect's result requires another round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum News {
    /// The plan has not changed.
    Nothing,
    /// The plan may have changed.
    Round,
    /// Another dispatcher holds the lease.
    LeaseLost,
}

type Effects<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = Effected> + Send + 'a>>>;

/// A dispatcher that holds the lease.
pub(crate) struct LeaseHolder<'a> {
    pub(crate) epoch: Epoch,
    pub(crate) effects: Effects<'a>,
    /// With the pool of each, if it belongs to one.
    under_way: HashMap<EffectKey, Option<PoolId>>,
    /// Effects that ended while a round was prepared. They may not begin again before it is over, because it may have
    /// read their records before.
    ended: Vec<Effected>,
    /// Runners of the last round whose effects wait for others to end.
    pub(crate) queue: VecDeque<Runner>,
    /// How long the last round took.
    round_took: SignedDuration,
    resting: HashMap<EffectKey, Rest>,
    /// When the last round was planned.
    round_at: Timestamp,
    pub(crate) next_at: Option<Timestamp>,
    pub(crate) next_kick_at: Option<Timestamp>,
    pub(crate) patience: Duration,
    /// Whether a due effect could not start: too many were running, or the lease was too short.
    waiting: bool,
    /// Whether any effect has started.
    begun: bool,
    /// Whether an effect found that another dispatcher has the lease.
    lost: bool,
    deadline: Deadline,
}

/// An effect is not started again before a time.
#[derive(Clone, Copy, Debug)]
struct Rest {
    /// When the round was planned in which it began.
    since: Timestamp,
    until: Timestamp,
}

impl Rest {
    fn lasts(&self, now: Timestamp) -> bool {
        self.until > now && set_back(self.since, now).is_none()
    }
}

/// The end of the lease, shared with the running effects.
#[derive(Clone, Debug)]
pub(crate) struct Deadline {
    held_until_ms: Arc<AtomicI64>,
    until: Option<Timestamp>,
}

impl Deadline {
    /// Returns whether a step that starts now ends while the lease is held.
    pub(crate) fn admits_step(&self, now: Timestamp) -> bool {
        self.outlasts(now, STEP_LIMIT) && self.until.is_none_or(|until| now + STEP_LIMIT <= until)
    }

    fn outlasts(&self, now: Timestamp, time: Duration) -> bool {
        let held_until = Timestamp::from_millisecond(self.held_until_ms.load(Ordering::Relaxed));
        // After the clock was set back, the lease is renewed first.
        held_until.is_ok_and(|until| now + time <= until && set_back(until - LEASE_LENGTH, now).is_none())
    }
}

impl<'a> LeaseHolder<'a> {
    pub(crate) fn new(lease: Lease, options: DispatchOptions, held_until: Timestamp) -> Self {
        Self {
            epoch: lease.epoch,
            effects: Effects::new(),
            under_way: HashMap::new(),
            ended: Vec::new(),
            queue: VecDeque::new(),
            round_took: SignedDuration::ZERO,
            resting: HashMap::new(),
            round_at: Timestamp::MIN,
            next_at: None,
            next_kick_at: lease.next_kick_at,
            patience: options.patience,
            waiting: false,
            begun: false,
            lost: false,
            deadline: Deadline {
                held_until_ms: Arc::new(AtomicI64::new(held_until.as_millisecond())),
                until: options.until,
            },
        }
    }

    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline.clone()
    }

    /// Returns when the lease ends without a renewal.
    pub(crate) fn held_until(&self) -> Timestamp {
        let millis = self.deadline.held_until_ms.load(Ordering::Relaxed);
        Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
    }

    pub(crate) fn renewed(&self, held_until: Timestamp) {
        self.deadline.held_until_ms.store(held_until.as_millisecond(), Ordering::Relaxed);
    }

    pub(crate) fn outlasts(&self, now: Timestamp, time: Duration) -> bool {
        self.deadline.outlasts(now, time)
    }

    /// Returns whether no further effect may start.
    pub(crate) fn is_closing(&self, now: Timestamp) -> bool {
        self.deadline.until.is_some_and(|until| until < now + STEP_LIMIT)
    }

    /// Returns whether the time is over or too short for the due effects.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        let closed = self.is_closing(now) && self.effects.is_empty() && self.waiting;
        closed || self.deadline.until.is_some_and(|until| until <= now)
    }

    /// Returns whether a posted kick arrives by `at`.
    pub(crate) fn is_kicked_by(&self, at: Timestamp, now: Timestamp) -> bool {
        self.next_kick_at.is_some_and(|kick| now < kick && kick <= at)
    }

    /// Resets the state that a round determines, and keeps the effects that still rest.
    pub(crate) fn begin_round(&mut self, next_at: Option<Timestamp>, now: Timestamp) {
        self.next_at = next_at;
        self.waiting = false;
        self.round_at = now;
        self.resting.retain(|_, rest| rest.lasts(now));
        for Rest { until, .. } in self.resting.values() {
            self.next_at = Some(self.next_at.map_or(*until, |next| next.min(*until)));
        }
    }

    /// Returns whether a round is due.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.next_at.is_some_and(|at| at <= now)
    }

    /// How far ahead to plan launches: until the next round has begun effects of its own.
    pub(crate) fn ahead(&self) -> SignedDuration {
        (self.round_took + self.round_took / 2).clamp(MIN_AHEAD, MAX_AHEAD)
    }

    pub(crate) fn took(&mut self, time: SignedDuration) {
        self.round_took = time;
    }

    /// Notes an effect that ended while a round is prepared.
    pub(crate) fn ended(&mut self, effected: Effected) {
        self.lost |= effected.news == News::LeaseLost;
        self.ended.push(effected);
    }

    /// Settles the effects that ended while the round was prepared.
    pub(crate) fn settle_ended(&mut self) -> News {
        let ended = std::mem::take(&mut self.ended);
        ended.into_iter().map(|effected| self.settle(effected)).max().unwrap_or(News::Nothing)
    }

    pub(crate) fn settle(&mut self, effected: Effected) -> News {
        self.under_way.remove(&effected.key);
        if let Some(until) = effected.rest_until {
            self.resting.insert(effected.key, Rest { since: self.round_at, until });
            self.wake_at(until);
        }
        if let Some(at) = effected.next_at {
            self.wake_at(at);
        }
        // What waits in the queue begins without a round.
        if self.waiting && self.queue.is_empty() { effected.news.max(News::Round) } else { effected.news }
    }

    pub(crate) fn wake_at(&mut self, at: Timestamp) {
        self.next_at = Some(self.next_at.map_or(at, |next| next.min(at)));
    }

    /// Returns whether an effect may start now; if so, it counts as running from here on.
    pub(crate) fn may_begin<'p>(
        &mut self,
        key: &EffectKey,
        pool: impl Into<Option<&'p PoolId>>,
        now: Timestamp,
    ) -> bool {
        let pool = pool.into();
        if self.lost || self.is_occupied(key, now) {
            return false;
        }
        let ended: HashSet<&EffectKey> = self.ended.iter().map(|effected| &effected.key).collect();
        let running = || self.under_way.iter().filter(|(key, _)| !ended.contains(key));
        let of_pool = running().filter(|(_, other)| pool.is_some() && other.as_ref() == pool).count();
        let is_question = |key: &EffectKey| matches!(key, EffectKey::Question(_));
        let questions = running().filter(|(key, _)| is_question(key)).count();
        if running().count() >= MAX_EFFECTS
            || of_pool >= MAX_EFFECTS_OF_POOL
            || (is_question(key) && questions >= MAX_QUESTIONS)
        {
            self.waiting = true;
            return false;
        }
        if !self.deadline.admits_step(now) {
            self.waiting = true;
            return false;
        }
        self.under_way.insert(key.clone(), pool.cloned());
        self.begun = true;
        true
    }

    /// Whether the effect runs, or rests.
    pub(crate) fn is_occupied(&self, key: &EffectKey, now: Timestamp) -> bool {
        self.under_way.contains_key(key) || self.resting.get(key).is_some_and(|rest| rest.lasts(now))
    }

    /// Whether no further effect may start at all before one ends.
    pub(crate) fn is_full(&self) -> bool {
        self.under_way.len() - self.ended.len() >= MAX_EFFECTS
    }

    /// Returns whether a due effect has started, or none was due.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun || !self.waiting
    }

    /// Returns whether a due effect could not start.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Takes back an effect that was admitted but does not start.
    pub(crate) fn withdraw(&mut self, key: &EffectKey) {
        self.under_way.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use ecsrunner_core::decide::plan::Question;
    use ecsrunner_core::id::{JobId, Repository};
    use ecsrunner_core::rules::pool::Scope;

    use super::*;

    #[test]
    fn an_effect_begins_only_if_lease_and_function_outlast_a_whole_step() {
        let now = Timestamp::from_second(1_764_000_000).unwrap();
        let lease = || Lease { epoch: Epoch::new(1), next_kick_at: None };
        let key = EffectKey::Question(Question::Run(JobId::new(1)));
        let (enough, too_short) = (now + STEP_LIMIT, now + STEP_LIMIT - Duration::from_millis(1));
        let begins = |held_until, until| {
            let options = DispatchOptions { until, ..DispatchOptions::default() };
            LeaseHolder::new(lease(), options, held_until).may_begin(&key, None, now)
        };
        assert!(begins(enough, None));
        assert!(begins(enough, Some(enough)));
        assert!(!begins(too_short, None), "the lease ends first");
        assert!(!begins(enough, Some(too_short)), "the function ends first");
        assert!(!begins(now + LEASE_LENGTH * 2, None), "the clock was set back: the lease is renewed first");
    }

    #[test]
    fn launches_are_planned_ahead_until_the_next_round_has_begun_its_own() {
        let now = Timestamp::from_second(1_764_000_000).unwrap();
        let lease = Lease { epoch: Epoch::new(1), next_kick_at: None };
        let mut holder = LeaseHolder::new(lease, DispatchOptions::default(), now);
        for (round_took, ahead) in [(0, 1), (2, 3), (3600, 5)] {
            holder.took(SignedDuration::from_secs(round_took));
            assert_eq!(holder.ahead(), SignedDuration::from_secs(ahead), "after a round of {round_took} s");
        }
    }

    #[test]
    fn one_pool_cannot_have_all_effects() {
        let now = Timestamp::from_second(1_764_000_000).unwrap();
        let lease = Lease { epoch: Epoch::new(1), next_kick_at: None };
        let mut holder = LeaseHolder::new(lease, DispatchOptions::default(), now + Duration::from_secs(60));
        let [hangs, other] = ["abcdefg234", "hijklmn567"].map(|id| PoolId::parse(id).unwrap());
        let mut begin = |pool: &PoolId, number: usize| {
            let scope = Scope::Repository(Repository::parse(&format!("{pool}/app{number}")).unwrap());
            holder.may_begin(&EffectKey::Probe(scope), pool, now)
        };
        let of_one = (0..MAX_EFFECTS).filter(|number| begin(&hangs, *number)).count();
        assert_eq!(of_one, MAX_EFFECTS_OF_POOL);
        let of_other = (0..MAX_EFFECTS).filter(|number| begin(&other, *number)).count();
        assert_eq!(of_one + of_other, MAX_EFFECTS);
    }

    #[test]
    fn no_effect_begins_once_another_found_that_the_lease_is_lost() {
        let now = Timestamp::from_second(1_764_000_000).unwrap();
        let lease = Lease { epoch: Epoch::new(1), next_kick_at: None };
        let mut holder = LeaseHolder::new(lease, DispatchOptions::default(), now + Duration::from_secs(60));
        let question = |job| EffectKey::Question(Question::Run(JobId::new(job)));
        let pool = PoolId::parse("abcdefg234").unwrap();
        assert!(holder.may_begin(&question(1), &pool, now));
        holder.ended(Effected::with(question(1), News::LeaseLost));
        assert!(!holder.may_begin(&question(2), &pool, now));
        assert_eq!(holder.settle_ended(), News::LeaseLost);
        assert!(!holder.may_begin(&question(2), &pool, now));
    }
}
