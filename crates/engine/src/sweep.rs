//! What events missed, pass by pass: this loops what `ecsrunner_core::decide::sweep`
//! decides, with bounded calls, and keeps its place for the next pass.

mod deliveries;
mod registrations;
mod repositories;
mod tasks;

use std::error::Error;

use ecsrunner_core::decide::sweep::deliveries::behind;
use ecsrunner_core::decide::sweep::{Lag, SweepProgress, is_due, stuck};
use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use crate::chain;
use crate::metrics::Metric;
use crate::ports::Clock;
use crate::ports::compute::ComputeError;
use crate::ports::store::{Progress, Store, StoreError};
use crate::{Engine, World};

#[derive(Clone, Copy, Debug)]
pub struct Sweeping {
    /// How long a task must have been missing before it counts as gone.
    pub lag: Lag,
    pub reach: Reach,
    /// When to begin no more calls: before the caller's lease runs out, by as
    /// long as one call may take.
    pub until: Option<Timestamp>,
}

/// What a sweep compares with what is recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    Tasks,
    /// Tasks; and at GitHub webhook deliveries or, without an App, the queued
    /// jobs of the repositories that are allowed by name; and registrations.
    Everything,
}

/// What a sweep came to.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Swept {
    /// Records that were repaired against their tasks.
    pub repaired: usize,
    /// Tasks that were stopped since no record wanted them.
    pub stopped_orphans: usize,
    /// Registrations that were deleted since no record named them.
    pub deleted_registrations: usize,
    /// Deliveries that were never recorded and were fetched: most tell nothing new.
    pub fetched: usize,
    /// Those of them that told something new.
    pub reinjected: usize,
    /// Queued jobs that were found by asking for them.
    pub discovered: usize,
    /// Runners that have been ending for over an hour.
    pub stuck: usize,
    /// How old the earliest delivery may be that was not gone through yet.
    pub behind: Option<SignedDuration>,
    /// Calls that failed. Each was logged, and the next passes make it again.
    pub failed: usize,
    /// Whether a part ended before its work was done, by a bound or a failure:
    /// the next pass goes on.
    pub cut: bool,
}

impl Swept {
    /// Whether there was nothing to do, and nothing that a person might look at.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a part of a pass ended early.
#[derive(Debug, thiserror::Error)]
enum PartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Compute(#[from] ComputeError),
}

/// A pass under way.
struct Pass {
    now: Timestamp,
    until: Option<Timestamp>,
    progress: SweepProgress,
    swept: Swept,
}

impl Pass {
    /// Whether there is time for one more call.
    fn has_time(&mut self, clock: &impl Clock) -> bool {
        let over = self.until.is_some_and(|until| clock.now() >= until);
        self.swept.cut |= over;
        !over
    }

    /// A call failed, and the pass goes on without it.
    fn failed(&mut self, part: &'static str, error: &(dyn Error + 'static)) {
        self.swept.failed += 1;
        warn!(part, error = %chain(error), "a part of the sweep failed");
    }
}

impl<W: World> Engine<W> {
    /// Whether the time has come for a sweep: each minute, and each five when nothing is open.
    ///
    /// # Errors
    ///
    /// The store is out of reach.
    pub async fn sweep_is_due(&self) -> Result<bool, StoreError> {
        let progress = self.ports.store.progress().await?;
        let open = self.ports.store.open().await?;
        let open_is_empty = open.is_at_rest();
        Ok(is_due(&progress, open_is_empty, self.ports.clock.now()))
    }

    /// Makes one pass. It takes no lease: the caller holds the dispatcher's, or
    /// a lock of its own, so that there is one sweep at a time. Should two run
    /// all the same, each call is harmless twice, and the progress that is kept
    /// last stands.
    ///
    /// What fails at GitHub or the compute service is logged, counted and left
    /// to the next pass; the other parts go on.
    ///
    /// # Errors
    ///
    /// The store does not tell what is open, or does not keep the progress.
    pub async fn sweep(&self, sweeping: Sweeping) -> Result<Swept, StoreError> {
        let progress = self.ports.store.progress().await?;
        // The records first: a task that they name was there before the list was
        // made. One that they do not name yet gets a fresh look.
        let open = self.ports.store.open().await?;
        let now = self.ports.clock.now();
        let swept = Swept { stuck: stuck(&open, now), ..Swept::default() };
        let mut pass = Pass { now, until: sweeping.until, progress, swept };
        pass.progress.began_at = Some(now);
        if let Err(error) = self.sweep_tasks(&mut pass, &open, sweeping.lag).await {
            pass.failed("tasks", &error);
        }
        if sweeping.reach == Reach::Everything {
            if !self.sweep_deliveries(&mut pass).await {
                self.sweep_repositories(&mut pass).await;
            }
            self.sweep_registrations(&mut pass, &open).await;
        }
        pass.swept.behind = behind(&pass.progress.deliveries, now);
        self.tell_swept(&pass.swept);
        self.ports.store.keep_progress(&pass.progress).await?;
        Ok(pass.swept)
    }

    fn tell_swept(&self, swept: &Swept) {
        let counts = [
            (Metric::Repairs, swept.repaired),
            (Metric::OrphansStopped, swept.stopped_orphans),
            (Metric::RegistrationsDeleted, swept.deleted_registrations),
            (Metric::DeliveriesReinjected, swept.reinjected),
            (Metric::JobsDiscovered, swept.discovered),
            (Metric::SweepFailures, swept.failed),
        ];
        let behind = swept.behind.map_or(0.0, |behind| behind.as_secs_f64());
        self.metrics.add(Metric::SweepBehind, behind);
        for (metric, count) in counts {
            self.metrics.add(metric, f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
        }
        if !swept.is_quiet() {
            info!(
                repaired = swept.repaired,
                stopped_orphans = swept.stopped_orphans,
                deleted_registrations = swept.deleted_registrations,
                fetched = swept.fetched,
                reinjected = swept.reinjected,
                discovered = swept.discovered,
                stuck = swept.stuck,
                behind_secs = swept.behind.map(|behind| behind.as_secs()),
                failed = swept.failed,
                cut = swept.cut,
                "swept"
            );
        }
    }
}
