//! Launches warm tasks and ends them. What they wait for, and how many there should be, is decided in the plan.

use ecsrunner_core::decide::plan::Plan;
use ecsrunner_core::decide::step::{Next, WarmStep};
use ecsrunner_core::id::{Epoch, WarmName};
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::Retry;
use ecsrunner_core::records::warm::{WarmEnd, WarmState, WarmTask};
use ecsrunner_core::rules::pace::Bucket;
use ecsrunner_core::wire::event::Keys;
use ecsrunner_core::wire::fault::Fault;
use futures::future::{self, Either};
use jiff::Timestamp;
use tracing::{info, warn};

use super::advance::{StepError, backoff};
use super::cache::EffectKey;
use super::launch::SPENT_TRIES;
use super::{Effected, LeaseHolder, News, STEP_LIMIT, chain};
use crate::commit::BATCH;
use crate::ports::Clock;
use crate::ports::compute::{ClientToken, Compute, ComputeError, TaskOrder};
use crate::ports::store::{Store, StoreError, Transaction};
use crate::{Engine, World};

/// The only attempt of a task.
const ATTEMPT: u32 = 1;

impl<W: World> Engine<W> {
    /// Writes the warm tasks that the plan launches and ends. False if one had changed since it was read.
    pub(super) async fn write_warm(
        &self,
        epoch: Epoch,
        plan: &Plan,
        open: &mut Open,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut changes = Vec::new();
        for order in &plan.warm_launches {
            match WarmName::new(&self.rules().settings.deployment, &self.ulid(now)) {
                Ok(name) => {
                    info!(%name, class = %order.class(), "reserving warm task");
                    changes.push(Change::Warm(order.reserve(name, epoch, now)));
                }
                Err(error) => warn!(error = %chain(&error), "could not make a name for a warm task"),
            }
        }
        for retired in &plan.warm_retirements {
            let Some(warm) = open.warm.get(&retired.name) else { continue };
            let Some(mut ended) = warm.end(retired.kind, retired.words.clone(), now) else { continue };
            if let WarmState::Ending(ending) = &mut ended.state {
                ending.fault = retired.fault;
            }
            info!(name = %retired.name, reason = retired.kind.as_str(), "retiring warm task");
            changes.push(Change::Warm(ended));
        }
        let all = self.commit_each(epoch, &changes, open).await?;
        // One that was not written is not found.
        for change in &changes {
            if let Change::Warm(warm) = change
                && warm.state == WarmState::Reserved
                && open.warm.contains_key(warm.name())
            {
                self.cache.add_unasked(warm.name(), ATTEMPT);
            }
        }
        Ok(all)
    }

    /// Starts the due effects of warm tasks.
    pub(super) async fn begin_warm<'a>(
        &'a self,
        holder: &mut LeaseHolder<'a>,
        open: &Open,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // Before any effect is admitted: an error here must leave none that never begins.
        self.forget_used(holder.epoch, open, now).await?;
        let mut due = Vec::new();
        for warm in open.warm.values() {
            match warm.next(now) {
                Next::Event => {}
                Next::At(at) => holder.wake_at(at),
                Next::Now(_) => {
                    if holder.may_begin(&EffectKey::Warm(warm.name().clone()), None, now) {
                        due.push(warm.clone());
                    }
                }
            }
        }
        for warm in self.claim_warm(holder, due).await? {
            holder.effects.push(Box::pin(self.advance_warm(warm)));
        }
        Ok(())
    }

    /// Ends the links to runners that are gone.
    async fn forget_used(&self, epoch: Epoch, open: &Open, now: Timestamp) -> Result<(), StoreError> {
        for warm in open.warm.values() {
            let WarmState::Used(runner) = &warm.state else { continue };
            if open.runners.contains_key(runner) {
                continue;
            }
            // It may be open with a record that cannot be read.
            match self.ports.store.load(&Keys::of_runner(runner)).await {
                Ok(records) if records.runner.is_none() => {}
                Ok(_) | Err(StoreError::Refused { .. }) => continue,
                Err(error) => return Err(error),
            }
            let Some(gone) = warm.gone(now) else { continue };
            let changes = [Change::WarmGone(Box::new(gone))];
            match self.commit(Transaction::fenced(&changes, epoch)).await {
                Ok(()) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Claims the tasks of another dispatcher, as it is done with runners.
    async fn claim_warm(
        &self,
        holder: &mut LeaseHolder<'_>,
        due: Vec<WarmTask>,
    ) -> Result<Vec<WarmTask>, StoreError> {
        let epoch = holder.epoch;
        let (mut claimed, others): (Vec<_>, Vec<_>) = due.into_iter().partition(|warm| warm.epoch == epoch);
        let others: Vec<WarmTask> =
            others.into_iter().map(|warm| WarmTask { version: warm.version.next(), epoch, ..warm }).collect();
        let changes: Vec<Change> = others.iter().cloned().map(Change::Warm).collect();
        for batch in changes.chunks(BATCH) {
            if let Err(error) = self.commit(Transaction::fenced(batch, epoch)).await {
                for warm in others.iter().chain(&claimed) {
                    holder.withdraw(&EffectKey::Warm(warm.name().clone()));
                }
                return Err(error);
            }
        }
        claimed.extend(others);
        Ok(claimed)
    }

    /// Performs a task's next step.
    async fn advance_warm(&self, warm: WarmTask) -> Effected {
        let key = EffectKey::Warm(warm.name().clone());
        let now = self.ports.clock.now();
        let Next::Now(step) = warm.next(now) else { return Effected::with(key, News::Nothing) };
        let performed = Box::pin(self.perform_warm(step, &warm));
        let limit = Box::pin(self.ports.clock.sleep(STEP_LIMIT));
        let performed = match future::select(performed, limit).await {
            Either::Left((performed, _)) => performed,
            Either::Right(((), _)) => Err(StepError::WarmTimedOut { step }),
        };
        match performed {
            // What is left to do, or to launch instead, is found in the next round.
            Ok(Some(warm)) => match warm.next(self.ports.clock.now()) {
                Next::Now(_) => Effected::with(key, News::Round),
                Next::At(at) => Effected { next_at: Some(at), ..Effected::with(key, News::Nothing) },
                Next::Event => Effected::with(key, News::Nothing),
            },
            Ok(None) => Effected::with(key, News::Round),
            Err(StepError::Store(StoreError::Fenced)) => Effected::with(key, News::LeaseLost),
            Err(StepError::NotYet(at)) => {
                Effected { rest_until: Some(at), ..Effected::with(key, News::Nothing) }
            }
            Err(error) => self.warm_later(key, &warm, &error).await,
        }
    }

    /// Writes to the record when a failed step is retried.
    async fn warm_later(&self, key: EffectKey, warm: &WarmTask, error: &StepError) -> Effected {
        let failures = failures(warm);
        let not_before =
            self.ports.clock.now() + error.retry_after().unwrap_or_else(|| backoff(failures, self.jitter()));
        let words = chain(error);
        self.metrics.count(error.retry_metric());
        warn!(effect = ?key, error = %words, again_at = %not_before, "effect failed, to be tried again");
        let written = self
            .commit_warm(warm, &[], |current| {
                let reason = Reason::with(Code::Retrying, &words);
                let retry = Retry { failures: failures + 1, not_before, reason };
                (current.state == warm.state).then(|| current.failed(retry))
            })
            .await;
        match written {
            Ok(Some(current)) if current.state == warm.state => {
                Effected { next_at: Some(not_before), ..Effected::with(key, News::Nothing) }
            }
            Ok(_) => Effected::with(key, News::Round),
            Err(_) => Effected { rest_until: Some(not_before), ..Effected::with(key, News::Nothing) },
        }
    }

    async fn perform_warm(&self, step: WarmStep, warm: &WarmTask) -> Result<Option<WarmTask>, StepError> {
        match step {
            WarmStep::RunTask => self.run_warm(warm).await,
            WarmStep::StopTask => {
                if let (Some(task), WarmState::Ending(ending)) = (warm.task(), &warm.state) {
                    self.ports.compute.stop_task(task, ending.kind.text()).await?;
                    info!(name = %warm.name(), %task, reason = ending.kind.as_str(), "stopped warm task");
                }
                let now = self.ports.clock.now();
                Ok(self.commit_warm(warm, &[], |warm| warm.task_stopping(now)).await?)
            }
            WarmStep::Finish => {
                // A fault that was not learnt from yet is learnt from first.
                let Some(gone) = warm.gone(self.ports.clock.now()) else { return Ok(Some(warm.clone())) };
                let changes = [Change::WarmGone(Box::new(gone))];
                match self.commit(Transaction::of(&changes)).await {
                    Ok(()) | Err(StoreError::Conflict) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    async fn run_warm(&self, warm: &WarmTask) -> Result<Option<WarmTask>, StepError> {
        let market = warm.placement.market;
        if warm.state == WarmState::Reserved {
            self.await_slot(&Bucket::Fargate(market), self.slots_by()).await?;
        }
        let (task, asked_at) = (warm.facts.task(), self.ports.clock.now());
        let token = ClientToken::new(&task.name, ATTEMPT);
        let order = TaskOrder { task: &task, placement: &warm.placement, token };
        let is_first_request = self.cache.is_unasked(warm.name(), ATTEMPT);
        self.cache.ask(warm.name(), ATTEMPT);
        let answer = self.run(&order).await;
        let now = self.ports.clock.now();
        let ended = |kind, fault, words: String| {
            move |warm: &WarmTask| warm.not_started(kind, fault, words.clone(), now)
        };
        match answer {
            Ok(task) => {
                info!(name = %warm.name(), %task, placement = %warm.placement, "launched warm task");
                self.cache.accepted(warm.placement.quota(), warm.facts.size);
                Ok(self.commit_warm(warm, &[], |warm| warm.task_started(task.clone(), now)).await?)
            }
            Err(ComputeError::NoCapacity { message }) => {
                warn!(name = %warm.name(), placement = %warm.placement, words = message, "no capacity for warm task");
                let hold = self.hold_placement(&warm.placement, warm.facts.size.arch(), &message, asked_at);
                let next = ended(WarmEnd::Failed, None, message);
                Ok(self.commit_warm(warm, &[Change::Hold(hold)], next).await?)
            }
            // An earlier request may have started a task, which would have appeared by the last try.
            Err(error @ ComputeError::Unsendable { .. })
                if !is_first_request && failures(warm) < SPENT_TRIES =>
            {
                Err(error.into())
            }
            Err(ComputeError::Refused { message } | ComputeError::Unsendable { message }) => {
                warn!(name = %warm.name(), words = message, "AWS refused the warm task");
                let next = ended(WarmEnd::Failed, Some(Fault::LaunchRefused), message);
                Ok(self.commit_warm(warm, &[], next).await?)
            }
            Err(ComputeError::TokenSpent { message }) if failures(warm) >= SPENT_TRIES => {
                let next = ended(WarmEnd::Failed, Some(Fault::NeverStarted), message);
                Ok(self.commit_warm(warm, &[], next).await?)
            }
            Err(
                error @ (ComputeError::Throttled { .. }
                | ComputeError::Unanswered { .. }
                | ComputeError::TokenSpent { .. }),
            ) => Err(error.into()),
        }
    }
}

fn failures(warm: &WarmTask) -> u32 {
    warm.retry.as_ref().map_or(0, |retry| retry.failures)
}
