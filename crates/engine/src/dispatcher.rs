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
    /// Whether the plan may be another now.
    replan: bool,
    /// When it is to be tried again.
    again_at: Option<Timestamp>,
}

type Effects<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = Effected> + Send + 'a>>>;

/// One term of office.
pub(crate) struct Term<'a> {
    epoch: Epoch,
    effects: Effects<'a>,
    under_way: HashSet<EffectKey>,
    next_at: Option<Timestamp>,
}

impl Term<'_> {
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
        let mut term = Term { epoch, effects: Effects::new(), under_way: HashSet::new(), next_at: None };
        let mut renew_at = self.ports.clock.now() + TERM / 2;
        loop {
            let kicks = store.kicks().await?;
            match self.round(&mut term).await {
                Ok(()) => {}
                Err(StoreError::Fenced) => return Ok(Dispatched::Deposed),
                // Another write came first: what is open is read again.
                Err(StoreError::Conflict) => continue,
                Err(error) => return Err(error),
            }
            if self.wait_for_news(&mut term, kicks).await? {
                let now = self.ports.clock.now();
                if office.until.is_some_and(|until| now >= until) {
                    return Ok(Dispatched::WorkLeft);
                }
                if now >= renew_at {
                    if !store.renew(epoch, now, TERM).await? {
                        return Ok(Dispatched::Deposed);
                    }
                    renew_at = now + TERM / 2;
                }
                continue;
            }
            if store.release(epoch, kicks).await? {
                debug!(epoch = epoch.get(), "released the dispatcher's lease");
                return Ok(Dispatched::Idle { next_at: term.next_at });
            }
        }
    }

    /// Waits while effects are under way. True if another round is due, false
    /// if all is done.
    async fn wait_for_news(&self, term: &mut Term<'_>, kicks: u64) -> Result<bool, StoreError> {
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
                    let mut replan = self.settle(term, effected);
                    // What else has ended in the meantime belongs to the same round.
                    while let Some(Some(effected)) = futures::FutureExt::now_or_never(term.effects.next()) {
                        replan |= self.settle(term, effected);
                    }
                    if replan {
                        return Ok(true);
                    }
                }
                Either::Left((None, _)) => break,
                Either::Right((Either::Left(_), _)) => return Ok(true),
                Either::Right((Either::Right(_), _)) => {
                    if self.ports.store.kicks().await? != kicks {
                        return Ok(true);
                    }
                    let now = self.ports.clock.now();
                    if term.next_at.is_some_and(|at| at <= now) {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    fn settle(&self, term: &mut Term<'_>, effected: Effected) -> bool {
        term.under_way.remove(&effected.key);
        if let Some(at) = effected.again_at {
            term.wake_at(at);
        }
        effected.replan
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
        Effected { key, replan: false, again_at: Some(again_at) }
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
