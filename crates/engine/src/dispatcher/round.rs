//! One round: what is open is read, the plan is made, its writes are done and
//! its effects begun. A round waits for no effect.

use std::collections::HashMap;

use ecsrunner_core::id::{Epoch, JobId, PoolId, RunnerName};
use ecsrunner_core::job::{Job, JobState};
use ecsrunner_core::plan::{Launch, Open, Plan, Question, plan};
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::record::Change;
use ecsrunner_core::runner::Runner;
use ecsrunner_core::runner::step::Next;
use jiff::Timestamp;
use tracing::{info, warn};
use ulid::Ulid;

use super::memory::EffectKey;
use super::{MOST_EFFECTS, MOST_EFFECTS_OF_POOL, Term};
use crate::ports::store::{Store, StoreError, Transaction};
use crate::ports::{Clock, Randomness};
use crate::{Engine, World};

/// The most records in one transaction; DynamoDB takes 100 items, of which
/// each record needs two, and the lease one.
const BATCH: usize = 25;

impl<W: World> Engine<W> {
    pub(crate) async fn round<'a>(&'a self, term: &mut Term<'a>) -> Result<(), StoreError> {
        let open = self.ports.store.open().await?;
        let now = self.ports.clock.now();
        let plan = plan(&open, self.rules.rules(), &self.memory.budgets(now), now);
        term.next_at = plan.next_at;
        term.held_back = false;
        if let Some(at) = self.memory.next_class_probe(now) {
            term.wake_at(at);
        }
        let mut written = Written::of(open);
        // Launches first: nothing that only tells why may hold them up.
        self.reserve(term.epoch, &plan.launches, &mut written, now).await?;
        self.write_runners(term.epoch, &plan, &mut written, now).await?;
        self.write_waits(term.epoch, &plan, &mut written).await?;
        self.begin_effects(term, written, &plan.questions, now);
        Ok(())
    }

    /// Reserves the plan's launches: each runner's record in one transaction
    /// with its job's, which must be as it was read.
    async fn reserve(
        &self,
        epoch: Epoch,
        launches: &[Launch],
        written: &mut Written,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let fence = Some(epoch);
        for batch in launches.chunks(BATCH) {
            let mut changes = Vec::new();
            for launch in batch {
                let job =
                    written.jobs.get(&launch.job).and_then(|job| waiting(job, &Code::RunnerStarting.into()));
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
            self.ports.store.commit(Transaction { fence, ..Transaction::of(&changes) }).await?;
            written.note(changes);
        }
        Ok(())
    }

    /// Writes retirements and marks.
    async fn write_runners(
        &self,
        epoch: Epoch,
        plan: &Plan,
        written: &mut Written,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut changes = Vec::new();
        for retirement in &plan.retirements {
            if let Some(runner) = written.runners.get(&retirement.runner) {
                info!(runner = %retirement.runner, reason = retirement.reason.code().as_str(), "retiring runner");
                changes.push(Change::Runner(runner.end(
                    retirement.kind,
                    Some(retirement.reason.clone()),
                    now,
                )));
            }
        }
        for mark in &plan.marks {
            if let Some(runner) = written.runners.get(&mark.runner) {
                let version = runner.version.next();
                let surplus_since = mark.surplus_since;
                changes.push(Change::Runner(Runner { version, surplus_since, ..runner.clone() }));
            }
        }
        self.write_batches(epoch, changes, written).await
    }

    /// Writes the reasons of waiting. They change nothing: where another write
    /// came first, the next round tells them.
    async fn write_waits(&self, epoch: Epoch, plan: &Plan, written: &mut Written) -> Result<(), StoreError> {
        let changes = plan
            .waits
            .iter()
            .filter_map(|wait| waiting(written.jobs.get(&wait.job)?, &wait.reason).map(Change::Job))
            .collect();
        match self.write_batches(epoch, changes, written).await {
            Err(StoreError::Conflict) => Ok(()),
            other => other,
        }
    }

    async fn write_batches(
        &self,
        epoch: Epoch,
        changes: Vec<Change>,
        written: &mut Written,
    ) -> Result<(), StoreError> {
        for batch in changes.chunks(BATCH) {
            let fence = Some(epoch);
            self.ports.store.commit(Transaction { fence, ..Transaction::of(batch) }).await?;
            written.note(batch.to_vec());
        }
        Ok(())
    }

    fn name(&self, launch: &Launch, epoch: Epoch, now: Timestamp) -> Option<Runner> {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        let ulid = Ulid::from_parts(millis, self.ports.randomness.bits());
        let deployment = &self.rules.settings.deployment;
        match RunnerName::new(deployment, launch.order.pool(), &ulid.to_string()) {
            Ok(name) => Some(launch.order.reserve(name, epoch, now)),
            Err(error) => {
                warn!(%error, "no runner name could be made");
                None
            }
        }
    }

    fn begin_effects<'a>(
        &'a self,
        term: &mut Term<'a>,
        written: Written,
        questions: &[Question],
        now: Timestamp,
    ) {
        let Written { jobs, runners: by_name } = written;
        let mut runners: Vec<Runner> = by_name.values().cloned().collect();
        // The oldest first, retirements among them.
        runners.sort_unstable_by(|a, b| a.name().ulid().cmp(b.name().ulid()));
        let mut of_pool: HashMap<PoolId, usize> = HashMap::new();
        for runner in &runners {
            if term.under_way.contains(&EffectKey::Runner(runner.name().clone())) {
                *of_pool.entry(runner.facts.pool.clone()).or_default() += 1;
            }
        }
        for runner in runners {
            let key = EffectKey::Runner(runner.name().clone());
            match runner.next(now) {
                Next::Event => continue,
                Next::At(at) => {
                    term.wake_at(at);
                    continue;
                }
                Next::Now(_) => {}
            }
            let pool = of_pool.entry(runner.facts.pool.clone()).or_default();
            if *pool >= MOST_EFFECTS_OF_POOL {
                term.held_back = true;
            } else if self.may_begin(term, &key, now) {
                *pool += 1;
                let epoch = term.epoch;
                term.effects.push(Box::pin(self.advance(runner, epoch)));
            }
        }
        for question in questions {
            let key = EffectKey::Question(question.clone());
            if !self.may_begin(term, &key, now) {
                continue;
            }
            match question {
                Question::Job { job, on_behalf_of } => {
                    if let Some(job) = jobs.get(job) {
                        term.effects.push(Box::pin(self.ask_job(job.clone(), on_behalf_of.clone())));
                    }
                }
                Question::Runner(name) => {
                    if let Some(runner) = by_name.get(name) {
                        term.effects.push(Box::pin(self.ask_runner(runner.clone())));
                    }
                }
            }
        }
        for (scope, probe_at) in self.memory.probes() {
            let key = EffectKey::Probe(scope.clone());
            if probe_at > now {
                term.wake_at(probe_at);
            } else if self.may_begin(term, &key, now) {
                term.effects.push(Box::pin(self.probe(scope)));
            }
        }
    }

    /// Whether an effect may begin now; if so, it is under way from here on.
    fn may_begin(&self, term: &mut Term<'_>, key: &EffectKey, now: Timestamp) -> bool {
        if term.under_way.contains(key) {
            return false;
        }
        if term.effects.len() >= MOST_EFFECTS {
            term.held_back = true;
            return false;
        }
        if let Some(at) = self.memory.not_before(key, now) {
            term.wake_at(at);
            return false;
        }
        term.under_way.insert(key.clone())
    }
}

/// What is open, as it is after this round's writes.
struct Written {
    jobs: HashMap<JobId, Job>,
    runners: HashMap<RunnerName, Runner>,
}

impl Written {
    fn of(open: Open) -> Self {
        Self {
            jobs: open.jobs.into_iter().map(|job| (job.id(), job)).collect(),
            runners: open.runners.into_iter().map(|runner| (runner.name().clone(), runner)).collect(),
        }
    }

    fn note(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Job(job) => {
                    self.jobs.insert(job.id(), job);
                }
                Change::Runner(runner) => {
                    self.runners.insert(runner.name().clone(), runner);
                }
                Change::JobEnded(_) | Change::JobAmended(_) | Change::RunnerGone(_) => {}
            }
        }
    }
}

/// The queued job's record with another reason to wait.
fn waiting(job: &Job, reason: &Reason) -> Option<Job> {
    let JobState::Queued { place, .. } = &job.state else { return None };
    Some(job.with_state(JobState::Queued { place: place.clone(), wait: reason.clone() }))
}
