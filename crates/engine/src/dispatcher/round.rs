//! One round: reads what is open, plans, writes the plan, and starts its effects.
//! A round does not wait for effects.

use ecsrunner_core::decide::learn::learn;
use ecsrunner_core::decide::plan::{Means, Plan, Probe, Question, plan, reasons_to_wait};
use ecsrunner_core::decide::step::Next;
use ecsrunner_core::id::{Epoch, JobId, PoolId, RunnerName};
use ecsrunner_core::reason::Reason;
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::job::Job;
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::Runner;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::rules::pace::Bucket;
use ecsrunner_core::rules::pool::{Pool, Scope};
use futures::future::{self, Either};
use futures::stream::StreamExt;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, PoisonError};
use tracing::{error, info, warn};

use super::LeaseHolder;
use super::cache::EffectKey;
use super::lease_holder::MIN_AHEAD;
use crate::commit::BATCH;
use crate::ports::Clock;
use crate::ports::github::GitHub;
use crate::ports::store::{Store, StoreError, Transaction};
use crate::{Engine, Ruleset, World, chain};

/// What a round has read and decided, with its writes done.
struct Prepared {
    open: Open,
    plan: Plan,
    /// When it was planned.
    at: Timestamp,
    /// Whether a record had changed since it was read: the next round is due at once.
    is_stale: bool,
}

impl<W: World> Engine<W> {
    pub(crate) async fn round<'a>(&'a self, holder: &mut LeaseHolder<'a>) -> Result<(), StoreError> {
        let began = self.ports.clock.now();
        let (epoch, ahead) = (holder.epoch, holder.ahead());
        // Reading and writing thousands of records takes seconds, and effects do not wait for that.
        let Prepared { open, plan, at, is_stale } = self.beside(holder, self.prepare(epoch, ahead)).await?;
        holder.begin_round(plan.next_at, at);
        if is_stale {
            holder.wake_at(at);
        }
        let begun = self.begin_effects(holder, &open, &plan, at).await;
        holder.took(self.ports.clock.now().duration_since(began));
        begun
    }

    /// Reads what is open, plans, and writes the plan.
    async fn prepare(&self, epoch: Epoch, ahead: SignedDuration) -> Result<Prepared, StoreError> {
        let began = self.ports.clock.now();
        // Before what is open: a runner that ends in between must not count twice.
        let sums = self.read_sums(began).await;
        let mut open = self.ports.store.open().await?;
        self.close_days(&open, began);
        let at = self.ports.clock.now();
        self.cache.refresh(&mut open, &self.rules().settings.paces, began, at);
        // Before holds are learnt: a fault is learnt from once.
        self.learn_images(epoch, &mut open, at).await?;
        self.learn(epoch, &mut open, at).await?;
        self.learn_reruns(epoch, &mut open, at).await?;
        self.learn_budgets(epoch, &mut open, sums, at).await?;
        self.metrics.open(&open, self.rules().rules(), at);
        let mut plan = self.with_means(ahead, |rules, means| plan(&open, rules.rules(), means, at));
        self.tell_waits(&open, &plan);
        self.tell_left(&plan);
        let (to_fail, launches): (Vec<_>, Vec<_>) =
            std::mem::take(&mut plan.launches).into_iter().partition(|launch| launch.order.fails());
        let mut all = self.reserve(epoch, &launches, &mut open, at).await?;
        all &= self.reserve_to_fail(epoch, &to_fail, &mut open, at).await?;
        all &= self.release_missed(epoch, &plan.missed, &mut open).await?;
        all &= self.write_readmitted(epoch, &plan.readmitted, &mut open).await?;
        // The next round plans them.
        all &= plan.readmitted.is_empty();
        all &= self.write_runners(epoch, &plan, &mut open, at).await?;
        all &= self.write_warm(epoch, &plan, &mut open, at).await?;
        self.write_held(epoch, &plan.held, &mut open).await?;
        Ok(Prepared { open, plan, at, is_stale: !all })
    }

    /// Returns why each queued job waits. It is not written down, since it changes for all of them at once.
    pub fn reasons_to_wait(&self, open: &Open) -> HashMap<JobId, Reason> {
        let now = self.ports.clock.now();
        self.with_means(MIN_AHEAD, |rules, means| reasons_to_wait(open, rules.rules(), means, now))
    }

    fn with_means<T>(&self, ahead: SignedDuration, plan: impl FnOnce(&Ruleset, Means<'_>) -> T) -> T {
        let account = |scope: &Scope| self.ports.github.account(scope);
        let rules = self.rules();
        let has_slot = |runner: &RunnerName, bucket: &Bucket| self.cache.has_slot(runner, bucket);
        let images = rules.images.as_ref();
        plan(&rules, Means { subnets: &rules.subnets, account: &account, images, ahead, has_slot: &has_slot })
    }

    /// Shows watchers of this process the jobs that wait for another reason than before.
    fn tell_waits(&self, open: &Open, plan: &Plan) {
        let Some(watched) = self.changes.get().filter(|watched| watched.receiver_count() > 0) else { return };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|job, _| open.jobs.contains_key(job));
        for launch in &plan.launches {
            told.remove(&launch.job);
        }
        for wait in &plan.waits {
            let is_new = told.get(&wait.job) != Some(&wait.reason);
            if is_new
                && let Some(job) = open.jobs.get(&wait.job).and_then(|job| job.waiting_for(&wait.reason))
            {
                told.insert(wait.job, wait.reason.clone());
                let _watchers = watched.send(Arc::new(Change::Job(job)));
            }
        }
    }

    /// Derives holds from the results of open runners, and writes them.
    async fn learn(&self, epoch: Epoch, open: &mut Open, now: Timestamp) -> Result<(), StoreError> {
        let lessons = learn(open, now);
        if lessons.is_empty() {
            return Ok(());
        }
        let (runners, lessons): (Vec<_>, Vec<_>) =
            lessons.into_iter().partition(|lesson| matches!(lesson, Change::Runner(_) | Change::Warm(_)));
        self.commit_batches(epoch, &lessons, open).await?;
        for lesson in &lessons {
            match lesson {
                Change::Hold(hold) if hold.is_alarming() => {
                    error!(held = ?hold.held, fault = %hold.fault, words = %hold.words, not_before = %hold.not_before, "holding launches");
                }
                Change::Hold(hold) => {
                    warn!(held = ?hold.held, fault = %hold.fault, words = %hold.words, not_before = %hold.not_before, "holding launches");
                }
                Change::Released(held) => info!(?held, "launches are no longer held back"),
                _ => {}
            }
        }
        self.cache.learn(&lessons);
        // A runner that has changed is learnt from again in the next round, which changes no hold.
        let _all = self.commit_each(epoch, &runners, open).await?;
        Ok(())
    }

    /// Writes retirements and marks; false if a runner had changed since it was read.
    async fn write_runners(
        &self,
        epoch: Epoch,
        plan: &Plan,
        open: &mut Open,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut changes = Vec::new();
        for retirement in &plan.retirements {
            if let Some(runner) = open.runners.get(&retirement.runner) {
                info!(runner = %retirement.runner, reason = retirement.reason.code().as_str(), "retiring runner");
                let ended = runner.end(retirement.kind, Some(retirement.reason.clone()), now);
                changes.push(Change::Runner(ended.for_fault(retirement.fault)));
            }
        }
        for mark in &plan.marks {
            if let Some(runner) = open.runners.get(&mark.runner) {
                let version = runner.version.next();
                let surplus_since = mark.surplus_since;
                changes.push(Change::Runner(Runner { version, surplus_since, ..runner.clone() }));
            }
        }
        self.commit_each(epoch, &changes, open).await
    }

    /// Writes down what holds jobs back. It is only shown, so nothing waits for it: a later round writes what this one could
    /// not.
    async fn write_held(&self, epoch: Epoch, held: &[Job], open: &mut Open) -> Result<(), StoreError> {
        let changes: Vec<_> = held.iter().cloned().map(Change::Job).collect();
        match self.commit_each(epoch, &changes, open).await {
            Ok(_) => Ok(()),
            Err(StoreError::Fenced) => Err(StoreError::Fenced),
            Err(error) => {
                warn!(error = %chain(&error), "could not write down what holds jobs back");
                Ok(())
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
        holder.queue.clear();
        for runner in runners {
            let key = EffectKey::Runner(runner.name().clone());
            if holder.may_begin(&key, &runner.facts.pool, now) {
                due.push(runner.clone());
            } else if is_claimed(runner, holder.epoch) && !holder.is_occupied(&key, now) {
                // It begins as soon as another effect has ended.
                holder.queue.push_back(runner.clone());
            }
        }
        for runner in self.claim(holder, due).await? {
            let (epoch, deadline) = (holder.epoch, holder.deadline());
            holder.effects.push(Box::pin(self.advance(runner, epoch, deadline)));
        }
        self.begin_questions(holder, open, &plan.questions, now);
        self.begin_reruns(holder, open, now);
        self.begin_images(holder, open, now);
        self.begin_warm(holder, open, now).await?;
        for Probe { scope, .. } in &plan.probes {
            // A scope has no pool, so its probe counts under a pool without labels.
            let key = EffectKey::Probe(scope.clone());
            let pool = Pool { scope: scope.clone(), labels: Labels::new::<_, &str>([]) }.id();
            if holder.may_begin(&key, &pool, now) {
                holder.effects.push(Box::pin(self.probe(scope.clone())));
            }
        }
        Ok(())
    }

    /// Waits for `work` while effects go on and begin.
    async fn beside<'a, T>(&'a self, holder: &mut LeaseHolder<'a>, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            match future::select(work.as_mut(), holder.effects.next()).await {
                Either::Left((done, _)) => return done,
                Either::Right((Some(effected), _)) => {
                    holder.ended(effected);
                    self.begin_queued(holder);
                }
                Either::Right((None, _)) => return work.await,
            }
        }
    }

    /// Begins effects that were due in the last round and had to wait for others. Their records may have changed since,
    /// which each step finds out when it writes.
    pub(crate) fn begin_queued<'a>(&'a self, holder: &mut LeaseHolder<'a>) {
        let now = self.ports.clock.now();
        for _ in 0..holder.queue.len() {
            let Some(runner) = holder.queue.pop_front() else { return };
            let key = EffectKey::Runner(runner.name().clone());
            if holder.may_begin(&key, &runner.facts.pool, now) {
                let (epoch, deadline) = (holder.epoch, holder.deadline());
                holder.effects.push(Box::pin(self.advance(runner, epoch, deadline)));
            } else if holder.is_full() {
                holder.queue.push_front(runner);
                return;
            } else {
                holder.queue.push_back(runner);
            }
        }
    }

    /// Claims records of another dispatcher's runners before any outside effect.
    /// From then on, that dispatcher's writes to them are refused.
    async fn claim(&self, holder: &mut LeaseHolder<'_>, due: Vec<Runner>) -> Result<Vec<Runner>, StoreError> {
        let epoch = holder.epoch;
        let (mut claimed, others): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|runner| is_claimed(runner, epoch));
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

/// Whether the runner's record needs no claim before an effect.
fn is_claimed(runner: &Runner, epoch: Epoch) -> bool {
    runner.epoch == epoch || runner.is_to_finish()
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
