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
use tracing::{info, warn};

use super::advance::StepError;
use super::chain;
use crate::ports::Clock;
use crate::ports::store::{Store, StoreError};
use crate::{Engine, World};

impl<W: World> Engine<W> {
    /// Returns the launches without those for which the repository's limit of an hour has no slot. A slot is taken
    /// before the runner is reserved: after a crash in between, one runner less is launched.
    pub(crate) async fn within_failure_limit(&self, launches: Vec<Launch>) -> Vec<Launch> {
        let mut within = Vec::new();
        for launch in launches {
            if launch.order.fails() {
                match self.take_failure_slot(&launch).await {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(error) => {
                        warn!(job_id = launch.job.get(), error = %chain(&error), "could not take a slot for a job that cannot be served");
                        continue;
                    }
                }
                info!(
                    job_id = launch.job.get(),
                    repository = %launch.order.repository(),
                    reason = launch.reason.code().as_str(),
                    "failing job that cannot be served"
                );
            }
            within.push(launch);
        }
        within
    }

    async fn take_failure_slot(&self, launch: &Launch) -> Result<bool, StepError> {
        for bucket in Bucket::failures(launch.order.repository()) {
            let taken = self
                .move_level(&bucket, |_, before, now| match before {
                    Some(Level(until)) if until > now => Err(StepError::NotYet(until)),
                    _ => Ok((Level(now + Bucket::FAILURE_TAKEN), now)),
                })
                .await;
            match taken {
                Ok(_) => return Ok(true),
                Err(StepError::NotYet(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
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
