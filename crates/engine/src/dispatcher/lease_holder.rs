//! What a dispatcher has while it holds the lease: the effects under way, and
//! the time that is left.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ecsrunner_core::id::{Epoch, PoolId};
use futures::stream::FuturesUnordered;
use jiff::Timestamp;

use super::cache::EffectKey;
use super::{DispatchOptions, STEP_LIMIT};
use crate::ports::store::Lease;

/// The most effects at once, and the most for one pool: calls that hang for one
/// repository delay no other.
const MAX_EFFECTS: usize = 32;
const MAX_EFFECTS_OF_POOL: usize = 16;

/// The result of an effect.
pub(crate) struct Effected {
    pub(crate) key: EffectKey,
    /// What it means for the dispatcher.
    pub(crate) news: News,
    /// It is not begun again before then, where its record does not say so.
    pub(crate) rest_until: Option<Timestamp>,
    /// When more will be due, if nothing happens.
    pub(crate) next_at: Option<Timestamp>,
}

impl Effected {
    pub(crate) fn with(key: EffectKey, news: News) -> Self {
        Self { key, news, rest_until: None, next_at: None }
    }
}

/// Whether there is reason for another round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum News {
    /// None: the plan is as it was.
    Nothing,
    /// The plan may be another now.
    Round,
    /// Another dispatcher holds the lease.
    LeaseLost,
}

type Effects<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = Effected> + Send + 'a>>>;

/// A dispatcher that holds the lease.
pub(crate) struct LeaseHolder<'a> {
    pub(crate) epoch: Epoch,
    pub(crate) effects: Effects<'a>,
    under_way: HashMap<EffectKey, PoolId>,
    resting: HashMap<EffectKey, Timestamp>,
    pub(crate) next_at: Option<Timestamp>,
    pub(crate) next_kick_at: Option<Timestamp>,
    pub(crate) patience: Duration,
    /// Whether an effect was due, and too many were under way.
    held_back: bool,
    /// Whether any effect has begun.
    begun: bool,
    deadline: Deadline,
}

/// How long the lease is held, shared with the effects under way.
#[derive(Clone, Debug)]
pub(crate) struct Deadline {
    held_until_ms: Arc<AtomicI64>,
    until: Option<Timestamp>,
}

impl Deadline {
    /// Whether a step that begins now ends while the lease is held.
    pub(crate) fn admits_step(&self, now: Timestamp) -> bool {
        self.outlasts(now, STEP_LIMIT) && self.until.is_none_or(|until| now + STEP_LIMIT <= until)
    }

    fn outlasts(&self, now: Timestamp, time: Duration) -> bool {
        (now + time).as_millisecond() <= self.held_until_ms.load(Ordering::Relaxed)
    }
}

impl<'a> LeaseHolder<'a> {
    pub(crate) fn new(lease: Lease, options: DispatchOptions, held_until: Timestamp) -> Self {
        Self {
            epoch: lease.epoch,
            effects: Effects::new(),
            under_way: HashMap::new(),
            resting: HashMap::new(),
            next_at: None,
            next_kick_at: lease.next_kick_at,
            patience: options.patience,
            held_back: false,
            begun: false,
            deadline: Deadline {
                held_until_ms: Arc::new(AtomicI64::new(held_until.as_millisecond())),
                until: options.until,
            },
        }
    }

    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline.clone()
    }

    pub(crate) fn renewed(&self, held_until: Timestamp) {
        self.deadline.held_until_ms.store(held_until.as_millisecond(), Ordering::Relaxed);
    }

    pub(crate) fn outlasts(&self, now: Timestamp, time: Duration) -> bool {
        self.deadline.outlasts(now, time)
    }

    /// Whether no further effect may begin.
    pub(crate) fn is_closing(&self, now: Timestamp) -> bool {
        self.deadline.until.is_some_and(|until| until < now + STEP_LIMIT)
    }

    /// Whether the time is over, or too short for what is due.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        let closed = self.is_closing(now) && self.effects.is_empty() && self.held_back;
        closed || self.deadline.until.is_some_and(|until| until <= now)
    }

    /// Whether a kick that was posted comes by then.
    pub(crate) fn is_kicked_by(&self, at: Timestamp, now: Timestamp) -> bool {
        self.next_kick_at.is_some_and(|kick| now < kick && kick <= at)
    }

    /// Begins a round, which finds what is due.
    pub(crate) fn begin_round(&mut self, next_at: Option<Timestamp>, now: Timestamp) {
        self.next_at = next_at;
        self.held_back = false;
        self.resting.retain(|_, until| *until > now);
        for until in self.resting.values() {
            self.next_at = Some(self.next_at.map_or(*until, |next| next.min(*until)));
        }
    }

    /// Whether the time has come for a round.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.next_at.is_some_and(|at| at <= now)
    }

    pub(crate) fn settle(&mut self, effected: Effected) -> News {
        self.under_way.remove(&effected.key);
        if let Some(until) = effected.rest_until {
            self.resting.insert(effected.key, until);
            self.wake_at(until);
        }
        if let Some(at) = effected.next_at {
            self.wake_at(at);
        }
        if self.held_back { effected.news.max(News::Round) } else { effected.news }
    }

    pub(crate) fn wake_at(&mut self, at: Timestamp) {
        self.next_at = Some(self.next_at.map_or(at, |next| next.min(at)));
    }

    /// Whether an effect may begin now; if so, it is under way from here on.
    pub(crate) fn may_begin(&mut self, key: &EffectKey, pool: &PoolId, now: Timestamp) -> bool {
        if self.under_way.contains_key(key) || self.resting.get(key).is_some_and(|until| *until > now) {
            return false;
        }
        let of_pool = self.under_way.values().filter(|other| *other == pool).count();
        if self.under_way.len() >= MAX_EFFECTS || of_pool >= MAX_EFFECTS_OF_POOL {
            self.held_back = true;
            return false;
        }
        if !self.deadline.admits_step(now) {
            self.held_back = true;
            return false;
        }
        self.under_way.insert(key.clone(), pool.clone());
        self.begun = true;
        true
    }

    /// Whether an effect that was due has begun, or none was due.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun || !self.held_back
    }

    /// Whether an effect was due that could not begin.
    pub(crate) fn is_held_back(&self) -> bool {
        self.held_back
    }

    /// An effect that was to begin does not.
    pub(crate) fn withdraw(&mut self, key: &EffectKey) {
        self.under_way.remove(key);
    }
}
