//! A runner's task is started, in a placement with room, at the pace allowed.

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
/// How long launches rest after AWS has throttled one, where it names no time.
const THROTTLED: Duration = Duration::from_secs(2);
/// Until when a try waits whose placements are all being probed.
const PROBED: Duration = Duration::from_secs(15);
/// How often a token that is in use for nobody knows what is asked again, over
/// some ten minutes: a task that it stands for would have shown up by then.
const SPENT_TRIES: u32 = 24;
/// Until when a reserved runner's task waits while launches are paused.
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
            // Nobody has asked for it: its first version was written by this very
            // holder, or its last try was answered.
            Err(NotYet) if is_reserved && (runner.version == Version::FIRST || lacked_capacity(runner)) => {
                return self.go_elsewhere(runner).await;
            }
            // A try that may have been asked for has to be answered, wherever it is.
            Err(NotYet) => None,
        };
        // The first try's slot was taken with the reservation.
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
                    self.cache.released(&held);
                }
                self.task_started(runner, task, &also, deadline).await
            }
            Err(ComputeError::NoCapacity { message }) => self.no_capacity(runner, &message, asked_at).await,
            Err(error @ ComputeError::Refused { .. }) => {
                warn!(runner = %runner.name(), error = %chain(&error), "the task was refused");
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
                warn!(runner = %runner.name(), words = message, "the try's answer is lost: a new one begins");
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

    /// The task is there: what follows is written together with that, if it
    /// succeeds, and else that alone.
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

    /// The placement has no room: it is held, so that others do not ask in
    /// vain, and the next try goes elsewhere or waits.
    async fn no_capacity(
        &self,
        runner: &Runner,
        message: &str,
        asked_at: Timestamp,
    ) -> Result<Written, StepError> {
        let (now, arch) = (self.ports.clock.now(), runner.facts.size.arch());
        let held = Held::placement(runner.placement.clone(), arch);
        let before = self.cache.hold(&held);
        // Others were refused while this one was asked for: one shortage, not two in a row.
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
        self.cache.held_back(hold.clone());
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

    /// The placement has come to be held since the runner was reserved: it
    /// goes where there is room, without having asked.
    async fn go_elsewhere(&self, runner: &Runner) -> Result<Written, StepError> {
        let now = self.ports.clock.now();
        let placement = self
            .elsewhere(runner, now)
            .map_err(|none| StepError::NotYet(none.not_before.unwrap_or(now + PROBED)))?;
        info!(runner = %runner.name(), from = %runner.placement, to = %placement, "runner goes elsewhere");
        self.write(runner, &[], |current| {
            let unasked = current.state == runner.state && current.placement == runner.placement;
            unasked.then(|| current.placed(placement.clone()))
        })
        .await
    }

    fn elsewhere(&self, runner: &Runner, now: Timestamp) -> Result<Placement, NoPlacement> {
        let rules = self.rules();
        let capacity = match (rules.catalogue.get(&runner.facts.class), runner.placement.market) {
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

    /// A bucket gives nothing before that time, and no burst then.
    pub(crate) async fn rest(&self, bucket: &Bucket, until: Timestamp) -> Result<(), StepError> {
        self.move_level(bucket, |rate, before, _| Ok(rate.held_until(before, until))).await
    }

    /// Sets a bucket's level by what it is now, whoever else draws from it.
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

/// How often in a row something failed for it.
fn failures(runner: &Runner) -> u32 {
    runner.retry.as_ref().map_or(0, |retry| retry.failures)
}

/// Whether its last try was answered with a want of capacity.
fn lacked_capacity(runner: &Runner) -> bool {
    runner.retry.as_ref().is_some_and(|retry| retry.reason.code() == Code::NoCapacity)
}
