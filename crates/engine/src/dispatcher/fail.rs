//! Jobs that cannot be served: a runner for each, within the limit of an hour, and what it is told to fail.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use ecsrunner_core::clock::has_passed;
use ecsrunner_core::decide::fail::fail_of;
use ecsrunner_core::decide::plan::{Launch, Plan};
use ecsrunner_core::id::{Epoch, JobId, Repository};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::job::{Job, JobRecord};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::Runner;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::rules::pace::{Bucket, Level};
use ecsrunner_core::rules::pool::Pool;
use ecsrunner_core::wire::boot::Fail;
use ecsrunner_core::wire::event::{JobAction, JobEvent, Keys};
use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use super::advance::StepError;
use super::reserve::tell_reserving;
use crate::ports::Clock;
use crate::ports::github::{GitHub, QueuedJobs, RemoteJob, RunPart};
use crate::ports::store::{Store, StoreError, Transaction};
use crate::{Engine, World, chain};

/// The most active runs of a repository that are looked at before a job of it is failed, with a call for each. In a busier
/// repository it is not known whether another job could reach its runner.
const MAX_RUNS: usize = 30;
/// How long an answer of this kind counts for all jobs of the repository. Each one costs up to [`MAX_RUNS`] calls and two.
const LOOKED_AT: SignedDuration = SignedDuration::from_mins(1);
const TOO_BUSY: SignedDuration = SignedDuration::from_mins(10);

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
        let rules = self.rules();
        for launch in launches {
            let job = open.jobs.get(&launch.job).and_then(|job| job.reserved_to_fail(&launch.reason));
            let (Some(job), Some(name)) = (job, self.name(launch, now)) else { continue };
            let runner = launch.order.reserve(name, epoch, now);
            let paces = &rules.settings.paces;
            let is_free =
                |bucket: &Bucket| open.level(bucket, paces, now).is_none_or(|Level(until)| until <= now);
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

    /// Writes the records of jobs that the catalogue judges in another way than before. Returns false if one had changed
    /// since it was read.
    pub(crate) async fn write_readmitted(
        &self,
        epoch: Epoch,
        jobs: &[Job],
        open: &mut Open,
    ) -> Result<bool, StoreError> {
        for job in jobs {
            let state = if job.is_refused() { "refused" } else { "queued" };
            info!(job_id = job.id().get(), state, "judging job by the present catalogue");
        }
        let changes: Vec<Change> = jobs.iter().cloned().map(Change::Job).collect();
        self.commit_each(epoch, &changes, open).await
    }

    /// Whether GitHub's answer about a job counts. That a job which is to be failed is still queued counts only if no other
    /// job of its repository asks for fewer labels: GitHub could give that one to the runner, although other runners
    /// serve it. Most such jobs have no record here.
    pub(crate) async fn may_be_confirmed(&self, job: &Job, answer: &JobEvent) -> bool {
        let is_to_fail = job.failing.is_some() && !job.had_failing_runner();
        if answer.action != JobAction::Queued || !is_to_fail {
            return true;
        }
        match self.could_reach_another(job).await {
            Ok(false) => true,
            Ok(true) => {
                info!(job_id = job.id().get(), "another job could reach the runner that fails this one");
                false
            }
            Err(error) => {
                warn!(job_id = job.id().get(), error = %chain(&error), "could not look for jobs that ask for fewer labels");
                false
            }
        }
    }

    /// Whether a job of the same repository is queued that asks for fewer labels and is not to be failed too. In a
    /// repository with many runs it is not known.
    async fn could_reach_another(&self, job: &Job) -> Result<bool, StepError> {
        let (repository, labels) = (&job.facts.repository, &job.facts.labels);
        let queued = self.queued_beside(repository).await?;
        let asks_for_fewer = |other: &&RemoteJob| {
            let asked = Labels::new(&other.labels);
            other.id != job.id() && asked != *labels && labels.is_superset(&asked)
        };
        for other in queued.jobs.iter().filter(asks_for_fewer) {
            let keys = Keys::of_job(other.id);
            match self.ports.store.load(&keys).await?.job {
                Some(JobRecord::Open(known)) if known.is_refused() => {}
                _ => return Ok(true),
            }
        }
        Ok(queued.next.is_some())
    }

    /// Returns the queued jobs of a repository, as far as its runs are looked at.
    async fn queued_beside(&self, repository: &Repository) -> Result<Arc<QueuedJobs>, StepError> {
        let now = self.ports.clock.now();
        if let Some((at, queued)) = self.cache.queued_of(repository)
            && !has_passed(if queued.next.is_some() { TOO_BUSY } else { LOOKED_AT }, at, now)
        {
            return Ok(queued);
        }
        let part = RunPart { after: None, most: MAX_RUNS };
        let scope = self.rules().settings.registration.scope(repository);
        let queued = self.call_github(&scope, self.ports.github.queued_jobs(repository, part)).await?;
        let queued = Arc::new(queued);
        self.cache.note_queued(repository, now, Arc::clone(&queued));
        Ok(queued)
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
        let (now, rules) = (self.ports.clock.now(), self.rules());
        let keys = Keys::of_job(runner.facts.launched_for);
        if let Some(JobRecord::Open(job)) = self.ports.store.load(&keys).await?.job
            && let Some(fail) = fail_of(&job, now)
        {
            // Its class may have come since it was planned, or what held it may have ended.
            let is_needed = job.had_failing_runner() || self.cache.is_unservable(&job, &rules, now);
            return Ok(is_needed.then_some(fail));
        }
        let open = self.ports.store.open().await?;
        let is_left = |job: &&Job| {
            let scope = rules.settings.registration.scope(&job.facts.repository);
            Pool { scope, labels: job.facts.labels.clone() }.id() == runner.facts.pool
                && job.had_failing_runner()
        };
        Ok(open.jobs.values().filter(is_left).find_map(|job| fail_of(job, now)))
    }
}
