//! The one that plans, launches, retires and talks to GitHub.
//!
//! Whoever records a fact that can alter the plan kicks *first* and tries to
//! take the lease *then*. The holder reads the kicks before it reads what is
//! open, and gives the lease up only if there was no kick since: no wake-up is
//! lost, and a burst is planned in batches.

mod advance;
mod ask;
mod hand_over;
pub(crate) mod memory;
mod round;

use std::collections::HashSet;
use std::pin::Pin;
use std::time::Duration;

use ecsrunner_core::id::Epoch;
use futures::FutureExt;
use futures::future::{self, Either};
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use tracing::{debug, warn};

use crate::ports::Clock;
use crate::ports::store::{Lease, StoreError};
use crate::{Engine, World};
use memory::EffectKey;

/// How long the lease is held without being renewed.
const TERM: Duration = Duration::from_secs(30);
/// How often kicks of other processes are looked for while effects are under way.
const KICK_CHECK: Duration = Duration::from_millis(250);
/// The most effects at once, and the most for one pool: one repository that
/// hangs delays nobody else.
const MOST_EFFECTS: usize = 32;
const MOST_EFFECTS_OF_POOL: usize = 16;

/// How a dispatcher begins and ends.
#[derive(Clone, Copy, Debug)]
pub struct Office {
    /// The caller holds a lock of its own: the lease is taken at once.
    pub force: bool,
    /// When to stop, work left or not.
    pub until: Option<Timestamp>,
}

/// How a dispatcher ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dispatched {
    /// Another one holds the lease, and will see the kick.
    HeldByAnother,
    /// Nothing is left to do before that time, unless something happens.
    Idle {
        /// When time alone brings more to do.
        next_at: Option<Timestamp>,
    },
    /// Work is left: another dispatcher is to be woken.
    WorkLeft,
    /// The lease went to another one meanwhile.
    Deposed,
}

/// What an effect came to.
pub(crate) struct Effected {
    key: EffectKey,
    /// What it means for the dispatcher.
    news: News,
    /// When it is to be tried again.
    again_at: Option<Timestamp>,
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
    epoch: Epoch,
    effects: Effects<'a>,
    under_way: HashSet<EffectKey>,
    next_at: Option<Timestamp>,
    /// Whether an effect was due, and too many were under way.
    held_back: bool,
    renew_at: Timestamp,
    until: Option<Timestamp>,
}

impl Term<'_> {
    /// Whether the time has come for a round, a renewal, or the end.
    fn is_due(&self, now: Timestamp) -> bool {
        now >= self.renew_at
            || self.next_at.is_some_and(|at| at <= now)
            || self.until.is_some_and(|until| until <= now)
    }

    fn settle(&mut self, effected: Effected) -> News {
        self.under_way.remove(&effected.key);
        if let Some(at) = effected.again_at {
            self.wake_at(at);
        }
        if self.held_back { effected.news.max(News::Round) } else { effected.news }
    }

    fn wake_at(&mut self, at: Timestamp) {
        self.next_at = Some(self.next_at.map_or(at, |next| next.min(at)));
    }
}

impl<W: World> Engine<W> {
    /// Plans and performs until nothing is left to do.
    ///
    /// # Errors
    ///
    /// The store is out of reach; the lease runs out by itself.
    pub async fn dispatch(&self, office: Office) -> Result<Dispatched, StoreError> {
        let store = &self.ports.store;
        let Some(epoch) = store.take(self.ports.clock.now(), TERM, office.force).await? else {
            return Ok(Dispatched::HeldByAnother);
        };
        let mut term = Term {
            epoch,
            effects: Effects::new(),
            under_way: HashSet::new(),
            next_at: None,
            held_back: false,
            renew_at: self.ports.clock.now() + TERM / 2,
            until: office.until,
        };
        loop {
            let kicks = store.kicks().await?;
            let news = match self.round(&mut term).await {
                Ok(()) => self.wait_for_news(&mut term, kicks).await?,
                // Another write came first: what is open is read again.
                Err(StoreError::Conflict) => News::Round,
                Err(StoreError::Fenced) => News::Deposed,
                Err(error) => return Err(error),
            };
            let now = self.ports.clock.now();
            if news == News::Deposed {
                return Ok(Dispatched::Deposed);
            }
            if term.until.is_some_and(|until| now >= until) {
                return Ok(Dispatched::WorkLeft);
            }
            if now >= term.renew_at {
                if !store.renew(epoch, now, TERM).await? {
                    return Ok(Dispatched::Deposed);
                }
                term.renew_at = now + TERM / 2;
            }
            if news == News::Round {
                continue;
            }
            match store.release(epoch, kicks).await {
                Ok(true) => {
                    debug!(epoch = epoch.get(), "released the dispatcher's lease");
                    return Ok(Dispatched::Idle { next_at: term.next_at });
                }
                Ok(false) => {}
                Err(StoreError::Fenced) => return Ok(Dispatched::Deposed),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits while effects are under way, until there is reason for another round.
    async fn wait_for_news(&self, term: &mut Term<'_>, kicks: u64) -> Result<News, StoreError> {
        while !term.effects.is_empty() {
            let news = future::select(
                term.effects.next(),
                Box::pin(future::select(
                    Box::pin(self.kicked.notified()),
                    Box::pin(self.ports.clock.sleep(KICK_CHECK)),
                )),
            );
            match news.await {
                Either::Left((Some(effected), _)) => {
                    let mut news = term.settle(effected);
                    // What else has ended in the meantime belongs to the same round.
                    while let Some(Some(effected)) = term.effects.next().now_or_never() {
                        news = news.max(term.settle(effected));
                    }
                    if news > News::Nothing {
                        return Ok(news);
                    }
                }
                Either::Left((None, _)) => break,
                Either::Right((Either::Left(_), _)) => return Ok(News::Round),
                Either::Right((Either::Right(_), _)) => {
                    let now = self.ports.clock.now();
                    if term.is_due(now) || self.ports.store.kicks().await? != kicks {
                        return Ok(News::Round);
                    }
                }
            }
        }
        Ok(News::Nothing)
    }

    /// An effect failed and is tried again later.
    pub(crate) fn later(
        &self,
        key: EffectKey,
        after: Option<Duration>,
        error: &(dyn std::error::Error + 'static),
    ) -> Effected {
        let again_at = self.memory.failed(key.clone(), after, self.jitter(), self.ports.clock.now());
        warn!(effect = ?key, error = %chain(error), %again_at, "effect failed, to be tried again");
        Effected { key, news: News::Nothing, again_at: Some(again_at) }
    }

    fn jitter(&self) -> f64 {
        use crate::ports::Randomness;
        let low = u32::try_from(self.ports.randomness.bits() & u128::from(u32::MAX)).unwrap_or(0);
        f64::from(low) / f64::from(u32::MAX)
    }
}

/// An error with all that caused it, on one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
