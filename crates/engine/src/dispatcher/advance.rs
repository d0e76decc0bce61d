//! A runner is taken as far as it goes: launched, or cleaned up after.
//!
//! Each step is idempotent by what the record holds, and written before the
//! next. A dispatcher that resumes another's work claims the record first.

use ecsrunner_core::id::Epoch;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::record::Change;
use ecsrunner_core::runner::step::{Next, Step};
use ecsrunner_core::runner::{Ending, Runner, RunnerState, TaskLeft};
use std::time::Duration;
use tracing::{error, info, warn};

use super::memory::EffectKey;
use super::{Effected, News, chain};
use crate::ports::compute::{ClientToken, Compute, ComputeError};
use crate::ports::github::{Deletion, GitHub, GitHubError};
use crate::ports::store::{Revocation, Store, StoreError, Transaction};
use crate::ports::{Clock, Disposition};
use crate::{Engine, World};

/// Steps from reserved to gone are ten at most; a record that asks for more is broken.
const MOST_STEPS: u32 = 16;
/// How often a write is decided anew because an event came first.
const TRIES: u32 = 8;
/// How long GitHub may call a runner busy whose task has stopped.
const STILL_BUSY: Duration = Duration::from_secs(30);

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Compute(#[from] ComputeError),
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error("GitHub calls runner `{0}` busy, though its task has stopped")]
    StillBusy(String),
}

impl StepError {
    fn retry_after(&self) -> Option<Duration> {
        let disposition = match self {
            Self::Store(error) => error.disposition(),
            Self::Compute(error) => error.disposition(),
            Self::GitHub(error) => error.disposition(),
            Self::StillBusy(_) => return Some(STILL_BUSY),
        };
        match disposition {
            Disposition::Retry { after } => after,
            Disposition::Permanent | Disposition::AlreadyDone => None,
        }
    }
}

/// Where a step left the runner.
#[expect(clippy::large_enum_variant, reason = "short-lived, and nearly always the large one")]
pub(crate) enum Stepped {
    /// Its record as it is now.
    At(Runner),
    /// Somebody else moved it on, or it is gone.
    Away,
}

impl<W: World> Engine<W> {
    /// Performs a runner's next steps until it has none.
    pub(crate) async fn advance(&self, runner: Runner, epoch: Epoch) -> Effected {
        let key = EffectKey::Runner(runner.name().clone());
        let holds_place = runner.holds_place();
        let was_supply = runner.is_supply();
        match self.steps(runner, epoch).await {
            Ok(end) => {
                self.memory.succeeded(&key);
                // A place that was freed, or supply that was lost, is what others wait for.
                match end {
                    Stepped::At(runner)
                        if runner.holds_place() == holds_place && runner.is_supply() == was_supply =>
                    {
                        let again_at = match runner.next(self.ports.clock.now()) {
                            Next::At(at) => Some(at),
                            Next::Now(_) | Next::Event => None,
                        };
                        Effected { key, news: News::Nothing, again_at }
                    }
                    Stepped::At(_) | Stepped::Away => Effected { key, news: News::Round, again_at: None },
                }
            }
            Err(StepError::Store(StoreError::Fenced)) => {
                Effected { key, news: News::Deposed, again_at: None }
            }
            Err(error) => self.later(key, error.retry_after(), &error),
        }
    }

    async fn steps(&self, runner: Runner, epoch: Epoch) -> Result<Stepped, StepError> {
        let mut runner = match self.claim(runner, epoch).await? {
            Stepped::At(runner) => runner,
            Stepped::Away => return Ok(Stepped::Away),
        };
        for _ in 0..MOST_STEPS {
            let now = self.ports.clock.now();
            let Next::Now(step) = runner.next(now) else { break };
            let stepped = match step {
                Step::RunTask => self.run_task(&runner).await?,
                Step::HandOver => self.hand_over(&runner).await?,
                Step::Revoke => self.revoke(&runner).await?,
                Step::DeleteRegistration => self.delete_registration(&runner).await?,
                Step::StopTask => self.stop_task(&runner).await?,
                Step::Finish => self.finish(&runner).await?,
            };
            runner = match stepped {
                Stepped::At(next) => next,
                Stepped::Away => return Ok(Stepped::Away),
            };
        }
        Ok(Stepped::At(runner))
    }

    /// A record that another dispatcher worked on is claimed before any
    /// outside effect: its later writes are refused from here on.
    async fn claim(&self, runner: Runner, epoch: Epoch) -> Result<Stepped, StepError> {
        if runner.epoch == epoch {
            return Ok(Stepped::At(runner));
        }
        let claimed = Runner { version: runner.version.next(), epoch, ..runner };
        let changes = [Change::Runner(claimed)];
        let transaction = Transaction { fence: Some(epoch), ..Transaction::of(&changes) };
        match self.ports.store.commit(transaction).await {
            Ok(()) => {
                let [change] = changes;
                match change {
                    Change::Runner(runner) => Ok(Stepped::At(runner)),
                    _ => Ok(Stepped::Away),
                }
            }
            Err(StoreError::Conflict) => Ok(Stepped::Away),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what an answer made of the record, on the record as it is now.
    pub(crate) async fn write(
        &self,
        runner: &Runner,
        next: impl Fn(&Runner) -> Option<Runner>,
    ) -> Result<Stepped, StepError> {
        let mut current = runner.clone();
        for _ in 0..TRIES {
            let Some(changed) = next(&current) else { return Ok(Stepped::At(current)) };
            match self.ports.store.commit(Transaction::of(&[Change::Runner(changed.clone())])).await {
                Ok(()) => return Ok(Stepped::At(changed)),
                Err(StoreError::Conflict) => match self.reload(&current).await? {
                    Some(runner) => current = runner,
                    None => return Ok(Stepped::Away),
                },
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// The record as it is now, unless another dispatcher has claimed it.
    pub(crate) async fn reload(&self, runner: &Runner) -> Result<Option<Runner>, StepError> {
        let keys = ecsrunner_core::event::Keys { job: None, runner: Some(runner.name().clone()) };
        let records = self.ports.store.load(&keys).await?;
        Ok(records.runner.filter(|current| current.epoch == runner.epoch))
    }

    async fn run_task(&self, runner: &Runner) -> Result<Stepped, StepError> {
        let attempt = match &runner.state {
            RunnerState::Reserved { attempt } => *attempt,
            RunnerState::Ending(Ending { task: TaskLeft::Unanswered { attempt }, .. }) => *attempt,
            _ => return Ok(Stepped::At(runner.clone())),
        };
        let token = ClientToken::new(&runner.facts, attempt);
        match self.ports.compute.run_task(&runner.facts, &token).await {
            Ok(task) => {
                info!(runner = %runner.name(), %task, "launched runner");
                let now = self.ports.clock.now();
                self.write(runner, |runner| runner.task_started(task.clone(), now)).await
            }
            Err(error) if error.disposition() == Disposition::Permanent => {
                warn!(runner = %runner.name(), error = %chain(&error), "the task was refused");
                let reason = Reason::with(Code::BootFailed, &error);
                let now = self.ports.clock.now();
                self.write(runner, |runner| runner.task_refused(reason.clone(), now)).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn revoke(&self, runner: &Runner) -> Result<Stepped, StepError> {
        let Some(task) = runner.task() else { return Ok(Stepped::At(runner.clone())) };
        let given_back = match self.ports.store.revoke(task).await {
            Ok(revocation) => revocation == Revocation::GivenBack,
            Err(error) => {
                // No answer proves nothing: a task may hold the configuration.
                warn!(runner = %runner.name(), error = %chain(&error), "revoking got no answer");
                false
            }
        };
        info!(runner = %runner.name(), given_back, "revoked boot item");
        let now = self.ports.clock.now();
        self.write(runner, |runner| runner.revoked(given_back, now)).await
    }

    async fn delete_registration(&self, runner: &Runner) -> Result<Stepped, StepError> {
        let github = &self.ports.github;
        let scope = &runner.facts.scope;
        let RunnerState::Ending(ending) = &runner.state else { return Ok(Stepped::At(runner.clone())) };
        let known = match ending.custody.registration() {
            Some(id) => Some(id),
            None => github.runner(scope, runner.name()).await?.map(|registration| registration.id),
        };
        let deleted = match known {
            None => None,
            Some(id) => Some((id, github.delete_runner(scope, id).await?)),
        };
        let now = self.ports.clock.now();
        if let Some((id, Deletion::Busy)) = deleted {
            return match self.write(runner, |runner| runner.registration_busy(id, now)).await? {
                Stepped::At(next) if matches!(next.state, RunnerState::Ending(_)) => {
                    Err(StepError::StillBusy(next.name().to_string()))
                }
                stepped => Ok(stepped),
            };
        }
        let was_there = matches!(deleted, Some((_, Deletion::Deleted)));
        info!(runner = %runner.name(), was_there, "deleted registration");
        self.write(runner, |runner| runner.registration_deleted(now)).await
    }

    async fn stop_task(&self, runner: &Runner) -> Result<Stepped, StepError> {
        let RunnerState::Ending(ending) = &runner.state else { return Ok(Stepped::At(runner.clone())) };
        if let Some(task) = runner.task() {
            let reason = ending.note.as_ref().map_or_else(|| ending.kind.as_str().to_owned(), Reason::text);
            self.ports.compute.stop_task(task, &reason).await?;
            info!(runner = %runner.name(), %task, reason, "stopped task");
        }
        let now = self.ports.clock.now();
        self.write(runner, |runner| runner.task_stopping(now)).await
    }

    async fn finish(&self, runner: &Runner) -> Result<Stepped, StepError> {
        let Some(ended) = runner.finish(self.ports.clock.now()) else {
            return Ok(Stepped::At(runner.clone()));
        };
        let (kind, cost_usd) = (ended.kind.as_str(), ended.cost_usd);
        match self.ports.store.commit(Transaction::of(&[Change::RunnerGone(Box::new(ended))])).await {
            Ok(()) => {
                info!(runner = %runner.name(), reason = kind, cost_usd, "runner is gone");
                Ok(Stepped::Away)
            }
            // An event came first: the record asks again.
            Err(StoreError::Conflict) => Ok(Stepped::Away),
            Err(error) => {
                error!(runner = %runner.name(), error = %chain(&error), "runner could not be moved to history");
                Err(error.into())
            }
        }
    }
}
