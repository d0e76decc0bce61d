//! Plans, launches, retires and calls GitHub while it holds the lease.
//!
//! A process that records a fact which can alter the plan kicks *first* and
//! then tries to take the lease. The lease holder reads the kick count before
//! it reads what is open. It releases the lease only if there was no kick since
//! then. So no wake-up is lost, and a burst is planned in batches.

mod advance;
mod ask;
pub mod budgets;
mod fail;
mod github_calls;
mod hand_over;
mod instance;
mod images;
mod launch;
pub(crate) mod cache;
mod probe;
mod rerun;
mod reserve;
mod slots;
mod round;
mod warm;
mod lease_holder;

use std::time::Duration;

use ecsrunner_core::decide::sweep::Lag;
use futures::FutureExt;
use futures::future::{self, Either};
use futures::stream::StreamExt;
use jiff::Timestamp;
use tracing::{debug, error, warn};

use crate::ports::queue::Queue;
use crate::ports::store::{LeaseRequest, Leases, StoreError};
use crate::ports::{Clock, Disposition, Randomness};
use crate::sweep::{Reach, Sweeping, Swept};
use crate::{Engine, World, chain};
pub(crate) use lease_holder::{Effected, LeaseHolder, News};

/// How long the lease lasts without a renewal.
const LEASE_LENGTH: Duration = Duration::from_secs(60);
/// The lease is renewed when less than this is left of it.
const RENEW_BELOW: Duration = Duration::from_secs(40);
/// How long one step may take with all its calls. A step starts only if the lease outlasts it.
const STEP_LIMIT: Duration = Duration::from_secs(20);
/// How often to check for kicks of other processes while effects run.
const KICK_CHECK: Duration = Duration::from_millis(250);
/// Work that is due later than this is left to the sweep, which runs every minute.
const KICK_HORIZON: Duration = Duration::from_secs(60);

/// How many consecutive transient faults of the store are retried, each after a longer pause.
const MAX_FAULTS: u32 = 6;
const FAULT_PAUSE: Duration = Duration::from_millis(50);
/// The delay of the kick after a fault that retries did not cure.
const AFTER_A_FAULT: Duration = Duration::from_secs(5);
/// How long a sweep may start calls; the next sweep continues.
const SWEEP_LIMIT: Duration = Duration::from_secs(10);
/// The shortest delay of a kick that the lease holder posts. A kick that arrives
/// before the release would find the lease held.
const AFTER_RELEASE: Duration = Duration::from_secs(1);
/// The delay of the kick after a lease in which no effect could start.
const AFTER_NOTHING: Duration = Duration::from_secs(30);
const RELEASE_TRIES: u32 = 5;

/// When a dispatcher takes the lease, and when it stops.
#[derive(Clone, Copy, Default, Debug)]
pub struct DispatchOptions {
    /// Takes the lease at once. The caller must hold a lock of its own.
    pub force: bool,
    /// The time by which the dispatcher stops, even if work is left.
    pub until: Option<Timestamp>,
    /// The dispatcher waits for work that is due within this time and leaves the rest to a kick.
    pub patience: Duration,
}

/// How a dispatcher ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dispatched {
    /// Another dispatcher holds the lease, and will see the kick.
    HeldByAnother,
    /// Nothing is due until an event arrives or `next_at` is reached.
    Idle {
        /// When work will be due if no event arrives before.
        next_at: Option<Timestamp>,
    },
    /// Work is left: another dispatcher has been woken.
    WorkLeft,
    /// Another dispatcher has taken the lease.
    LeaseLost,
}

impl<W: World> Engine<W> {
    /// Plans and performs until nothing is due.
    ///
    /// # Errors
    ///
    /// The store is unavailable; the lease expires by itself.
    pub async fn dispatch(&self, options: DispatchOptions) -> Result<Dispatched, StoreError> {
        match self.take_lease(options).await {
            Ok(None) => Ok(Dispatched::HeldByAnother),
            Ok(Some(mut holder)) => self.run_rounds(&mut holder).await,
            Err(error) => {
                let now = self.ports.clock.now();
                self.post_kick(now + AFTER_A_FAULT, now).await;
                Err(error)
            }
        }
    }

    /// Sweeps, then plans and performs. Returns `None` if no sweep is due yet.
    ///
    /// The sweep takes no lease: it can run at the same time as a dispatcher,
    /// and launches must not wait for it.
    ///
    /// # Errors
    ///
    /// The store is unavailable; the lease expires by itself.
    pub async fn dispatch_with_sweep(
        &self,
        options: DispatchOptions,
        lag: Lag,
    ) -> Result<Option<Swept>, StoreError> {
        if !self.sweep_is_due().await? {
            return Ok(None);
        }
        let until = Some(self.ports.clock.now() + SWEEP_LIMIT);
        let swept = self.sweep(Sweeping { lag, reach: Reach::Everything, until }).await;
        // Plan even if the sweep failed.
        self.dispatch(options).await?;
        swept.map(Some)
    }

    /// Takes the lease if no other dispatcher holds it.
    pub(crate) async fn take_lease<'a>(
        &'a self,
        options: DispatchOptions,
    ) -> Result<Option<LeaseHolder<'a>>, StoreError> {
        let request = LeaseRequest { owner: self.ports.randomness.bits(), force: options.force };
        let mut faults = 0;
        loop {
            let now = self.ports.clock.now();
            match self.ports.store.take(&request, now, LEASE_LENGTH).await {
                Ok(lease) => {
                    self.cache.begin_lease();
                    return Ok(lease.map(|lease| LeaseHolder::new(lease, options, now + LEASE_LENGTH)));
                }
                Err(error) if passes(&error) && faults < MAX_FAULTS => {
                    faults += 1;
                    self.ports.clock.sleep(FAULT_PAUSE * faults).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes rounds until there is no reason for another one. It keeps the lease
    /// through transient faults of the store, because no other dispatcher could
    /// plan before the lease expires.
    pub(crate) async fn run_rounds<'a>(
        &'a self,
        holder: &mut LeaseHolder<'a>,
    ) -> Result<Dispatched, StoreError> {
        // A kick of this process was counted before the lease was taken, so before what is open is read.
        let mut counted = self.counted_kicks();
        if counted.is_some() {
            // The next round serves that kick.
            let _heard = self.kicked.notified().now_or_never();
        }
        let mut faults = 0;
        loop {
            match self.run_round(holder, counted.take()).await {
                Ok(Some(dispatched)) => return Ok(dispatched),
                Ok(None) => faults = 0,
                Err(StoreError::Fenced) => return Ok(Dispatched::LeaseLost),
                Err(error) if passes(&error) && faults < MAX_FAULTS => {
                    faults += 1;
                    self.ports.clock.sleep(FAULT_PAUSE * faults).await;
                }
                Err(error) => {
                    if let Err(fault) = self.pass_on(holder, AFTER_A_FAULT).await {
                        warn!(error = %chain(&fault), "could not release the lease; it will expire");
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Makes one round and waits. Returns `None` if another round is needed.
    async fn run_round<'a>(
        &'a self,
        holder: &mut LeaseHolder<'a>,
        counted: Option<u64>,
    ) -> Result<Option<Dispatched>, StoreError> {
        let kicks = match counted {
            Some(kicks) => kicks,
            None => self.ports.store.kicks().await?,
        };
        self.refresh_rules().await;
        let round = self.round(holder).await;
        let news = holder.settle_ended();
        if news == News::LeaseLost {
            return Ok(Some(Dispatched::LeaseLost));
        }
        round?;
        self.begin_queued(holder);
        let news = match news {
            News::Nothing => self.wait_for_news(holder, kicks).await?,
            news => news,
        };
        if news == News::LeaseLost || !self.renew_if_due(holder).await? {
            return Ok(Some(Dispatched::LeaseLost));
        }
        if holder.is_over(self.ports.clock.now()) {
            return self.pass_on(holder, Duration::ZERO).await.map(Some);
        }
        // Work was due, but the lease was too short for it before the renewal.
        let due = news == News::Round || (holder.is_waiting() && holder.effects.is_empty());
        if due || self.wait_patiently(holder.next_at, holder.patience, kicks).await? {
            return Ok(None);
        }
        self.release(holder, kicks).await
    }

    /// Releases the lease unless a kick has arrived.
    async fn release(
        &self,
        holder: &mut LeaseHolder<'_>,
        kicks: u64,
    ) -> Result<Option<Dispatched>, StoreError> {
        let now = self.ports.clock.now();
        let soon = holder.next_at.filter(|at| *at <= now + KICK_HORIZON);
        let posted = match soon {
            Some(at) if !holder.is_kicked_by(at, now) => self.post_kick(at, now).await,
            _ => None,
        };
        match self.ports.store.release(holder.epoch, Some(kicks), posted).await {
            Ok(true) => {
                debug!(epoch = holder.epoch.get(), "released the dispatcher's lease");
                Ok(Some(Dispatched::Idle { next_at: holder.next_at }))
            }
            Ok(false) => {
                holder.next_kick_at = posted.or(holder.next_kick_at);
                Ok(None)
            }
            Err(StoreError::Fenced) => Ok(Some(Dispatched::LeaseLost)),
            Err(error) => Err(error),
        }
    }

    /// Wakes another dispatcher for the remaining work and releases the lease.
    async fn pass_on(&self, holder: &mut LeaseHolder<'_>, after: Duration) -> Result<Dispatched, StoreError> {
        let now = self.ports.clock.now();
        let after = if holder.has_begun() {
            after.max(AFTER_RELEASE)
        } else {
            error!("the function's timeout is too short to start any effect: at least 60 s are needed");
            AFTER_NOTHING
        };
        let posted = self.post_kick(now + after, now).await;
        for tries in 1..=RELEASE_TRIES {
            match self.ports.store.release(holder.epoch, None, posted).await {
                Ok(true) => return Ok(Dispatched::WorkLeft),
                // Another write came first.
                Ok(false) => self.ports.clock.sleep(FAULT_PAUSE * tries).await,
                Err(StoreError::Fenced) => return Ok(Dispatched::LeaseLost),
                Err(error) => return Err(error),
            }
        }
        warn!("could not release the lease; it will expire");
        // The kick that was posted may find the lease held.
        self.post_kick(holder.held_until() + AFTER_RELEASE, self.ports.clock.now()).await;
        Ok(Dispatched::WorkLeft)
    }

    /// Posts a kick for `at`; returns when it will arrive, or `None` if it could not be posted.
    async fn post_kick(&self, at: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let after = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        match self.ports.queue.post_kick(after).await {
            Ok(()) => Some(at.max(now)),
            Err(error) => {
                warn!(error = %chain(&error), "could not post a kick; the next sweep replaces it");
                None
            }
        }
    }

    /// Renews the lease if it is due; false if the lease was lost.
    async fn renew_if_due(&self, holder: &mut LeaseHolder<'_>) -> Result<bool, StoreError> {
        let now = self.ports.clock.now();
        if holder.outlasts(now, RENEW_BELOW) {
            return Ok(true);
        }
        let renewed = self.ports.store.renew(holder.epoch, now, LEASE_LENGTH).await?;
        if renewed {
            holder.renewed(now + LEASE_LENGTH);
        }
        Ok(renewed)
    }

    /// Waits until work is due or any process kicks; false if nothing is due
    /// within `patience`. A kick of this process that came while the last effect ended counts.
    async fn wait_patiently(
        &self,
        next_at: Option<Timestamp>,
        patience: Duration,
        kicks: u64,
    ) -> Result<bool, StoreError> {
        if self.kicked.notified().now_or_never().is_some() {
            return Ok(true);
        }
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

    /// Waits for running effects until another round is needed.
    async fn wait_for_news<'a>(
        &'a self,
        holder: &mut LeaseHolder<'a>,
        kicks: u64,
    ) -> Result<News, StoreError> {
        while !holder.effects.is_empty() {
            let news = future::select(
                holder.effects.next(),
                Box::pin(future::select(
                    Box::pin(self.kicked.notified()),
                    Box::pin(self.ports.clock.sleep(KICK_CHECK)),
                )),
            );
            match news.await {
                Either::Left((Some(effected), _)) => {
                    let mut news = holder.settle(effected);
                    // Settle other effects that have ended too, so that one round covers them all.
                    while let Some(Some(effected)) = holder.effects.next().now_or_never() {
                        news = news.max(holder.settle(effected));
                    }
                    self.begin_queued(holder);
                    if news > News::Nothing {
                        return Ok(news);
                    }
                }
                Either::Left((None, _)) => break,
                Either::Right((Either::Left(_), _)) => return Ok(News::Round),
                Either::Right((Either::Right(_), _)) => {
                    let now = self.ports.clock.now();
                    if holder.is_over(now) || !self.renew_if_due(holder).await? {
                        // Effects that are dropped here are resumed from their records.
                        return Ok(if holder.is_over(now) { News::Nothing } else { News::LeaseLost });
                    }
                    if holder.is_closing(now) {
                        continue;
                    }
                    if holder.is_due(now) || self.ports.store.kicks().await? != kicks {
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

/// Returns whether the same call to the store can succeed later.
fn passes(error: &StoreError) -> bool {
    matches!(error.disposition(), Disposition::Retry { .. })
}
