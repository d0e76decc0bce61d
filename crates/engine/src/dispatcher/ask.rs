//! Asks GitHub about jobs, runs and runners, and records each answer as an event.

use ecsrunner_core::decide::plan::{DOUBT, Question};
use ecsrunner_core::id::RunnerName;
use ecsrunner_core::records::job::Job;
use ecsrunner_core::records::runner::Runner;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::event::{
    Event, JobAction, JobAnswer, JobOutcome, RegistrationAnswer, RegistrationOutcome, RunAnswer, RunOutcome,
};
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;
use tracing::{info, warn};

use super::cache::EffectKey;
use super::{Effected, News, STEP_LIMIT, chain};
use crate::discover::event_of;
use crate::ports::Clock;
use crate::ports::github::{GitHub, GitHubError, RemoteRun};
use crate::{Engine, World};

impl<W: World> Engine<W> {
    /// Asks for the state of a job.
    pub(crate) async fn ask_job(&self, job: Job, on_behalf_of: Option<RunnerName>) -> Effected {
        let key = EffectKey::Question(Question::Job { job: job.id(), on_behalf_of: on_behalf_of.clone() });
        let found = self
            .answer_to(&key, &self.scope_of(&job), self.ports.github.job(&job.facts.repository, job.id()))
            .await;
        let at = self.ports.clock.now();
        let outcome = match found {
            None => JobOutcome::Unanswered,
            Some(None) => JobOutcome::Absent,
            // A status that is not known here counts as no answer.
            Some(Some(remote)) => match event_of(&remote, &job.facts, at) {
                Some(event) if self.may_be_confirmed(&job, &event).await => JobOutcome::Found(event),
                _ => JobOutcome::Unanswered,
            },
        };
        info!(job_id = job.id().get(), found = outcome_word(&outcome), "asked GitHub about job");
        let answer = JobAnswer { job: job.id(), asked: job.version, on_behalf_of, outcome, at };
        self.asked(key, &Event::JobAnswer(answer)).await
    }

    /// Asks which event started a job's run.
    pub(crate) async fn ask_run(&self, job: Job) -> Effected {
        let key = EffectKey::Question(Question::Run(job.id()));
        let found = self
            .answer_to(
                &key,
                &self.scope_of(&job),
                self.ports.github.run(&job.facts.repository, job.facts.run),
            )
            .await;
        let outcome = match found {
            None => RunOutcome::Unanswered,
            Some(None) => RunOutcome::Absent,
            Some(Some(run)) => {
                let RemoteRun { event, head_repository, private, .. } = run;
                RunOutcome::Found { event: event.into(), head_repository, private }
            }
        };
        info!(job_id = job.id().get(), run_id = job.facts.run.get(), found = ?outcome, "asked GitHub about run");
        let at = self.ports.clock.now();
        let answer = RunAnswer { job: job.id(), asked: job.version, outcome, at };
        self.asked(key, &Event::RunAnswer(answer)).await
    }

    /// Asks whether a runner that takes no job is registered, and whether it is busy.
    pub(crate) async fn ask_runner(&self, runner: Runner) -> Effected {
        let key = EffectKey::Question(Question::Runner(runner.name().clone()));
        let found = self
            .answer_to(
                &key,
                &runner.facts.scope,
                self.ports.github.runner(&runner.facts.scope, runner.name()),
            )
            .await;
        let outcome = match found {
            None => RegistrationOutcome::Unanswered,
            Some(None) => RegistrationOutcome::Absent,
            Some(Some(registration)) if registration.busy => RegistrationOutcome::Busy(registration.id),
            Some(Some(_)) => RegistrationOutcome::Idle,
        };
        info!(runner = %runner.name(), found = ?outcome, "asked GitHub about runner");
        let at = self.ports.clock.now();
        let answer = RegistrationAnswer { runner: runner.name().clone(), asked: runner.version, outcome, at };
        self.asked(key, &Event::RegistrationAnswer(answer)).await
    }

    /// Returns GitHub's answer; `None` if the call failed or may not be made now.
    async fn answer_to<T>(
        &self,
        question: &(impl Debug + Sync),
        scope: &Scope,
        call: impl Future<Output = Result<T, GitHubError>> + Send,
    ) -> Option<T> {
        match self.call_github(scope, call).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                warn!(?question, error = %chain(&error), "GitHub did not answer");
                None
            }
        }
    }

    fn scope_of(&self, job: &Job) -> Scope {
        self.rules().settings.registration.scope(&job.facts.repository)
    }

    /// Records an answer. The record says when the question may be asked again.
    async fn asked(&self, key: EffectKey, answer: &Event) -> Effected {
        match self.record(answer).await {
            Ok(recorded) => {
                let news = if recorded.replan { News::Round } else { News::Nothing };
                let pause = Duration::try_from(DOUBT).unwrap_or_default();
                Effected { next_at: Some(self.ports.clock.now() + pause), ..Effected::with(key, news) }
            }
            Err(error) => {
                warn!(question = ?key, error = %chain(&error), "could not record GitHub's answer");
                let rest_until = self.ports.clock.now() + STEP_LIMIT;
                Effected { rest_until: Some(rest_until), ..Effected::with(key, News::Nothing) }
            }
        }
    }
}

fn outcome_word(outcome: &JobOutcome) -> &'static str {
    match outcome {
        JobOutcome::Absent => "absent",
        JobOutcome::Unanswered => "unanswered",
        JobOutcome::Found(event) => match event.action {
            JobAction::Waiting => "waiting",
            JobAction::Queued => "queued",
            JobAction::InProgress { .. } => "in_progress",
            JobAction::Completed { .. } => "completed",
        },
    }
}
