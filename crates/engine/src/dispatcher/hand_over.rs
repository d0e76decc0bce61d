//! Creates a just-in-time configuration and hands it over to one task.

use std::time::Duration;

use ecsrunner_core::decide::about::about;
use ecsrunner_core::id::TaskId;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::hold::{Failure, Held, Hold};
use ecsrunner_core::records::runner::{EndingKind, Runner, RunnerStage};
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::boot::{BootItem, Fail};
use ecsrunner_core::wire::fault::Fault;
use jiff::{SignedDuration, Timestamp};
use tracing::{error, info, warn};

use super::advance::StepError;
use super::chain;
use super::github_calls::Slot;
use crate::commit::Written;
use crate::ports::github::{GitHub, GitHubError, JitConfig};
use crate::ports::store::{BootPut, StoreError};
use crate::ports::{Clock, Disposition};
use crate::{Engine, World};

/// How long the boot table keeps an item that no task takes. A last resort only.
const BOOT_ITEM_LIFE: Duration = Duration::from_secs(48 * 3600);
/// Tries in a row, over about a minute, after which tasks no longer wait until GitHub answers.
const PATIENCE: u32 = 6;
/// Tasks do not wait for an account that rests longer than this.
const LONG_REST: SignedDuration = SignedDuration::from_secs(60);

impl<W: World> Engine<W> {
    pub(crate) async fn hand_over(&self, runner: &Runner) -> Result<Written, StepError> {
        let (now, scope) = (self.ports.clock.now(), &runner.facts.scope);
        let account = self.ports.github.account(scope);
        if let Some(hold) = self.cache.resting_hold(scope, &account) {
            if hold.failures >= PATIENCE || hold.not_before.duration_since(now) > LONG_REST {
                return self
                    .not_registered(runner, Fault::NoAnswer, &hold.words, Unwritten::nothing(now))
                    .await;
            }
            if now < hold.not_before {
                return Err(StepError::NotYet(hold.not_before));
            }
        }
        self.configure_and_give(runner, Slot::ToTake, Unwritten::nothing(now)).await
    }

    /// Hands over to a task that was just started, with the slot that was taken before. The task and the hand-over are
    /// written to the record together, or not at all.
    pub(crate) async fn hand_over_to(
        &self,
        runner: &Runner,
        task: &TaskId,
        also: &[Change],
    ) -> Result<Written, StepError> {
        let unwritten = Unwritten { task: Some(task), at: self.ports.clock.now(), also };
        self.configure_and_give(runner, Slot::Taken, unwritten).await
    }

    async fn configure_and_give(
        &self,
        runner: &Runner,
        slot: Slot,
        unwritten: Unwritten<'_>,
    ) -> Result<Written, StepError> {
        let (now, scope) = (self.ports.clock.now(), &runner.facts.scope);
        let refused = self.cache.hold(&Held::Scope(scope.clone()));
        let refused = refused.filter(|hold| now < hold.not_before && !hold.fault.rests_registrations());
        if let Some(hold) = refused {
            return self.not_registered(runner, hold.fault, &hold.words, unwritten).await;
        }
        let mut fail = None;
        if runner.facts.fails {
            match self.what_to_fail(runner).await? {
                Some((told, job)) => fail = Some((told, job.map(Change::Job))),
                None => return self.not_needed(runner, unwritten).await,
            }
        }
        match self.configure(runner, slot).await {
            Ok(jit) => self.give(runner, &jit, fail, unwritten).await,
            Err(StepError::GitHub(error)) if error.disposition() == Disposition::Permanent => {
                let hold = self.hold_scope(scope, &error, now);
                let also = [unwritten.also, &[Change::Hold(hold)]].concat();
                let unwritten = Unwritten { also: &also, ..unwritten };
                let fault = Fault::RegistrationRefused;
                self.not_registered(runner, fault, &error.to_string(), unwritten).await
            }
            Err(error) => Err(error),
        }
    }

    /// Creates the configuration. If the name is registered already and nothing was
    /// handed over, the registration comes from an earlier attempt whose answer was
    /// lost. Its configuration is lost too, so it is deleted.
    async fn configure(&self, runner: &Runner, slot: Slot) -> Result<JitConfig, StepError> {
        let (scope, name) = (&runner.facts.scope, runner.name());
        let mut labels: Vec<String> = runner.facts.labels.iter().map(str::to_owned).collect();
        // Identical idle runners sometimes get no job; one unique label each helps.
        labels.push(format!("ecsrunner:{}", name.ulid()));
        match self.register(scope, name, &labels, slot).await {
            Err(StepError::GitHub(GitHubError::NameTaken)) => {
                let lost = self.look_up(scope, name).await?;
                // The registration is read before the record. If the record still says that
                // nothing was handed over, the registration is from an earlier attempt.
                if !self.reload(runner).await?.is_some_and(|current| current.awaits_configuration()) {
                    return Err(StoreError::Conflict.into());
                }
                warn!(runner = %name, "the runner's name is registered already; deleting the lost registration");
                if let Some(registration) = lost {
                    self.deregister(scope, registration.id).await?;
                }
                self.register(scope, name, &labels, Slot::ToTake).await
            }
            answer => answer,
        }
    }

    /// Writes the boot item and the record in one transaction. So no hand-over can
    /// commit after a retirement is written. The record of the job that the runner is
    /// to fail is written only if the item is.
    async fn give(
        &self,
        runner: &Runner,
        jit: &JitConfig,
        fail: Option<(Fail, Option<Change>)>,
        unwritten: Unwritten<'_>,
    ) -> Result<Written, StepError> {
        let (fail, job) = fail.unzip();
        let job = job.flatten();
        let item = BootItem {
            runner: runner.name().clone(),
            policy: match &fail {
                // Its class serves no job here, so the class's repositories do not matter.
                Some(_) => self.rules().settings.policy.clone(),
                None => self.rules().rules().policy_of(&runner.facts.class),
            },
            services: match &fail {
                Some(_) => None,
                None => self.rules().rules().offer_of(&runner.facts.class, &runner.facts.repository),
            },
            about: None,
            reruns: self.cache.reruns_for(&runner.facts.scope),
            fail,
        };
        let next = |current: &Runner| {
            let now = self.ports.clock.now();
            let started = unwritten.on(current);
            let Some((next, task)) = started.handed_over(jit.runner_id, now) else {
                // The runner has been retired, and its clean-up deletes the registration.
                return unwritten.alone(current).map(|next| (next, None));
            };
            // Its task may have been recorded otherwise meanwhile.
            let item = BootItem { about: about(&started, &self.rules().settings), ..item.clone() };
            let boot = BootPut {
                task,
                role: runner.facts.task_role(),
                item,
                jit: &jit.encoded,
                expires_at: now + BOOT_ITEM_LIFE,
            };
            Some((next, Some((boot, job.as_slice()))))
        };
        let written = self.commit_runner(runner, unwritten.also, next).await?;
        if let Written::At(runner) = &written
            && runner.has_been_issued(jit.runner_id)
        {
            let task = runner.task().map(TaskId::as_str);
            info!(runner = %runner.name(), task, "handed over configuration");
        }
        Ok(written)
    }

    /// Ends a runner that was to fail a job which is no longer queued.
    async fn not_needed(&self, runner: &Runner, unwritten: Unwritten<'_>) -> Result<Written, StepError> {
        let now = self.ports.clock.now();
        let reason = Reason::with(Code::Surplus, "1, demand 0");
        let next = |current: &Runner| {
            let current = unwritten.on(current);
            let is_over = current.stage() == RunnerStage::Ending;
            (!is_over).then(|| current.end(EndingKind::Surplus, Some(reason.clone()), now))
        };
        self.write(runner, unwritten.also, |current| next(current).or_else(|| unwritten.alone(current))).await
    }

    /// Ends a runner that GitHub does not register, so that its waiting task is stopped.
    async fn not_registered(
        &self,
        runner: &Runner,
        fault: Fault,
        words: &str,
        unwritten: Unwritten<'_>,
    ) -> Result<Written, StepError> {
        let now = self.ports.clock.now();
        let code = if fault.rests_registrations() { Code::GithubUnavailable } else { Code::ScopeHeld };
        let reason = Reason::with(code, words);
        let next = |current: &Runner| {
            let ended = unwritten.on(current).not_registered(fault, reason.clone(), now);
            ended.or_else(|| unwritten.alone(current))
        };
        self.write(runner, unwritten.also, next).await
    }

    /// Holds launches in a scope after a permanent refusal, until a probe succeeds.
    pub(crate) fn hold_scope(&self, scope: &Scope, error: &GitHubError, began_at: Timestamp) -> Hold {
        let held = Held::Scope(scope.clone());
        let before = self.cache.hold(&held);
        if before.is_none() {
            error!(%scope, error = %chain(error), reason = Code::ScopeHeld.as_str(), "holding launches");
        }
        let words = error.to_string();
        let failure = Failure::of(Fault::RegistrationRefused, &words, began_at, self.ports.clock.now());
        let hold = Hold::after(before.as_ref(), held, &failure);
        self.cache.add_hold(hold.clone(), self.ports.clock.now());
        hold
    }
}

/// Facts about a runner that are written with its next record.
#[derive(Clone, Copy, Debug)]
struct Unwritten<'a> {
    /// The task that was started for the runner.
    task: Option<&'a TaskId>,
    at: Timestamp,
    /// Changes of other records.
    also: &'a [Change],
}

impl<'a> Unwritten<'a> {
    fn nothing(at: Timestamp) -> Self {
        Self { task: None, at, also: &[] }
    }

    /// Returns the stored record with these facts added, at the stored version.
    fn on(&self, current: &Runner) -> Runner {
        match self.task.and_then(|task| current.task_started(task.clone(), self.at)) {
            Some(started) => Runner { version: current.version, ..started },
            None => current.clone(),
        }
    }

    /// Returns the next record with these facts alone; `None` if the stored record has them already.
    fn alone(&self, current: &Runner) -> Option<Runner> {
        self.task.and_then(|task| current.task_started(task.clone(), self.at))
    }
}
