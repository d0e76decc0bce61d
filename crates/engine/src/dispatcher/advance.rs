//! Advances a runner step by step: launches it, or cleans up after it.
//!
//! The record makes each step idempotent, and each step is written before the
//! next one starts. A dispatcher that resumes another's work claims the record
//! first.

use ecsrunner_core::decide::step::{Next, Step, WarmStep};
use ecsrunner_core::id::Epoch;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::job::JobRecord;
use ecsrunner_core::records::runner::{Custody, EndingKind, Retry, Runner, RunnerState};
use ecsrunner_core::wire::event::Keys;
use futures::future::{self, Either};
use jiff::Timestamp;
use std::time::Duration;
use tracing::{error, info, warn};

use super::cache::EffectKey;
use super::lease_holder::Deadline;
use super::{Effected, News, STEP_LIMIT, chain};
use crate::commit::Written;
use crate::discover::event_of;
use crate::metrics::Metric;
use crate::ports::compute::{Compute, ComputeError};
use crate::ports::github::{Deletion, GitHub, GitHubError};
use crate::ports::store::{Revocation, Store, StoreError, Transaction};
use crate::ports::{Clock, Disposition};
use crate::{Engine, World};

/// A runner takes at most twelve steps from reserved to gone; a record that asks for more is broken.
const MAX_STEPS: u32 = 16;
/// The delay of a retry while GitHub calls a runner busy whose task has stopped.
const STILL_BUSY: Duration = Duration::from_secs(30);
/// The delay of a retry while GitHub says that a job whose end was reported is not over.
const STILL_AT_WORK: Duration = Duration::from_secs(120);
/// The delay of a retry after GitHub's refusal, which a person has to resolve.
const REFUSED_BY_GITHUB: Duration = Duration::from_secs(300);
/// The delay of a retry after AWS's refusal. It is shorter because a task that is not stopped costs money.
const REFUSED_BY_AWS: Duration = Duration::from_secs(60);
/// The first wait after a failure; each further failure doubles it.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
/// Bounded because a task that waits for its configuration costs money.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Compute(#[from] ComputeError),
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error("GitHub calls runner `{0}` busy, though its job is over")]
    StillBusy(String),
    #[error("GitHub calls runner `{0}` busy, and its job is not over, though its end was reported")]
    StillAtWork(String),
    #[error("{step:?} took longer than {} s", STEP_LIMIT.as_secs())]
    TimedOut { step: Step },
    #[error("{step:?} of a warm task took longer than {} s", STEP_LIMIT.as_secs())]
    WarmTimedOut { step: WarmStep },
    /// Nothing failed, but the step is not due yet.
    #[error("not before {0}")]
    NotYet(Timestamp),
}

impl StepError {
    /// The metric that counts retries after such an error.
    pub(super) const fn retry_metric(&self) -> Metric {
        match self {
            Self::Compute(ComputeError::Throttled { .. }) | Self::GitHub(GitHubError::Throttled { .. }) => {
                Metric::RetriesThrottled
            }
            _ => Metric::RetriesOther,
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        let (disposition, refused) = match self {
            Self::Store(error) => (error.disposition(), None),
            Self::Compute(error) => (error.disposition(), Some(REFUSED_BY_AWS)),
            Self::GitHub(error) => (error.disposition(), Some(REFUSED_BY_GITHUB)),
            Self::StillBusy(_) => return Some(STILL_BUSY),
            Self::StillAtWork(_) => return Some(STILL_AT_WORK),
            Self::TimedOut { .. } | Self::WarmTimedOut { .. } | Self::NotYet(_) => return None,
        };
        match disposition {
            Disposition::Retry { after } => after.map(|after| after.min(Retry::LONGEST.unsigned_abs())),
            Disposition::Permanent => refused,
            Disposition::AlreadyDone => None,
        }
    }
}

impl<W: World> Engine<W> {
    /// Performs a runner's next steps until it has none.
    pub(crate) async fn advance(&self, runner: Runner, epoch: Epoch, deadline: Deadline) -> Effected {
        let key = EffectKey::Runner(runner.name().clone());
        let takes_slot = runner.takes_slot();
        let was_supply = runner.is_supply();
        match self.steps(runner, &deadline).await {
            // No slot was freed and no supply was lost, so only this runner's next step matters.
            Ok(Written::At(runner))
                if runner.takes_slot() == takes_slot && runner.is_supply() == was_supply =>
            {
                let news = match runner.next(self.ports.clock.now()) {
                    Next::Now(_) => News::Round,
                    Next::At(_) | Next::Event => News::Nothing,
                };
                let next_at = match runner.next(self.ports.clock.now()) {
                    Next::At(at) => Some(at),
                    Next::Now(_) | Next::Event => None,
                };
                Effected { next_at, ..Effected::with(key, news) }
            }
            Ok(Written::At(_) | Written::Away) => Effected::with(key, News::Round),
            Err((_, StepError::Store(StoreError::Fenced))) => Effected::with(key, News::LeaseLost),
            Err((_, StepError::NotYet(at))) => {
                Effected { rest_until: Some(at), ..Effected::with(key, News::Nothing) }
            }
            Err((runner, error)) => self.later(key, &runner, &error, epoch).await,
        }
    }

    /// Writes to the runner's record when a failed step is retried, so that any
    /// dispatcher can retry it.
    async fn later(&self, key: EffectKey, runner: &Runner, error: &StepError, epoch: Epoch) -> Effected {
        let now = self.ports.clock.now();
        let failures = runner.retry.as_ref().map_or(0, |retry| retry.failures);
        let wait = error.retry_after().unwrap_or_else(|| backoff(failures, self.jitter()));
        let not_before = now + wait;
        let words = chain(error);
        self.metrics.count(error.retry_metric());
        warn!(effect = ?key, error = %words, again_at = %not_before, "effect failed, to be tried again");
        let failed = |current: &Runner| {
            let retry =
                Retry { failures: failures + 1, not_before, reason: Reason::with(Code::Retrying, &words) };
            (current.state == runner.state && current.epoch == epoch).then(|| current.failed(retry))
        };
        let written = self.write(runner, &[], failed).await;
        if let Ok(Written::At(current)) = &written
            && current.state != runner.state
        {
            // An event has changed the state, so the failed step may no longer be the next one.
            return Effected::with(key, News::Round);
        }
        let rest_until = written.is_err().then_some(not_before);
        Effected { rest_until, next_at: Some(not_before), ..Effected::with(key, News::Nothing) }
    }

    /// Performs steps until none is due, or until the runner frees its slot. Then
    /// it stops, so that the next round can learn from the runner before it moves
    /// to history.
    async fn steps(&self, mut runner: Runner, deadline: &Deadline) -> Result<Written, (Runner, StepError)> {
        let took_slot = runner.takes_slot();
        for _ in 0..MAX_STEPS {
            let now = self.ports.clock.now();
            let Next::Now(step) = runner.next(now) else { break };
            if !deadline.admits_step(now) {
                break;
            }
            let stepped = {
                let performed = Box::pin(self.perform(step, &runner, deadline));
                let limit = Box::pin(self.ports.clock.sleep(STEP_LIMIT));
                match future::select(performed, limit).await {
                    Either::Left((stepped, _)) => stepped,
                    Either::Right(((), _)) => Err(StepError::TimedOut { step }),
                }
            };
            runner = match stepped {
                Ok(Written::At(next)) => next,
                Ok(Written::Away) => return Ok(Written::Away),
                Err(error) => return Err((runner, error)),
            };
            if runner.takes_slot() != took_slot {
                break;
            }
        }
        Ok(Written::At(runner))
    }

    async fn perform(&self, step: Step, runner: &Runner, deadline: &Deadline) -> Result<Written, StepError> {
        match step {
            Step::RunTask => self.run_task(runner, deadline).await,
            Step::ClaimInstance => self.claim_instance(runner).await,
            Step::HandOver => self.hand_over(runner).await,
            Step::Revoke => self.revoke(runner).await,
            Step::DeleteRegistration => self.delete_registration(runner).await,
            Step::StopTask => self.stop_task(runner).await,
            Step::DrainInstance => self.drain_instance(runner).await,
            Step::Finish => self.finish(runner).await,
        }
    }

    /// Writes the runner's next record, made from the current one, with `also`.
    pub(crate) async fn write(
        &self,
        runner: &Runner,
        also: &[Change],
        next: impl Fn(&Runner) -> Option<Runner>,
    ) -> Result<Written, StepError> {
        let next = |current: &Runner| next(current).map(|next| (next, None));
        Ok(self.commit_runner(runner, also, next).await?)
    }

    async fn revoke(&self, runner: &Runner) -> Result<Written, StepError> {
        let Some(task) = runner.task() else { return Ok(Written::At(runner.clone())) };
        let given_back = match self.ports.store.revoke(task, runner.facts.task_role()).await {
            Ok(revocation) => revocation == Revocation::GivenBack,
            Err(error) => {
                // Without an answer, a task may hold the configuration.
                warn!(runner = %runner.name(), error = %chain(&error), "no answer to revoking the boot item");
                false
            }
        };
        info!(runner = %runner.name(), given_back, "revoked boot item");
        let now = self.ports.clock.now();
        self.write(runner, &[], |runner| runner.revoked(given_back, now)).await
    }

    async fn delete_registration(&self, runner: &Runner) -> Result<Written, StepError> {
        let scope = &runner.facts.scope;
        let RunnerState::Ending(ending) = &runner.state else { return Ok(Written::At(runner.clone())) };
        let known = match ending.custody.registration() {
            Some(id) => Some(id),
            None => self.look_up(scope, runner.name()).await?.map(|registration| registration.id),
        };
        let deleted = match known {
            None => None,
            Some(id) => Some((id, self.deregister(scope, id).await?)),
        };
        let now = self.ports.clock.now();
        if let Some((id, Deletion::Busy)) = deleted {
            return match self.write(runner, &[], |runner| runner.registration_busy(id, now)).await? {
                Written::At(next) if matches!(next.state, RunnerState::Ending(_)) => {
                    self.stop_if_over(&next).await
                }
                stepped => Ok(stepped),
            };
        }
        let was_there = matches!(deleted, Some((_, Deletion::Deleted)));
        info!(runner = %runner.name(), was_there, "deleted registration");
        self.write(runner, &[], |runner| runner.registration_deleted(now)).await
    }

    /// Stops the task of a runner that GitHub calls busy, if GitHub's API says that its job is over.
    async fn stop_if_over(&self, runner: &Runner) -> Result<Written, StepError> {
        let name = || runner.name().to_string();
        let Some(job) = runner.job_to_confirm(self.ports.clock.now()) else {
            return Err(StepError::StillBusy(name()));
        };
        let known = self.ports.store.load(&Keys { job: Some(job), ..Keys::default() }).await?.job;
        let facts = match known {
            Some(JobRecord::Open(job)) => job.facts,
            Some(JobRecord::Ended(job)) => job.facts,
            None => return Err(StepError::StillBusy(name())),
        };
        let asked = self.ports.github.job(&facts.repository, job);
        let remote = self.call_github(&runner.facts.scope, asked).await?;
        let now = self.ports.clock.now();
        let answer = remote.and_then(|remote| event_of(&remote, &facts, now));
        if !answer.is_some_and(|answer| runner.is_outlived(&answer, now)) {
            return Err(StepError::StillAtWork(name()));
        }
        warn!(runner = %runner.name(), job_id = job.get(), "its job is over and its task goes on: stopping it");
        self.stop_task(runner).await
    }

    async fn stop_task(&self, runner: &Runner) -> Result<Written, StepError> {
        let RunnerState::Ending(ending) = &runner.state else { return Ok(Written::At(runner.clone())) };
        if let Some(task) = runner.task() {
            let reason = ending.note.as_ref().map_or_else(|| ending.kind.as_str().to_owned(), Reason::text);
            self.ports.compute.stop_task(task, &reason).await?;
            info!(runner = %runner.name(), %task, reason, "stopped task");
        }
        let now = self.ports.clock.now();
        self.write(runner, &[], |runner| runner.task_stopping(now)).await
    }

    async fn finish(&self, runner: &Runner) -> Result<Written, StepError> {
        let Some(ended) = runner.finish(self.ports.clock.now()) else {
            return Ok(Written::At(runner.clone()));
        };
        if let RunnerState::Ending(ending) = &runner.state
            && matches!(ending.custody, Custody::Taken(_))
            && ending.kind != EndingKind::Completed
            && let Some(task) = runner.task()
        {
            // A revocation without an answer counts as taken, and may have left the
            // item behind. Its task has stopped, so nothing else removes it.
            self.ports.store.revoke(task, runner.facts.task_role()).await?;
        }
        let changes = [Change::RunnerGone(Box::new(ended))];
        match self.commit(Transaction::of(&changes)).await {
            // After a conflict with an event, the next round reads the record again.
            Ok(()) | Err(StoreError::Conflict) => Ok(Written::Away),
            Err(error) => {
                error!(runner = %runner.name(), error = %chain(&error), "runner could not be moved to history");
                Err(error.into())
            }
        }
    }
}

/// Returns the wait after `failures` consecutive failures, with `jitter` in 0..1.
pub(crate) fn backoff(failures: u32, jitter: f64) -> Duration {
    let full = FIRST_BACKOFF.saturating_mul(1 << failures.min(16)).min(LONGEST_BACKOFF);
    full.mul_f64(0.5 + jitter / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_with_each_failure_up_to_half_a_minute() {
        let waits = [0, 1, 2, 30].map(|failures| backoff(failures, 1.0).as_millis());
        assert_eq!(waits, [250, 500, 1000, 30_000]);
        assert_eq!(backoff(2, 0.0).as_millis(), 500, "jitter takes up to half of it away");
    }
}
