//! Reserves the runners of a plan: each record is written with its job's.

use ecsrunner_core::decide::plan::Launch;
use ecsrunner_core::id::{Epoch, RunnerName};
use ecsrunner_core::reason::Code;
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::{Runner, RunnerState};
use jiff::Timestamp;
use tracing::{info, warn};
use ulid::Ulid;

use crate::commit::BATCH;
use crate::ports::Randomness;
use crate::ports::store::{StoreError, Transaction};
use crate::{Engine, World};

/// The most reservations in one transaction. Each writes a runner's record and its job's.
const RESERVATIONS: usize = BATCH / 2;
const RESERVATION_TRIES: u32 = 3;

impl<W: World> Engine<W> {
    /// Reserves the plan's launches. Each runner's record is written in one
    /// transaction with its job's. False if a job had changed since it was read.
    pub(crate) async fn reserve(
        &self,
        epoch: Epoch,
        launches: &[Launch],
        open: &mut Open,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut all = true;
        for batch in launches.chunks(RESERVATIONS) {
            let mut changes = Vec::new();
            for launch in batch {
                let job = open.jobs.get(&launch.job);
                let job = job.and_then(|job| match launch.order.fails() {
                    true => job.reserved_to_fail(&launch.reason),
                    false => job.waiting_for(&Code::RunnerStarting.into()),
                });
                if let (Some(job), Some(runner)) = (job, self.name(launch, epoch, now)) {
                    info!(
                        job_id = launch.job.get(),
                        runner = %runner.name(),
                        class = %runner.facts.class,
                        reason = %launch.reason,
                        "reserving runner"
                    );
                    changes.extend([Change::Job(job), Change::Runner(runner)]);
                }
            }
            // A job that has changed must not hold back the others.
            match self.commit(Transaction::fenced(&changes, epoch)).await {
                Ok(()) => self.reserved(&changes, open),
                Err(StoreError::Conflict) => {
                    for pair in changes.chunks(2) {
                        all &= self.reserve_one(epoch, pair, open).await?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
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
    async fn reserve_one(&self, epoch: Epoch, pair: &[Change], open: &mut Open) -> Result<bool, StoreError> {
        for _ in 0..RESERVATION_TRIES {
            match self.commit(Transaction::fenced(pair, epoch)).await {
                Ok(()) => {
                    self.reserved(pair, open);
                    return Ok(true);
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    fn name(&self, launch: &Launch, epoch: Epoch, now: Timestamp) -> Option<Runner> {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        let ulid = Ulid::from_parts(millis, self.ports.randomness.bits());
        match RunnerName::new(&self.rules().settings.deployment, launch.order.pool(), &ulid.to_string()) {
            Ok(name) => Some(launch.order.reserve(name, epoch, now)),
            Err(error) => {
                warn!(%error, "could not make a runner name");
                None
            }
        }
    }
}
