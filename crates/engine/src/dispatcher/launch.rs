//! Starts a runner's task, in a placement with capacity and within the launch pace.

use ecsrunner_core::decide::plan::choose::{NoPlacement, Wanted};
use ecsrunner_core::id::TaskId;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::hold::{Failure, Held, Hold};
use ecsrunner_core::records::runner::{Ending, Retry, Runner, RunnerState, TaskLeft};
use ecsrunner_core::rules::class::Capacity;
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::pace::Bucket;
use ecsrunner_core::rules::placement::Placement;
use ecsrunner_core::wire::fault::Fault;
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
use crate::ports::compute::{ClientToken, ComputeError, TaskOrder};
use crate::ports::github::GitHub;
use crate::ports::store::StoreError;
use crate::{Engine, World};

/// How often a spent token without a task is tried again, over about ten minutes.
/// A task of that token would have appeared by then.
pub(super) const SPENT_TRIES: u32 = 24;
/// How long a launch waits, each time, for a registration that tries its scope.
const TRIED: Duration = Duration::from_secs(1);
/// How long a reserved runner's task waits, each time, while launches are paused.
const PAUSED: Duration = Duration::from_secs(30);

impl<W: World> Engine<W> {
    pub(crate) async fn run_task(&self, runner: &Runner, deadline: &Deadline) -> Result<Written, StepError> {
        let (attempt, is_reserved) = match &runner.state {
            RunnerState::Reserved { attempt } => (*attempt, true),
            RunnerState::Ending(Ending { task: TaskLeft::Unanswered { attempt }, .. }) => (*attempt, false),
            _ => return Ok(Written::At(runner.clone())),
        };
        if is_reserved && let Some(wait) = self.cannot_launch(runner) {
            return self.wait_or_withdraw(runner, attempt, wait).await;
        }
        let asked_at = self.ports.clock.now();
        let probe = match self.cache.enter(runner, asked_at) {
            Ok(probe) => probe,
            Err(NotYet) if is_reserved && self.cache.is_unasked(runner.name(), attempt) => {
                return self.go_elsewhere(runner).await;
            }
            // The request may have been sent before, so its answer is needed in this placement.
            Err(NotYet) => None,
        };
        if is_reserved {
            match self.await_slots(runner).await {
                Ok(()) => {}
                Err(StepError::NotYet(until)) => {
                    let wait = Wait { until, reason: Reason::with(Code::Pace, "its rate: it took too long") };
                    return self.wait_or_withdraw(runner, attempt, wait).await;
                }
                Err(error) => return Err(error),
            }
        }
        let is_first_request = self.cache.is_unasked(runner.name(), attempt);
        self.cache.ask(runner.name(), attempt);
        self.cache.use_slot(runner.name(), &Bucket::Fargate(runner.placement.market));
        let task = runner.facts.task();
        let token = ClientToken::new(&task.name, attempt);
        let order = TaskOrder { task: &task, placement: &runner.placement, token };
        match self.run(&order).await {
            Ok(task) => {
                info!(runner = %runner.name(), %task, placement = %runner.placement, "launched runner");
                self.cache.accepted(runner.placement.quota(), runner.facts.size);
                if probe.is_none() {
                    return self.task_started(runner, task, &[], deadline).await;
                }
                let held = Held::placement(runner.placement.clone(), runner.facts.size.arch());
                self.cache.remove_hold(&held, self.ports.clock.now());
                let started = self.task_started(runner, task, &[Change::Released(held)], deadline).await;
                // Others waited for this answer.
                self.kicked.notify_one();
                started
            }
            Err(ComputeError::NoCapacity { message }) => self.no_capacity(runner, &message, asked_at).await,
            // An earlier request may have started a task, which would have appeared by the last try.
            Err(error @ ComputeError::Unsendable { .. })
                if !is_first_request && failures(runner) < SPENT_TRIES =>
            {
                Err(error.into())
            }
            Err(error @ (ComputeError::Refused { .. } | ComputeError::Unsendable { .. })) => {
                warn!(runner = %runner.name(), error = %chain(&error), "AWS refused the task");
                let reason = Reason::with(Code::BootFailed, &error);
                let now = self.ports.clock.now();
                let fault = Fault::LaunchRefused;
                self.write(runner, &[], |runner| runner.task_refused(fault, reason.clone(), now)).await
            }
            Err(ComputeError::TokenSpent { message }) if failures(runner) >= SPENT_TRIES => {
                warn!(runner = %runner.name(), words = message, "the answer to this attempt is lost; starting a new attempt");
                let now = self.ports.clock.now();
                let reason = Reason::with(Code::Retrying, message);
                let retry = Retry { failures: failures(runner) + 1, not_before: now, reason };
                let placement = runner.placement.clone();
                self.write(runner, &[], |runner| runner.next_try(placement.clone(), retry.clone(), now)).await
            }
            Err(
                error @ (ComputeError::Throttled { .. }
                | ComputeError::Unanswered { .. }
                | ComputeError::TokenSpent { .. }),
            ) => Err(error.into()),
        }
    }

    /// Takes the slots of a launch and waits for their time, as long as a step waits.
    async fn await_slots(&self, runner: &Runner) -> Result<(), StepError> {
        // The registration's slot comes first: a task must not wait for it.
        let account = self.ports.github.account(&runner.facts.scope);
        let by = self.slots_by();
        for bucket in [Bucket::GitHub(account), Bucket::Fargate(runner.placement.market)] {
            // A slot belongs to its runner until it is used.
            if self.cache.has_slot(runner.name(), &bucket) && self.admits(&bucket) {
                continue;
            }
            self.await_slot(&bucket, by).await?;
            self.cache.take_slot(runner.name(), &bucket);
        }
        Ok(())
    }

    /// Returns why no task may be started for the runner now. Its task would only wait.
    fn cannot_launch(&self, runner: &Runner) -> Option<Wait> {
        let (now, scope) = (self.ports.clock.now(), &runner.facts.scope);
        if self.rules().settings.paused {
            return Some(Wait { until: now + PAUSED, reason: Code::Paused.into() });
        }
        // Before a slot of GitHub's rate is taken, which a launch that waits would waste.
        if let Some(until) = self.rests_long(runner.placement.market) {
            return Some(Wait {
                until,
                reason: Reason::with(Code::Pace, "AWS's rate: it throttled a launch"),
            });
        }
        let held = [Held::Scope(scope.clone()), Held::Account(self.ports.github.account(scope))];
        let hold = held.iter().find_map(|held| self.cache.hold(held))?;
        let code = if hold.fault.rests_registrations() { Code::GithubUnavailable } else { Code::ScopeHeld };
        // Only a registration tries it.
        Some(Wait { until: hold.not_before.max(now + TRIED), reason: Reason::with(code, &hold.words) })
    }

    /// Gives a reservation back, so that it takes no slot of a limit while it waits. If RunTask may have been called, there
    /// may be a task, so the reservation stays.
    async fn wait_or_withdraw(
        &self,
        runner: &Runner,
        attempt: u32,
        wait: Wait,
    ) -> Result<Written, StepError> {
        if !self.cache.is_unasked(runner.name(), attempt) {
            return Err(StepError::NotYet(wait.until));
        }
        self.withdraw(runner, wait.reason).await
    }

    /// Gives a reservation back that was not asked for.
    async fn withdraw(&self, runner: &Runner, reason: Reason) -> Result<Written, StepError> {
        let now = self.ports.clock.now();
        info!(runner = %runner.name(), %reason, "withdrew reservation");
        self.write(runner, &[], |current| {
            let unasked = current.state == runner.state && current.placement == runner.placement;
            unasked.then(|| current.withdrawn(reason.clone(), now)).flatten()
        })
        .await
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
        // On an instance that it may share, it gets nothing before the instance is known to be its own.
        let goes_on = matches!(runner.state, RunnerState::Reserved { .. })
            && !runner.lacks_instance()
            && deadline.admits_step(now);
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
    /// runner's next attempt uses another placement; if there is none, its reservation is given back.
    async fn no_capacity(
        &self,
        runner: &Runner,
        message: &str,
        asked_at: Timestamp,
    ) -> Result<Written, StepError> {
        let now = self.ports.clock.now();
        let hold = self.hold_placement(&runner.placement, runner.facts.size.arch(), message, asked_at);
        warn!(
            runner = %runner.name(),
            placement = %runner.placement,
            words = message,
            not_before = %hold.not_before,
            reason = Code::NoCapacity.as_str(),
            "no capacity for runner"
        );
        let reason = Reason::with(Code::NoCapacity, message);
        let also = [Change::Hold(hold)];
        let Ok(placement) = self.elsewhere(runner, now) else {
            return self
                .write(runner, &also, |runner| {
                    let refused = || runner.task_refused(Fault::NoCapacity, reason.clone(), now);
                    runner.withdrawn(reason.clone(), now).or_else(refused)
                })
                .await;
        };
        let failures = failures(runner) + 1;
        let written = self
            .write(runner, &also, |runner| {
                let retry = Retry { failures, not_before: now, reason: reason.clone() };
                runner.next_try(placement.clone(), retry, now)
            })
            .await?;
        if let Written::At(next) = &written
            && let RunnerState::Reserved { attempt } = next.state
        {
            self.cache.add_unasked(next.name(), attempt);
        }
        Ok(written)
    }

    /// Returns the hold of a placement that has no capacity, which this process applies at once.
    pub(crate) fn hold_placement(
        &self,
        placement: &Placement,
        arch: Arch,
        message: &str,
        asked_at: Timestamp,
    ) -> Hold {
        let now = self.ports.clock.now();
        let held = Held::placement(placement.clone(), arch);
        let before = self.cache.hold(&held);
        let failure = Failure {
            running_cpu: Some(self.cache.accepted_cpu(placement.quota())),
            ..Failure::of(Fault::NoCapacity, message, asked_at, now)
        };
        let hold = Hold::after(before.as_ref(), held, &failure);
        self.metrics.count(Metric::RetriesNoCapacity);
        self.cache.add_hold(hold.clone(), now);
        hold
    }

    /// Moves a runner to another placement before its first request, because its
    /// placement has been held since the reservation.
    async fn go_elsewhere(&self, runner: &Runner) -> Result<Written, StepError> {
        let now = self.ports.clock.now();
        let placement = match self.elsewhere(runner, now) {
            Ok(placement) => placement,
            Err(none) => return self.withdraw(runner, none.reason).await,
        };
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
        // What runs it is frozen with its size.
        let managed = runner.placement.managed.is_some();
        let wanted = Wanted { class: &runner.facts.class, capacity, size: runner.facts.size, managed };
        self.cache.choose(&rules.subnets, wanted, runner.facts.launched_for.get(), now)
    }
}

/// Until when a launch waits, and why.
struct Wait {
    until: Timestamp,
    reason: Reason,
}

/// The runner's number of consecutive failures.
pub(super) fn failures(runner: &Runner) -> u32 {
    runner.retry.as_ref().map_or(0, |retry| retry.failures)
}
