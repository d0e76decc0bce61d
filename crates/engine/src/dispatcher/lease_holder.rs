//! One term of office: what is under way in it, and how long it lasts.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ecsrunner_core::id::{Epoch, PoolId};
use futures::stream::FuturesUnordered;
use jiff::Timestamp;

use super::memory::EffectKey;
use super::{Office, STEP_LIMIT};
use crate::ports::store::Tenure;

/// The most effects at once, and the most for one pool: one repository that
/// hangs delays nobody else.
const MAX_EFFECTS: usize = 32;
const MAX_EFFECTS_OF_POOL: usize = 16;

/// What an effect came to.
pub(crate) struct Effected {
    pub(crate) key: EffectKey,
    /// What it means for the dispatcher.
    pub(crate) news: News,
    /// Before when it is not to be begun again, where its record does not say so.
    pub(crate) rest_until: Option<Timestamp>,
    /// When time alone brings more to do.
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
    Deposed,
}

type Effects<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = Effected> + Send + 'a>>>;

/// One term of office.
pub(crate) struct Term<'a> {
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
    watch: Watch,
}

/// How long a term lasts, told to those who work in it.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    held_until_ms: Arc<AtomicI64>,
    until: Option<Timestamp>,
}

impl Watch {
    /// Whether a step that begins now ends while the lease is held.
    pub(crate) fn admits_step(&self, now: Timestamp) -> bool {
        self.outlasts(now, STEP_LIMIT) && self.until.is_none_or(|until| now + STEP_LIMIT <= until)
    }

    fn outlasts(&self, now: Timestamp, time: Duration) -> bool {
        (now + time).as_millisecond() <= self.held_until_ms.load(Ordering::Relaxed)
    }
}

impl<'a> Term<'a> {
    pub(crate) fn new(tenure: Tenure, office: Office, held_until: Timestamp) -> Self {
        Self {
            epoch: tenure.epoch,
            effects: Effects::new(),
            under_way: HashMap::new(),
            resting: HashMap::new(),
            next_at: None,
            next_kick_at: tenure.next_kick_at,
            patience: office.patience,
            held_back: false,
            begun: false,
            watch: Watch {
                held_until_ms: Arc::new(AtomicI64::new(held_until.as_millisecond())),
                until: office.until,
            },
        }
    }

    pub(crate) fn watch(&self) -> Watch {
        self.watch.clone()
    }

    pub(crate) fn renewed(&self, held_until: Timestamp) {
        self.watch.held_until_ms.store(held_until.as_millisecond(), Ordering::Relaxed);
    }

    pub(crate) fn outlasts(&self, now: Timestamp, time: Duration) -> bool {
        self.watch.outlasts(now, time)
    }

    /// Whether no further effect may begin.
    pub(crate) fn is_closing(&self, now: Timestamp) -> bool {
        self.watch.until.is_some_and(|until| until < now + STEP_LIMIT)
    }

    /// Whether its time is over, or what is due could not end within it.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        let closed = self.is_closing(now) && self.effects.is_empty() && self.held_back;
        closed || self.watch.until.is_some_and(|until| until <= now)
    }

    /// Whether a kick that was posted comes by then.
    pub(crate) fn is_kicked_by(&self, at: Timestamp, now: Timestamp) -> bool {
        self.next_kick_at.is_some_and(|kick| now < kick && kick <= at)
    }

    /// Begins a round: what is due is found anew.
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
        if !self.watch.admits_step(now) {
            self.held_back = true;
            return false;
        }
        self.under_way.insert(key.clone(), pool.clone());
        self.begun = true;
        true
    }

    /// Whether it came to anything: an effect that was due has begun, or none was due.
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
