//! Creates a just-in-time configuration and hands it over to one task.

use std::time::Duration;

use ecsrunner_core::id::TaskId;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::hold::{Held, Hold};
use ecsrunner_core::records::runner::Runner;
use ecsrunner_core::rules::pace::Bucket;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::boot::BootItem;
use jiff::{SignedDuration, Timestamp};
use tracing::{error, info, warn};

use super::advance::{StepError, backoff};
use super::chain;
use crate::commit::Written;
use crate::ports::github::{GitHub, GitHubError, JitConfig};
use crate::ports::store::{BootPut, StoreError};
use crate::ports::{Clock, Disposition};
use crate::{Engine, World};

/// How long the boot table keeps an item that no task takes. A last resort only.
const BOOT_ITEM_LIFE: Duration = Duration::from_secs(48 * 3600);
/// How long a slot of GitHub's pace stays valid after the runner's reservation.
const SLOT_AGE: SignedDuration = SignedDuration::from_secs(10);

impl<W: World> Engine<W> {
    pub(crate) async fn hand_over(&self, runner: &Runner) -> Result<Written, StepError> {
        self.take_fresh_slot(runner).await?;
        self.configure_and_give(runner, Unwritten::nothing(self.ports.clock.now())).await
    }

    /// Takes another slot if the one from the reservation is too old, because the
    /// launch was delayed.
    async fn take_fresh_slot(&self, runner: &Runner) -> Result<(), StepError> {
        let reserved = runner.timeline.began();
        let is_fresh = self.ports.clock.now().duration_since(reserved) < SLOT_AGE;
        if runner.retry.is_none() && is_fresh {
            return Ok(());
        }
        let account = self.ports.github.account(&runner.facts.scope);
        self.take_slot(&Bucket::GitHub(account)).await
    }

    /// Hands over to a task that was just started. The task and the hand-over are
    /// written to the record together, or not at all.
    pub(crate) async fn hand_over_to(
        &self,
        runner: &Runner,
        task: &TaskId,
        also: &[Change],
    ) -> Result<Written, StepError> {
        self.take_fresh_slot(runner).await?;
        let unwritten = Unwritten { task: Some(task), at: self.ports.clock.now(), also };
        self.configure_and_give(runner, unwritten).await
    }

    async fn configure_and_give(
        &self,
        runner: &Runner,
        unwritten: Unwritten<'_>,
    ) -> Result<Written, StepError> {
        let (now, scope) = (self.ports.clock.now(), &runner.facts.scope);
        let account = self.ports.github.account(scope);
        if let Some(until) = self.cache.github_not_before(&account, now) {
            let after = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            return Err(GitHubError::Throttled { operation: "generate-jitconfig".to_owned(), after }.into());
        }
        if let Some(hold) = self.cache.hold(&Held::Scope(scope.clone())).filter(|hold| now < hold.not_before)
        {
            return self.not_registered(runner, &hold.words, unwritten).await;
        }
        match self.configure(runner).await {
            Ok(jit) => self.give(runner, &jit, unwritten).await,
            Err(StepError::GitHub(error)) if error.disposition() == Disposition::Permanent => {
                let hold = self.hold_scope(scope, &error);
                let also = [unwritten.also, &[Change::Hold(hold)]].concat();
                let unwritten = Unwritten { also: &also, ..unwritten };
                self.not_registered(runner, &error.to_string(), unwritten).await
            }
            Err(StepError::GitHub(error @ GitHubError::Throttled { after, .. })) => {
                let until = self.ports.clock.now() + after;
                self.cache.throttle_github(account.clone(), until);
                self.rest(&Bucket::GitHub(account), until).await?;
                Err(error.into())
            }
            Err(StepError::GitHub(error)) => {
                // GitHub is down. Launch no further tasks that would only wait for it.
                if let Some(retry) = &runner.retry {
                    let until = self.ports.clock.now() + backoff(retry.failures, self.jitter());
                    self.rest(&Bucket::GitHub(account), until).await?;
                }
                Err(error.into())
            }
            Err(error) => Err(error),
        }
    }

    /// Creates the configuration. If the name is registered already and nothing was
    /// handed over, the registration comes from an earlier attempt whose answer was
    /// lost. Its configuration is lost too, so it is deleted.
    async fn configure(&self, runner: &Runner) -> Result<JitConfig, StepError> {
        let github = &self.ports.github;
        let (scope, name) = (&runner.facts.scope, runner.name());
        let mut labels: Vec<String> = runner.facts.labels.iter().map(str::to_owned).collect();
        // Identical idle runners sometimes get no job; one unique label each helps.
        labels.push(format!("ecsrunner:{}", name.ulid()));
        match github.generate_jitconfig(scope, name, &labels).await {
            Err(GitHubError::NameTaken) => {
                let lost = github.runner(scope, name).await?;
                // The registration is read before the record. If the record still says that
                // nothing was handed over, the registration is from an earlier attempt.
                if !self.reload(runner).await?.is_some_and(|current| current.awaits_configuration()) {
                    return Err(StoreError::Conflict.into());
                }
                warn!(runner = %name, "the runner's name is registered already; deleting the lost registration");
                if let Some(registration) = lost {
                    github.delete_runner(scope, registration.id).await?;
                }
                Ok(github.generate_jitconfig(scope, name, &labels).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// Writes the boot item and the record in one transaction. So no hand-over can
    /// commit after a retirement is written.
    async fn give(
        &self,
        runner: &Runner,
        jit: &JitConfig,
        unwritten: Unwritten<'_>,
    ) -> Result<Written, StepError> {
        let item = BootItem {
            runner: runner.name().clone(),
            policy: self.rules().rules().policy_of(&runner.facts.class),
            fail: None,
        };
        let next = |current: &Runner| {
            let now = self.ports.clock.now();
            let Some((next, task)) = unwritten.on(current).handed_over(jit.runner_id, now) else {
                // The runner has been retired, and its clean-up deletes the registration.
                return unwritten.alone(current).map(|next| (next, None));
            };
            let boot = BootPut {
                task,
                role: runner.facts.task_role(),
                item: &item,
                jit: &jit.encoded,
                expires_at: now + BOOT_ITEM_LIFE,
            };
            Some((next, Some(boot)))
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

    /// Ends a runner that GitHub does not register, so that its waiting task is stopped.
    async fn not_registered(
        &self,
        runner: &Runner,
        words: &str,
        unwritten: Unwritten<'_>,
    ) -> Result<Written, StepError> {
        let now = self.ports.clock.now();
        let reason = Reason::with(Code::ScopeHeld, words);
        let next = |current: &Runner| {
            let ended = unwritten.on(current).not_registered(reason.clone(), now);
            ended.or_else(|| unwritten.alone(current))
        };
        self.write(runner, unwritten.also, next).await
    }

    /// Holds launches in a scope after a permanent refusal, until a probe succeeds.
    pub(crate) fn hold_scope(&self, scope: &Scope, error: &GitHubError) -> Hold {
        let held = Held::Scope(scope.clone());
        let before = self.cache.hold(&held);
        if before.is_none() {
            error!(%scope, error = %chain(error), reason = Code::ScopeHeld.as_str(), "holding launches");
        }
        let hold = Hold::after(before.as_ref(), held, &error.to_string(), self.ports.clock.now());
        self.cache.add_hold(hold.clone());
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
