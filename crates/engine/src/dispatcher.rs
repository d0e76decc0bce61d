//! The one that plans, launches, retires and talks to GitHub.
//!
//! Whoever records a fact that can alter the plan kicks *first* and tries to
//! take the lease *then*. The holder reads the kicks before it reads what is
//! open, and gives the lease up only if there was no kick since: no wake-up is
//! lost, and a burst is planned in batches.

mod advance;
mod ask;
mod hand_over;
mod launch;
pub(crate) mod memory;
mod probe;
mod round;
mod term;

use std::time::Duration;

use ecsrunner_core::sweep::Lag;
use futures::FutureExt;
use futures::future::{self, Either};
use futures::stream::StreamExt;
use jiff::Timestamp;
use tracing::{debug, error, warn};

use crate::ports::queue::Queue;
use crate::ports::store::{Bid, Lease, StoreError};
use crate::ports::{Clock, Disposition, Randomness};
use crate::sweep::{Reach, Sweeping, Swept};
use crate::{Engine, World, chain};
pub(crate) use term::{Effected, News, Term};

/// How long the lease is held without being renewed.
const TERM: Duration = Duration::from_secs(60);
/// The lease is renewed when less than this is left of it.
const RENEW_BELOW: Duration = Duration::from_secs(40);
/// How long one step may take with all its calls. None begins unless the lease outlasts it.
const STEP_LIMIT: Duration = Duration::from_secs(20);
/// How often kicks of other processes are looked for while effects are under way.
const KICK_CHECK: Duration = Duration::from_millis(250);
/// What is due later than this is left to the sweep, which comes each minute.
const KICK_HORIZON: Duration = Duration::from_secs(60);

/// How often in a row a fault of the store that passes is waited out, each time a little longer.
const MAX_FAULTS: u32 = 6;
const FAULT_PAUSE: Duration = Duration::from_millis(50);
/// When a dispatcher that met a fault which does not pass is followed by another one.
const AFTER_A_FAULT: Duration = Duration::from_secs(5);
/// How long a sweep may begin calls; the next one goes on.
const SWEEP_LIMIT: Duration = Duration::from_secs(10);
/// When a kick may come at the earliest that is posted by whoever holds the
/// lease: one that came before it is released would find nothing to do.
const AFTER_RELEASE: Duration = Duration::from_secs(1);
/// A term in which nothing could begin is not followed by the same at once.
const AFTER_NOTHING: Duration = Duration::from_secs(30);
const RELEASE_TRIES: u32 = 5;

/// How a dispatcher begins and ends.
#[derive(Clone, Copy, Default, Debug)]
pub struct Office {
    /// The caller holds a lock of its own: the lease is taken at once.
    pub force: bool,
    /// When to have stopped, work left or not.
    pub until: Option<Timestamp>,
    /// What is due within this time is waited for rather than left to a kick.
    pub patience: Duration,
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
    /// Work is left: another dispatcher has been woken.
    WorkLeft,
    /// The lease went to another one meanwhile.
    Deposed,
}

impl<W: World> Engine<W> {
    /// Plans and performs until nothing is left to do.
    ///
    /// # Errors
    ///
    /// The store is out of reach; the lease runs out by itself.
    pub async fn dispatch(&self, office: Office) -> Result<Dispatched, StoreError> {
        match self.take_office(office).await {
            Ok(None) => Ok(Dispatched::HeldByAnother),
            Ok(Some(mut term)) => self.serve(&mut term).await,
            Err(error) => {
                let now = self.ports.clock.now();
                self.post_kick(now + AFTER_A_FAULT, now).await;
                Err(error)
            }
        }
    }

    /// Sweeps, and then plans and performs: what events missed comes first. The
    /// sweep takes no lease, since it is harmless beside a dispatcher, and
    /// launches must not wait for it. `None` where it is too early.
    ///
    /// # Errors
    ///
    /// The store is out of reach; the lease runs out by itself.
    pub async fn dispatch_with_sweep(&self, office: Office, lag: Lag) -> Result<Option<Swept>, StoreError> {
        if !self.sweep_is_due().await? {
            return Ok(None);
        }
        let until = Some(self.ports.clock.now() + SWEEP_LIMIT);
        let swept = self.sweep(Sweeping { lag, reach: Reach::Everything, until }).await;
        // A sweep that failed is no reason not to plan.
        self.dispatch(office).await?;
        swept.map(Some)
    }

    /// Takes the lease, if nobody else holds it.
    pub(crate) async fn take_office<'a>(&'a self, office: Office) -> Result<Option<Term<'a>>, StoreError> {
        let bid = Bid { owner: self.ports.randomness.bits(), force: office.force };
        let mut faults = 0;
        loop {
            let now = self.ports.clock.now();
            match self.ports.store.take(&bid, now, TERM).await {
                Ok(tenure) => return Ok(tenure.map(|tenure| Term::new(tenure, office, now + TERM))),
                Err(error) if passes(&error) && faults < MAX_FAULTS => {
                    faults += 1;
                    self.ports.clock.sleep(FAULT_PAUSE * faults).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Rounds, until there is no reason for another one. A fault of the store
    /// that passes ends no term: nobody else could plan before it runs out.
    pub(crate) async fn serve<'a>(&'a self, term: &mut Term<'a>) -> Result<Dispatched, StoreError> {
        // A kick of our own was counted before the lease was taken, hence before what is open is read.
        let mut counted = self.counted_kicks();
        if counted.is_some() {
            // The round that follows is what that kick was for.
            let _heard = self.kicked.notified().now_or_never();
        }
        let mut faults = 0;
        loop {
            match self.turn(term, counted.take()).await {
                Ok(Some(dispatched)) => return Ok(dispatched),
                Ok(None) => faults = 0,
                Err(StoreError::Fenced) => return Ok(Dispatched::Deposed),
                Err(error) if passes(&error) && faults < MAX_FAULTS => {
                    faults += 1;
                    self.ports.clock.sleep(FAULT_PAUSE * faults).await;
                }
                Err(error) => {
                    if let Err(fault) = self.hand_on(term, AFTER_A_FAULT).await {
                        warn!(error = %chain(&fault), "the lease is left to run out");
                    }
                    return Err(error);
                }
            }
        }
    }

    /// One round, and the wait for a reason for another one; `None` where there is one.
    async fn turn<'a>(
        &'a self,
        term: &mut Term<'a>,
        counted: Option<u64>,
    ) -> Result<Option<Dispatched>, StoreError> {
        let kicks = match counted {
            Some(kicks) => kicks,
            None => self.ports.store.kicks().await?,
        };
        self.refresh_rules().await;
        self.round(term).await?;
        let news = self.wait_for_news(term, kicks).await?;
        if news == News::Deposed || !self.renew_if_due(term).await? {
            return Ok(Some(Dispatched::Deposed));
        }
        if term.is_over(self.ports.clock.now()) {
            return self.hand_on(term, Duration::ZERO).await.map(Some);
        }
        // Something was due, and the lease too short for it before it was renewed.
        let due = news == News::Round || (term.is_held_back() && term.effects.is_empty());
        if due || self.wait_patiently(term.next_at, term.patience, kicks).await? {
            return Ok(None);
        }
        self.leave(term, kicks).await
    }

    /// Nothing is left to do: the lease is given up, unless there was a kick meanwhile.
    async fn leave(&self, term: &mut Term<'_>, kicks: u64) -> Result<Option<Dispatched>, StoreError> {
        let now = self.ports.clock.now();
        let soon = term.next_at.filter(|at| *at <= now + KICK_HORIZON);
        let posted = match soon {
            Some(at) if !term.is_kicked_by(at, now) => self.post_kick(at, now).await,
            _ => None,
        };
        match self.ports.store.release(term.epoch, Some(kicks), posted).await {
            Ok(true) => {
                debug!(epoch = term.epoch.get(), "released the dispatcher's lease");
                Ok(Some(Dispatched::Idle { next_at: term.next_at }))
            }
            Ok(false) => {
                term.next_kick_at = posted.or(term.next_kick_at);
                Ok(None)
            }
            Err(StoreError::Fenced) => Ok(Some(Dispatched::Deposed)),
            Err(error) => Err(error),
        }
    }

    /// The time is over with work left: another dispatcher is woken first.
    async fn hand_on(&self, term: &mut Term<'_>, after: Duration) -> Result<Dispatched, StoreError> {
        let now = self.ports.clock.now();
        let after = if term.has_begun() {
            after.max(AFTER_RELEASE)
        } else {
            error!("the function's time-out is too short for anything to begin: 60 s at least are needed");
            AFTER_NOTHING
        };
        let posted = self.post_kick(now + after, now).await;
        for _ in 0..RELEASE_TRIES {
            match self.ports.store.release(term.epoch, None, posted).await {
                Ok(true) => break,
                // Another write met it.
                Ok(false) => {}
                Err(StoreError::Fenced) => return Ok(Dispatched::Deposed),
                Err(error) => return Err(error),
            }
        }
        Ok(Dispatched::WorkLeft)
    }

    /// Posts a kick for that time; returns when it will come, if it was posted.
    async fn post_kick(&self, at: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let after = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        match self.ports.queue.post_kick(after).await {
            Ok(()) => Some(at.max(now)),
            Err(error) => {
                warn!(error = %chain(&error), "the sweep goes on instead of a kick");
                None
            }
        }
    }

    /// False if the lease was lost.
    async fn renew_if_due(&self, term: &mut Term<'_>) -> Result<bool, StoreError> {
        let now = self.ports.clock.now();
        if term.outlasts(now, RENEW_BELOW) {
            return Ok(true);
        }
        let renewed = self.ports.store.renew(term.epoch, now, TERM).await?;
        if renewed {
            term.renewed(now + TERM);
        }
        Ok(renewed)
    }

    /// Waits for what is due soon, or for a kick of whichever process; false
    /// where nothing is due soon.
    async fn wait_patiently(
        &self,
        next_at: Option<Timestamp>,
        patience: Duration,
        kicks: u64,
    ) -> Result<bool, StoreError> {
        let begun = self.ports.clock.now();
        let Some(at) = next_at.filter(|at| *at <= begun + patience) else { return Ok(false) };
        loop {
            let left = at.duration_since(self.ports.clock.now());
            let Ok(left) = Duration::try_from(left) else { return Ok(true) };
            let pause = Box::pin(self.ports.clock.sleep(left.min(KICK_CHECK)));
            let kicked = future::select(Box::pin(self.kicked.notified()), pause).await;
            if matches!(kicked, Either::Left(_)) || left <= KICK_CHECK {
                return Ok(true);
            }
            if self.ports.store.kicks().await? != kicks {
                return Ok(true);
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
                    if term.is_over(now) || !self.renew_if_due(term).await? {
                        // Effects that are left behind are resumed by what their records hold.
                        return Ok(if term.is_over(now) { News::Nothing } else { News::Deposed });
                    }
                    if term.is_closing(now) {
                        continue;
                    }
                    if term.is_due(now) || self.ports.store.kicks().await? != kicks {
                        return Ok(News::Round);
                    }
                }
            }
        }
        Ok(News::Nothing)
    }

    pub(crate) fn jitter(&self) -> f64 {
        let low = u32::try_from(self.ports.randomness.bits() & u128::from(u32::MAX)).unwrap_or(0);
        f64::from(low) / f64::from(u32::MAX)
    }
}

/// Whether the store may do the same a moment later.
fn passes(error: &StoreError) -> bool {
    matches!(error.disposition(), Disposition::Retry { .. })
}
