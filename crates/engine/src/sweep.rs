//! Repairs what events missed, pass by pass. Each pass performs what
//! `ecsrunner_core::decide::sweep` decides, with a bounded number of calls, and
//! saves its position for the next pass.

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
    /// How long a task must be missing before it counts as gone.
    pub lag: Lag,
    pub reach: Reach,
    /// The time after which no further call starts.
    pub until: Option<Timestamp>,
}

/// Which outside state a sweep compares with the records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    Tasks,
    /// Tasks, registrations, and webhook deliveries. Where the App's own webhook
    /// reports no jobs, and without an App, the allowed repositories are also asked
    /// for their queued jobs.
    Everything,
}

/// The result of a sweep.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Swept {
    /// Records that were repaired against their tasks.
    pub repaired: usize,
    /// Tasks that were stopped because no record needed them.
    pub stopped_orphans: usize,
    /// Registrations that were deleted because no record named them.
    pub deleted_registrations: usize,
    /// Unrecorded deliveries that were fetched. Most of them contain nothing new.
    pub fetched: usize,
    /// Fetched deliveries that contained something new.
    pub reinjected: usize,
    /// Queued jobs that were found by asking GitHub.
    pub discovered: usize,
    /// Runners that have been ending for over an hour.
    pub stuck: usize,
    /// The greatest possible age of a delivery that has not been read yet.
    pub behind: Option<SignedDuration>,
    /// Calls that failed. Each was logged, and a later pass retries it.
    pub failed: usize,
    /// Whether a part stopped early because of a bound or a failure. The next
    /// pass continues.
    pub cut: bool,
}

impl Swept {
    /// Returns whether there was nothing to do and nothing to report.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a part of a pass stopped early.
#[derive(Debug, thiserror::Error)]
enum PartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Compute(#[from] ComputeError),
}

/// A pass in progress.
struct Pass {
    now: Timestamp,
    until: Option<Timestamp>,
    progress: SweepProgress,
    swept: Swept,
}

impl Pass {
    /// Returns whether one more call may start.
    fn has_time(&mut self, clock: &impl Clock) -> bool {
        let over = self.until.is_some_and(|until| clock.now() >= until);
        self.swept.cut |= over;
        !over
    }

    /// Records a failed call. The pass continues without it.
    fn failed(&mut self, part: &'static str, error: &(dyn Error + 'static)) {
        self.swept.failed += 1;
        warn!(part, error = %chain(error), "a part of the sweep failed");
    }
}

impl<W: World> Engine<W> {
    /// Returns whether a sweep is due: every minute, or every five minutes when nothing is open.
    ///
    /// # Errors
    ///
    /// The store is unavailable.
    pub async fn sweep_is_due(&self) -> Result<bool, StoreError> {
        let progress = self.ports.store.progress().await?;
        let open = self.ports.store.open().await?;
        let open_is_empty = open.is_at_rest();
        Ok(is_due(&progress, open_is_empty, self.ports.clock.now()))
    }

    /// Makes one pass. It takes no lease. If two sweeps run at the same time,
    /// each call is idempotent, and the progress that is written last remains.
    ///
    /// Failed calls to GitHub or the compute service are logged, counted and
    /// left to the next pass; the other parts continue.
    ///
    /// # Errors
    ///
    /// The store cannot read what is open, or cannot write the progress.
    pub async fn sweep(&self, sweeping: Sweeping) -> Result<Swept, StoreError> {
        let stored = self.ports.store.progress().await?;
        // Read the records before the tasks: a task that they name existed before
        // the list was made. For other tasks the record is read once more.
        let open = self.ports.store.open().await?;
        let now = self.ports.clock.now();
        let progress = stored.moved_back(now);
        let swept = Swept { stuck: stuck(&open, now), ..Swept::default() };
        let mut pass = Pass { now, until: sweeping.until, progress, swept };
        pass.progress.began_at = Some(now);
        if let Err(error) = self.sweep_tasks(&mut pass, &open, sweeping.lag).await {
            pass.failed("tasks", &error);
        }
        if sweeping.reach == Reach::Everything {
            self.sweep_deliveries(&mut pass).await;
            pass.progress.deliveries.sight = pass.progress.deliveries.sight.compared_with(&open);
            if pass.progress.deliveries.sight.is_trusted(now) {
                pass.progress.repositories.stop();
            } else {
                self.sweep_repositories(&mut pass, &open).await;
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
