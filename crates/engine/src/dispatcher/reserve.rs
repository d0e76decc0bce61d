//! Reserves the runners that a plan launches.

use ecsrunner_core::decide::plan::Launch;
use ecsrunner_core::decide::plan::held::Obstacles;
use ecsrunner_core::id::{Epoch, RunnerName, WarmName};
use ecsrunner_core::reason::Code;
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::{Runner, RunnerState};
use ecsrunner_core::records::warm::WarmTask;
use jiff::Timestamp;
use tracing::{info, warn};
use ulid::Ulid;

use crate::commit::BATCH;
use crate::ports::Randomness;
use crate::ports::store::{StoreError, Transaction};
use crate::{Engine, World, chain};

const RESERVATION_TRIES: u32 = 3;

impl<W: World> Engine<W> {
    /// Reserves the plan's launches. Each runner's record is written in one transaction with its job's, and with that of
    /// the warm task that it takes over. False if one of them had changed since it was read.
    pub(super) async fn reserve(
        &self,
        epoch: Epoch,
        launches: &[Launch],
        open: &mut Open,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let obstacles = if launches.is_empty() { Obstacles::default() } else { Obstacles::of(open) };
        let (warm, cold): (Vec<_>, Vec<_>) = launches.iter().partition(|launch| launch.warm.is_some());
        // Each writes a runner's record, its job's and perhaps a warm task's.
        let mut all = true;
        for (launches, size) in [(warm, BATCH / 3), (cold, BATCH / 2)] {
            for batch in launches.chunks(size) {
                all &= self.reserve_batch(epoch, batch, &obstacles, open, now).await?;
            }
        }
        Ok(all)
    }

    async fn reserve_batch(
        &self,
        epoch: Epoch,
        batch: &[&Launch],
        obstacles: &Obstacles,
        open: &mut Open,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut reservations = Vec::new();
        for &launch in batch {
            let job = open.jobs.get(&launch.job);
            let Some(mut job) = job.and_then(|job| job.waiting_for(&Code::RunnerStarting.into())) else {
                continue;
            };
            job.held = obstacles.before(&job);
            let Some((runner, warm)) = self.prepare_launch(launch, open, epoch, now) else { continue };
            tell_reserving(launch, &runner);
            let mut changes = vec![Change::Job(job), Change::Runner(runner)];
            changes.extend(warm.map(Change::Warm));
            reservations.push(changes);
        }
        let changes = reservations.concat();
        // A record that has changed must not hold back the others.
        match self.commit(Transaction::fenced(&changes, epoch)).await {
            Ok(()) => self.reserved(&changes, open),
            Err(StoreError::Conflict) => {
                let mut all = true;
                for changes in &reservations {
                    all &= self.reserve_one(Transaction::fenced(changes, epoch), open).await?;
                }
                return Ok(all);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Makes the runner of a launch, and the next record of the warm task that it takes over.
    fn prepare_launch(
        &self,
        launch: &Launch,
        open: &Open,
        epoch: Epoch,
        now: Timestamp,
    ) -> Option<(Runner, Option<WarmTask>)> {
        let name = self.name(launch, now)?;
        match &launch.warm {
            None => Some((launch.order.reserve(name, epoch, now), None)),
            Some(warm) => {
                let (runner, warm) = launch.order.take_over(name, open.warm.get(warm)?, epoch, now)?;
                Some((runner, Some(warm)))
            }
        }
    }

    /// Notes reservations that were written. This lease knows that RunTask was not called for them.
    fn reserved(&self, changes: &[Change], open: &mut Open) {
        for change in changes {
            open.apply(change);
            if let Change::Runner(runner) = change
                && let RunnerState::Reserved { attempt } = runner.state
            {
                self.cache.add_unasked(runner.name(), attempt);
            }
        }
    }

    /// Reserves one runner; false if its job has changed.
    pub(super) async fn reserve_one(
        &self,
        reservation: Transaction<'_>,
        open: &mut Open,
    ) -> Result<bool, StoreError> {
        for _ in 0..RESERVATION_TRIES {
            match self.commit(reservation.clone()).await {
                Ok(()) => {
                    self.reserved(reservation.changes, open);
                    return Ok(true);
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Returns a name for the runner of a launch.
    pub(super) fn name(&self, launch: &Launch, now: Timestamp) -> Option<RunnerName> {
        let ulid = self.ulid(now);
        match RunnerName::new(&self.rules().settings.deployment, launch.order.pool(), &ulid) {
            Ok(name) => Some(name),
            Err(error) => {
                warn!(error = %chain(&error), "could not make a runner name");
                None
            }
        }
    }

    pub(super) fn ulid(&self, now: Timestamp) -> String {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Ulid::from_parts(millis, self.ports.randomness.bits()).to_string()
    }
}

pub(super) fn tell_reserving(launch: &Launch, runner: &Runner) {
    info!(
        job_id = launch.job.get(),
        runner = %runner.name(),
        class = %runner.facts.class,
        warm = launch.warm.as_ref().map(WarmName::as_str),
        reason = %launch.reason,
        "reserving runner"
    );
}
