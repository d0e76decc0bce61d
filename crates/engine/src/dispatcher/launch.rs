//! Starts a runner's task, in a placement with capacity and within the launch pace.

use ecsrunner_core::decide::plan::choose::NoPlacement;
use ecsrunner_core::id::{TaskId, Version};
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::hold::{Held, Hold};
use ecsrunner_core::records::runner::{Ending, Retry, Runner, RunnerState, TaskLeft};
use ecsrunner_core::rules::class::Capacity;
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::pace::{Bucket, Level, Rate};
use ecsrunner_core::rules::placement::Placement;
use jiff::Timestamp;
use std::time::Duration;
use tracing::{info, warn};

use super::advance::StepError;
use super::cache::NotYet;
use super::chain;
use super::lease_holder::Deadline;
use crate::commit::Written;
use crate::metrics::Metric;
use crate::ports::Clock;
use crate::ports::compute::{ClientToken, Compute, ComputeError, TaskOrder};
use crate::ports::store::{LevelSet, Levels, StoreError};
use crate::{Engine, World};

const TRIES: u32 = 8;
/// How long launches rest after AWS throttles one without giving a time.
const THROTTLED: Duration = Duration::from_secs(2);
/// How long an attempt waits when all its placements are being probed.
const PROBED: Duration = Duration::from_secs(15);
/// How often a spent token without a task is tried again, over about ten minutes.
/// A task of that token would have appeared by then.
const SPENT_TRIES: u32 = 24;
/// How long a reserved runner's task waits, each time, while launches are paused.
const PAUSED: Duration = Duration::from_secs(30);

impl<W: World> Engine<W> {
    pub(crate) async fn run_task(&self, runner: &Runner, deadline: &Deadline) -> Result<Written, StepError> {
        let (attempt, is_reserved) = match &runner.state {
            RunnerState::Reserved { attempt } => (*attempt, true),
            RunnerState::Ending(Ending { task: TaskLeft::Unanswered { attempt }, .. }) => (*attempt, false),
            _ => return Ok(Written::At(runner.clone())),
        };
        let (arch, asked_at) = (runner.facts.size.arch(), self.ports.clock.now());
        if is_reserved && self.rules().settings.paused {
            return Err(StepError::NotYet(asked_at + PAUSED));
        }
        let probe = match self.cache.enter(&runner.placement, arch, asked_at) {
            Ok(probe) => probe,
            // No task is being started: this lease holder wrote the first version, or
            // the last attempt was answered.
            Err(NotYet) if is_reserved && (runner.version == Version::FIRST || lacked_capacity(runner)) => {
                return self.go_elsewhere(runner).await;
            }
            // The request may have been sent before, so its answer is needed in this placement.
            Err(NotYet) => None,
        };
        // The slot of the first attempt was taken with the reservation.
        if is_reserved && (attempt > 1 || runner.retry.is_some()) {
            self.take_slot(&Bucket::Fargate(runner.placement.market)).await?;
        }
        let order = TaskOrder {
            runner: &runner.facts,
            placement: &runner.placement,
            token: ClientToken::new(&runner.facts, attempt),
        };
        match self.ports.compute.run_task(&order).await {
            Ok(task) => {
                info!(runner = %runner.name(), %task, placement = %runner.placement, "launched runner");
                let held = Held::placement(runner.placement.clone(), arch);
                let also: Vec<Change> =
                    probe.is_some().then(|| Change::Released(held.clone())).into_iter().collect();
                if probe.is_some() {
                    self.cache.remove_hold(&held);
                }
                self.task_started(runner, task, &also, deadline).await
            }
            Err(ComputeError::NoCapacity { message }) => self.no_capacity(runner, &message, asked_at).await,
            Err(error @ ComputeError::Refused { .. }) => {
                warn!(runner = %runner.name(), error = %chain(&error), "AWS refused the task");
                let reason = Reason::with(Code::BootFailed, &error);
                let now = self.ports.clock.now();
                self.write(runner, &[], |runner| runner.task_refused(reason.clone(), now)).await
            }
            Err(ComputeError::Throttled { message, after }) => {
                let after = after.unwrap_or(THROTTLED);
                let until = self.ports.clock.now() + after;
                self.rest(&Bucket::Fargate(runner.placement.market), until).await?;
                Err(ComputeError::Throttled { message, after: Some(after) }.into())
            }
            Err(ComputeError::TokenSpent { message }) if failures(runner) >= SPENT_TRIES => {
                warn!(runner = %runner.name(), words = message, "the answer to this attempt is lost; starting a new attempt");
                let now = self.ports.clock.now();
                let reason = Reason::with(Code::Retrying, message);
                let retry = Retry { failures: failures(runner) + 1, not_before: now, reason };
                let placement = runner.placement.clone();
                self.write(runner, &[], |runner| runner.next_try(placement.clone(), retry.clone(), now)).await
            }
            Err(error @ (ComputeError::Unanswered { .. } | ComputeError::TokenSpent { .. })) => {
                Err(error.into())
            }
        }
    }

    /// Writes that the task has started, together with the hand-over if that succeeds.
    async fn task_started(
        &self,
        runner: &Runner,
        task: TaskId,
        also: &[Change],
        deadline: &Deadline,
    ) -> Result<Written, StepError> {
        let now = self.ports.clock.now();
        let goes_on = matches!(runner.state, RunnerState::Reserved { .. }) && deadline.admits_step(now);
        if goes_on {
            match self.hand_over_to(runner, &task, also).await {
                Ok(stepped) => return Ok(stepped),
                Err(StepError::Store(StoreError::Fenced)) => return Err(StoreError::Fenced.into()),
                Err(error) => {
                    warn!(runner = %runner.name(), error = %chain(&error), "the task waits for its configuration");
                }
            }
        }
        self.write(runner, also, |runner| runner.task_started(task.clone(), now)).await
    }

    /// Holds a placement that has no capacity, so that other launches avoid it. The
    /// runner's next attempt uses another placement or waits.
    async fn no_capacity(
        &self,
        runner: &Runner,
        message: &str,
        asked_at: Timestamp,
    ) -> Result<Written, StepError> {
        let (now, arch) = (self.ports.clock.now(), runner.facts.size.arch());
        let held = Held::placement(runner.placement.clone(), arch);
        let before = self.cache.hold(&held);
        // If another launch was refused during this request, both are one shortage, not two in a row.
        let hold = match before.clone().filter(|before| before.latest >= asked_at) {
            Some(hold) => hold,
            None => Hold::after(before.as_ref(), held, message, now),
        };
        warn!(
            runner = %runner.name(),
            placement = %runner.placement,
            words = message,
            not_before = %hold.not_before,
            reason = Code::NoCapacity.as_str(),
            "no capacity for runner"
        );
        self.metrics.count(Metric::RetriesNoCapacity);
        self.cache.add_hold(hold.clone());
        let (placement, not_before) = match self.elsewhere(runner, now) {
            Ok(placement) => (placement, now),
            Err(none) => {
                (runner.placement.clone(), none.not_before.unwrap_or(now + PROBED).max(now + PROBED))
            }
        };
        let failures = failures(runner) + 1;
        let reason = Reason::with(Code::NoCapacity, message);
        self.write(runner, &[Change::Hold(hold)], |runner| {
            let retry = Retry { failures, not_before, reason: reason.clone() };
            runner.next_try(placement.clone(), retry, now)
        })
        .await
    }

    /// Moves a runner to another placement before its first request, because its
    /// placement has been held since the reservation.
    async fn go_elsewhere(&self, runner: &Runner) -> Result<Written, StepError> {
        let now = self.ports.clock.now();
        let placement = self
            .elsewhere(runner, now)
            .map_err(|none| StepError::NotYet(none.not_before.unwrap_or(now + PROBED)))?;
        info!(runner = %runner.name(), from = %runner.placement, to = %placement, "moved runner to another placement");
        self.write(runner, &[], |current| {
            let unasked = current.state == runner.state && current.placement == runner.placement;
            unasked.then(|| current.placed(placement.clone()))
        })
        .await
    }

    fn elsewhere(&self, runner: &Runner, now: Timestamp) -> Result<Placement, NoPlacement> {
        let rules = self.rules();
        let capacity = match (rules.catalogue.get(&runner.facts.class), runner.placement.market) {
            _ if self.cache.needs_on_demand(runner.facts.launched_for) => Capacity::OnDemand,
            (Some(class), _) => class.capacity,
            (None, Market::OnDemand) => Capacity::OnDemand,
            (None, Market::Spot) => Capacity::Spot,
        };
        let (arch, spread) = (runner.facts.size.arch(), runner.facts.launched_for.get());
        self.cache.choose(&rules.subnets, capacity, arch, spread, now)
    }

    /// Takes one slot from a bucket.
    pub(crate) async fn take_slot(&self, bucket: &Bucket) -> Result<(), StepError> {
        self.move_level(bucket, |rate, before, now| match rate.available(before, now) {
            0 => Err(StepError::NotYet(rate.next_at(before, now))),
            _ => Ok(rate.take(before, 1, now)),
        })
        .await
    }

    /// Empties a bucket until that time, without a burst afterwards.
    pub(crate) async fn rest(&self, bucket: &Bucket, until: Timestamp) -> Result<(), StepError> {
        self.move_level(bucket, |rate, before, _| Ok(rate.empty_until(before, until))).await
    }

    /// Sets a bucket's level from its current one; retries if another process changed it.
    async fn move_level(
        &self,
        bucket: &Bucket,
        next: impl Fn(Rate, Option<Level>, Timestamp) -> Result<Level, StepError> + Send,
    ) -> Result<(), StepError> {
        let rate = self.rules().settings.paces.rate(bucket);
        for _ in 0..TRIES {
            let before = self.cache.level(bucket);
            let after = next(rate, before, self.ports.clock.now())?;
            if before == Some(after) {
                return Ok(());
            }
            match self.ports.store.set_level(bucket, before, after).await? {
                LevelSet::Done => {
                    self.cache.set_level(bucket, Some(after));
                    return Ok(());
                }
                LevelSet::Found(level) => self.cache.set_level(bucket, level),
            }
        }
        Err(StoreError::Conflict.into())
    }
}

/// The runner's number of consecutive failures.
fn failures(runner: &Runner) -> u32 {
    runner.retry.as_ref().map_or(0, |retry| retry.failures)
}

/// Returns whether the runner's last attempt failed for lack of capacity.
fn lacked_capacity(runner: &Runner) -> bool {
    runner.retry.as_ref().is_some_and(|retry| retry.reason.code() == Code::NoCapacity)
}
