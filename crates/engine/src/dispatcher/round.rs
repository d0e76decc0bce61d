//! One round: reads what is open, plans, writes the plan, and starts its effects.
//! A round does not wait for effects.

use ecsrunner_core::decide::learn::learn;
use ecsrunner_core::decide::plan::{Draw, Launch, Means, Plan, Question, plan};
use ecsrunner_core::decide::step::Next;
use ecsrunner_core::id::{Epoch, PoolId, RunnerName};
use ecsrunner_core::reason::Code;
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::job::Job;
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::Runner;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::rules::pool::{Pool, Scope};
use jiff::Timestamp;
use tracing::{error, info, warn};
use ulid::Ulid;

use super::LeaseHolder;
use super::cache::EffectKey;
use crate::commit::BATCH;
use crate::ports::github::GitHub;
use crate::ports::store::{LevelSet, Levels, Store, StoreError, Transaction};
use crate::ports::{Clock, Randomness};
use crate::{Engine, World};

/// The most reservations in one transaction. Each writes a runner's record and its job's.
const RESERVATIONS: usize = BATCH / 2;
const RESERVATION_TRIES: u32 = 3;

impl<W: World> Engine<W> {
    pub(crate) async fn round<'a>(&'a self, holder: &mut LeaseHolder<'a>) -> Result<(), StoreError> {
        let mut open = self.ports.store.open().await?;
        let now = self.ports.clock.now();
        self.learn(holder.epoch, &mut open, now).await?;
        self.cache.refresh(&open);
        self.metrics.open(&open, now);
        let account = |scope: &Scope| self.ports.github.account(scope);
        let rules = self.rules();
        let means = Means { subnets: &rules.subnets, account: &account };
        let plan = plan(&open, rules.rules(), means, now);
        holder.begin_round(plan.next_at, now);
        // Write launches first, so that writes which only explain waiting do not delay them.
        self.draw(&plan).await?;
        if !self.reserve(holder.epoch, &plan.launches, &mut open, now).await? {
            // A job has changed since it was read. Plan again at once.
            holder.wake_at(now);
        }
        self.write_runners(holder.epoch, &plan, &mut open, now).await?;
        self.write_waits(holder.epoch, &plan, &mut open).await?;
        self.begin_effects(holder, &open, &plan, now).await
    }

    /// Derives holds from the results of open runners, and writes them.
    async fn learn(&self, epoch: Epoch, open: &mut Open, now: Timestamp) -> Result<(), StoreError> {
        let lessons = learn(open, now);
        if lessons.is_empty() {
            return Ok(());
        }
        self.commit_batches(epoch, &lessons, open).await?;
        for lesson in &lessons {
            match lesson {
                Change::Hold(hold) if hold.is_open_breaker() => {
                    error!(held = ?hold.held, words = %hold.words, reason = Code::ClassHeld.as_str(), "holding launches of class");
                }
                Change::Hold(hold) => {
                    warn!(held = ?hold.held, words = %hold.words, not_before = %hold.not_before, "holding launches");
                }
                Change::Released(held) => info!(?held, "launches are no longer held back"),
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes the plan's slots, with one write for each bucket.
    async fn draw(&self, plan: &Plan) -> Result<(), StoreError> {
        for Draw { bucket, before, after } in &plan.draws {
            match self.ports.store.set_level(bucket, *before, *after).await? {
                LevelSet::Done => self.cache.set_level(bucket, Some(*after)),
                // After a conflict, a new round reads what is open again.
                LevelSet::Found(_) => return Err(StoreError::Conflict),
            }
        }
        Ok(())
    }

    /// Reserves the plan's launches. Each runner's record is written in one
    /// transaction with its job's. False if a job had changed since it was read.
    async fn reserve(
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
                let job = job.and_then(|job| job.waiting_for(&Code::RunnerStarting.into()));
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
            // A job that has changed must not cost the others their slots.
            match self.commit(Transaction::fenced(&changes, epoch)).await {
                Ok(()) => changes.iter().for_each(|change| open.apply(change)),
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

    /// Reserves one runner; false if its job has changed.
    async fn reserve_one(&self, epoch: Epoch, pair: &[Change], open: &mut Open) -> Result<bool, StoreError> {
        // The slot is already taken, so retry a write that met a passing conflict.
        for _ in 0..RESERVATION_TRIES {
            match self.commit(Transaction::fenced(pair, epoch)).await {
                Ok(()) => {
                    pair.iter().for_each(|change| open.apply(change));
                    return Ok(true);
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Writes retirements and marks.
    async fn write_runners(
        &self,
        epoch: Epoch,
        plan: &Plan,
        open: &mut Open,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut changes = Vec::new();
        for retirement in &plan.retirements {
            if let Some(runner) = open.runners.get(&retirement.runner) {
                info!(runner = %retirement.runner, reason = retirement.reason.code().as_str(), "retiring runner");
                changes.push(Change::Runner(runner.end(
                    retirement.kind,
                    Some(retirement.reason.clone()),
                    now,
                )));
            }
        }
        for mark in &plan.marks {
            if let Some(runner) = open.runners.get(&mark.runner) {
                let version = runner.version.next();
                let surplus_since = mark.surplus_since;
                changes.push(Change::Runner(Runner { version, surplus_since, ..runner.clone() }));
            }
        }
        self.commit_batches(epoch, &changes, open).await
    }

    /// Writes the reasons why jobs wait. They do not alter the plan, so a conflict
    /// is left to the next round.
    async fn write_waits(&self, epoch: Epoch, plan: &Plan, open: &mut Open) -> Result<(), StoreError> {
        let changes: Vec<Change> = plan
            .waits
            .iter()
            .filter_map(|wait| open.jobs.get(&wait.job)?.waiting_for(&wait.reason).map(Change::Job))
            .collect();
        match self.commit_batches(epoch, &changes, open).await {
            Err(StoreError::Conflict) => Ok(()),
            other => other,
        }
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

    /// Starts the due effects, including retirements, oldest runners first.
    async fn begin_effects<'a>(
        &'a self,
        holder: &mut LeaseHolder<'a>,
        open: &Open,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut runners: Vec<&Runner> = Vec::new();
        for runner in open.runners.values() {
            match runner.next(now) {
                Next::Event => {}
                Next::At(at) => holder.wake_at(at),
                Next::Now(_) => runners.push(runner),
            }
        }
        runners.sort_unstable_by(|a, b| a.name().ulid().cmp(b.name().ulid()));
        let mut due = Vec::new();
        for runner in runners {
            let key = EffectKey::Runner(runner.name().clone());
            if holder.may_begin(&key, &runner.facts.pool, now) {
                due.push(runner.clone());
            }
        }
        for runner in self.claim(holder, due).await? {
            let (epoch, deadline) = (holder.epoch, holder.deadline());
            holder.effects.push(Box::pin(self.advance(runner, epoch, deadline)));
        }
        self.begin_questions(holder, open, &plan.questions, now);
        for scope in &plan.probes {
            // A scope has no pool, so its probe counts under a pool without labels.
            let key = EffectKey::Probe(scope.clone());
            let pool = Pool { scope: scope.clone(), labels: Labels::new::<_, &str>([]) }.id();
            if holder.may_begin(&key, &pool, now) {
                holder.effects.push(Box::pin(self.probe(scope.clone())));
            }
        }
        Ok(())
    }

    /// Claims records of another dispatcher's runners before any outside effect.
    /// From then on, that dispatcher's writes to them are refused.
    async fn claim(&self, holder: &mut LeaseHolder<'_>, due: Vec<Runner>) -> Result<Vec<Runner>, StoreError> {
        let epoch = holder.epoch;
        let (mut claimed, others): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|runner| runner.epoch == epoch || runner.is_to_finish());
        let taken_over: Vec<Change> = others
            .iter()
            .map(|runner| {
                let version = runner.version.next();
                Change::Runner(Runner { version, epoch, ..runner.clone() })
            })
            .collect();
        for batch in taken_over.chunks(BATCH) {
            if let Err(error) = self.commit(Transaction::fenced(batch, epoch)).await {
                for runner in others.iter().chain(&claimed) {
                    holder.withdraw(&EffectKey::Runner(runner.name().clone()));
                }
                return Err(error);
            }
        }
        claimed.extend(taken_over.into_iter().filter_map(|change| match change {
            Change::Runner(runner) => Some(runner),
            _ => None,
        }));
        Ok(claimed)
    }

    fn begin_questions<'a>(
        &'a self,
        holder: &mut LeaseHolder<'a>,
        open: &Open,
        questions: &[Question],
        now: Timestamp,
    ) {
        for question in questions {
            let key = EffectKey::Question(question.clone());
            let job = key.job().and_then(|job| open.jobs.get(&job));
            match (question, job) {
                (Question::Job { on_behalf_of, .. }, Some(job)) => {
                    if holder.may_begin(&key, &pool_of(job), now) {
                        holder.effects.push(Box::pin(self.ask_job(job.clone(), on_behalf_of.clone())));
                    }
                }
                (Question::Run(_), Some(job)) => {
                    if holder.may_begin(&key, &pool_of(job), now) {
                        holder.effects.push(Box::pin(self.ask_run(job.clone())));
                    }
                }
                (Question::Runner(name), _) => {
                    if let Some(runner) = open.runners.get(name)
                        && holder.may_begin(&key, &runner.facts.pool, now)
                    {
                        holder.effects.push(Box::pin(self.ask_runner(runner.clone())));
                    }
                }
                (Question::Job { .. } | Question::Run(_), None) => {}
            }
        }
    }
}

/// Returns the pool of a job's assignment, or one of its repository if it has none.
fn pool_of(job: &Job) -> PoolId {
    job.assignment().map_or_else(
        || {
            let scope = Scope::Repository(job.facts.repository.clone());
            Pool { scope, labels: job.facts.labels.clone() }.id()
        },
        |assignment| assignment.pool.clone(),
    )
}
