//! Jobs that cannot be served: a runner for each, within the limit of an hour, and what it is told to fail.

use std::collections::HashSet;
use std::sync::PoisonError;

use ecsrunner_core::decide::fail::fail_of;
use ecsrunner_core::decide::plan::{Launch, Plan};
use ecsrunner_core::id::{Epoch, JobId};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::job::{Job, JobRecord};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::Runner;
use ecsrunner_core::rules::pace::{Bucket, Level};
use ecsrunner_core::rules::pool::Pool;
use ecsrunner_core::wire::boot::Fail;
use ecsrunner_core::wire::event::Keys;
use jiff::Timestamp;
use tracing::{info, warn};

use super::reserve::tell_reserving;
use crate::ports::Clock;
use crate::ports::store::{Store, StoreError, Transaction};
use crate::{Engine, World};

impl<W: World> Engine<W> {
    /// Reserves runners that fail jobs, as far as the repository's limit of an hour has slots. A slot is taken in the
    /// transaction of the reservation, so that a fault takes none. False if a job had changed since it was read.
    pub(crate) async fn reserve_to_fail(
        &self,
        epoch: Epoch,
        launches: &[Launch],
        open: &mut Open,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut all = true;
        for launch in launches {
            let job = open.jobs.get(&launch.job).and_then(|job| job.reserved_to_fail(&launch.reason));
            let (Some(job), Some(runner)) = (job, self.name(launch, epoch, now)) else { continue };
            let is_free = |bucket: &Bucket| open.levels.get(bucket).is_none_or(|Level(until)| *until <= now);
            let Some(bucket) = Bucket::failures(launch.order.repository()).find(is_free) else { continue };
            let level = Level(now + Bucket::FAILURE_TAKEN);
            info!(
                job_id = launch.job.get(),
                repository = %launch.order.repository(),
                reason = launch.reason.code().as_str(),
                "failing job that cannot be served"
            );
            tell_reserving(launch, &runner);
            let changes = [Change::Job(job), Change::Runner(runner)];
            let slot = Some((&bucket, level));
            let reservation = Transaction { slot, ..Transaction::fenced(&changes, epoch) };
            if self.reserve_one(reservation, open).await? {
                self.cache.set_level(&bucket, Some(level));
                open.levels.insert(bucket, level);
            } else {
                all = false;
            }
        }
        Ok(all)
    }

    /// Lets jobs have one more runner whose runner failed another job. Returns false if one had changed since it was read.
    pub(crate) async fn release_missed(
        &self,
        epoch: Epoch,
        missed: &[JobId],
        open: &mut Open,
    ) -> Result<bool, StoreError> {
        let mut all = true;
        for job in missed {
            let Some(next) = open.jobs.get(job).and_then(Job::missed_by_its_runner) else { continue };
            match self.commit_batches(epoch, &[Change::Job(next)], open).await {
                Ok(()) => info!(job_id = job.get(), "its runner failed another job of its pool"),
                Err(StoreError::Conflict) => all = false,
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Logs jobs that cannot be served and cannot be failed either, once in this process.
    pub(crate) fn tell_left(&self, plan: &Plan) {
        let mut told = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let left: HashSet<_> = plan.left.iter().map(|left| left.job).collect();
        told.retain(|job| left.contains(job));
        for left in &plan.left {
            if told.insert(left.job) {
                warn!(job_id = left.job.get(), reason = %left.reason, "leaving job that cannot be served");
            }
        }
    }

    /// Returns what a runner that fails jobs is told. If GitHub gave its job to another runner, that runner's job is
    /// left for it. `None` if no job of its pool is to be failed.
    ///
    /// The job's next record is to be written together with the hand-over.
    pub(crate) async fn what_to_fail(
        &self,
        runner: &Runner,
    ) -> Result<Option<(Fail, Option<Job>)>, StoreError> {
        let now = self.ports.clock.now();
        let keys = Keys { job: Some(runner.facts.launched_for), runner: None };
        if let Some(JobRecord::Open(job)) = self.ports.store.load(&keys).await?.job
            && let Some(fail) = fail_of(&job, now)
        {
            return Ok(Some(fail));
        }
        let open = self.ports.store.open().await?;
        let is_left = |job: &&Job| {
            let scope = self.rules().settings.registration.scope(&job.facts.repository);
            Pool { scope, labels: job.facts.labels.clone() }.id() == runner.facts.pool
                && job.had_failing_runner()
        };
        Ok(open.jobs.values().filter(is_left).find_map(|job| fail_of(job, now)))
    }
}
