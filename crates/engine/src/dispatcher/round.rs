//! One round: what is open is read, the plan is made, its writes are done and
//! its effects begun. A round waits for no effect.

use std::collections::HashMap;

use ecsrunner_core::id::{Epoch, JobId, PoolId, RunnerName};
use ecsrunner_core::job::{Job, JobState};
use ecsrunner_core::plan::{Launch, Open, Plan, Question, plan};
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
        let plan = plan(&open, self.rules.rules(), &self.memory.budgets(), now);
        term.next_at = plan.next_at;
        let mut runners = self.write_states(term.epoch, &open, &plan, now).await?;
        runners.extend(self.reserve(term.epoch, &plan.launches, now).await?);
        self.begin_effects(term, &open, runners, &plan.questions, now);
        Ok(())
    }

    /// Writes retirements, marks and reasons of waiting; returns the runners as
    /// they are then.
    async fn write_states(
        &self,
        epoch: Epoch,
        open: &Open,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<Vec<Runner>, StoreError> {
        let mut runners: HashMap<RunnerName, Runner> =
            open.runners.iter().map(|runner| (runner.name().clone(), runner.clone())).collect();
        let mut changes = Vec::new();
        for retirement in &plan.retirements {
            if let Some(runner) = runners.get_mut(&retirement.runner) {
                info!(runner = %retirement.runner, reason = retirement.reason.code().as_str(), "retiring runner");
                *runner = runner.end(retirement.kind, Some(retirement.reason.clone()), now);
                changes.push(Change::Runner(runner.clone()));
            }
        }
        for mark in &plan.marks {
            if let Some(runner) = runners.get_mut(&mark.runner) {
                runner.version = runner.version.next();
                runner.surplus_since = mark.surplus_since;
                changes.push(Change::Runner(runner.clone()));
            }
        }
        let jobs: HashMap<JobId, &Job> = open.jobs.iter().map(|job| (job.id(), job)).collect();
        // A job that a launch of this plan is for is checked at the version just read.
        let launched: Vec<JobId> = plan.launches.iter().map(|launch| launch.job).collect();
        for wait in plan.waits.iter().filter(|wait| !launched.contains(&wait.job)) {
            if let Some(change) = jobs.get(&wait.job).and_then(|job| waiting(job, &wait.reason)) {
                changes.push(change);
            }
        }
        for batch in changes.chunks(BATCH) {
            let fence = Some(epoch);
            self.ports.store.commit(Transaction { fence, ..Transaction::of(batch) }).await?;
        }
        Ok(runners.into_values().collect())
    }

    /// Reserves the plan's launches: each runner's record, while its job is as it was read.
    async fn reserve(
        &self,
        epoch: Epoch,
        launches: &[Launch],
        now: Timestamp,
    ) -> Result<Vec<Runner>, StoreError> {
        let mut reserved = Vec::new();
        for batch in launches.chunks(BATCH) {
            let mut runners = Vec::new();
            for launch in batch {
                if let Some(runner) = self.name(launch, epoch, now) {
                    runners.push(runner);
                }
            }
            let changes: Vec<Change> = runners.iter().cloned().map(Change::Runner).collect();
            let unchanged: Vec<_> = batch.iter().map(|launch| (launch.job, launch.job_version)).collect();
            let transaction =
                Transaction { changes: &changes, unchanged: &unchanged, fence: Some(epoch), boot: None };
            self.ports.store.commit(transaction).await?;
            for (launch, runner) in batch.iter().zip(&runners) {
                info!(
                    job_id = launch.job.get(),
                    runner = %runner.name(),
                    class = %runner.facts.class,
                    reason = %launch.reason,
                    "reserved runner"
                );
            }
            reserved.append(&mut runners);
        }
        Ok(reserved)
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
        open: &Open,
        mut runners: Vec<Runner>,
        questions: &[Question],
        now: Timestamp,
    ) {
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
            if *pool < MOST_EFFECTS_OF_POOL && self.may_begin(term, &key, now) {
                *pool += 1;
                let epoch = term.epoch;
                term.effects.push(Box::pin(self.advance(runner, epoch)));
            }
        }
        let jobs: HashMap<JobId, &Job> = open.jobs.iter().map(|job| (job.id(), job)).collect();
        for question in questions {
            let key = EffectKey::Question(question.clone());
            if !self.may_begin(term, &key, now) {
                continue;
            }
            match question {
                Question::Job { job, on_behalf_of } => {
                    if let Some(job) = jobs.get(job) {
                        let job = (*job).clone();
                        term.effects.push(Box::pin(self.ask_job(job, on_behalf_of.clone())));
                    }
                }
                Question::Runner(name) => {
                    if let Some(runner) = open.runners.iter().find(|runner| runner.name() == name) {
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
        if term.effects.len() >= MOST_EFFECTS || term.under_way.contains(key) {
            return false;
        }
        if let Some(at) = self.memory.not_before(key, now) {
            term.wake_at(at);
            return false;
        }
        term.under_way.insert(key.clone())
    }
}

fn waiting(job: &Job, reason: &ecsrunner_core::reason::Reason) -> Option<Change> {
    let JobState::Queued { place, .. } = &job.state else { return None };
    let state = JobState::Queued { place: place.clone(), wait: reason.clone() };
    Some(Change::Job(job.with_state(state)))
}
