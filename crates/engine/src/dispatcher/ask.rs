//! GitHub is asked, and its answer is an event like any other.

use ecsrunner_core::event::{
    Event, JobAction, JobAnswer, JobOutcome, RegistrationAnswer, RegistrationOutcome,
};
use ecsrunner_core::id::RunnerName;
use ecsrunner_core::job::Job;
use ecsrunner_core::plan::{DOUBT, Question};
use ecsrunner_core::runner::Runner;
use std::time::Duration;
use tracing::info;

use super::advance::StepError;
use super::memory::EffectKey;
use super::{Effected, News};
use crate::discover::event_of;
use crate::ports::github::GitHub;
use crate::ports::{Clock, Disposition};
use crate::{Engine, World};

impl<W: World> Engine<W> {
    /// Asks what has become of a job.
    pub(crate) async fn ask_job(&self, job: Job, on_behalf_of: Option<RunnerName>) -> Effected {
        let question = Question::Job { job: job.id(), on_behalf_of: on_behalf_of.clone() };
        let key = EffectKey::Question(question);
        let answer = async {
            let found = self.ports.github.job(&job.facts.repository, job.id()).await?;
            let outcome = match found {
                None => JobOutcome::Absent,
                Some(remote) => {
                    match event_of(&remote, &job.facts, self.ports.clock.now()) {
                        Some(event) => JobOutcome::Found(event),
                        // A status that GitHub added later says nothing yet.
                        None => return Ok(()),
                    }
                }
            };
            info!(job_id = job.id().get(), found = ?outcome_word(&outcome), "asked GitHub about job");
            let answer = JobAnswer { job: job.id(), asked: job.version, on_behalf_of, outcome };
            self.record(&Event::JobAnswer(answer)).await?;
            Ok(())
        };
        let answer: Result<(), StepError> = answer.await;
        self.asked(key, answer)
    }

    /// Asks whether a runner that takes no job is there, and busy.
    pub(crate) async fn ask_runner(&self, runner: Runner) -> Effected {
        let key = EffectKey::Question(Question::Runner(runner.name().clone()));
        let answer = async {
            let outcome = match self.ports.github.runner(&runner.facts.scope, runner.name()).await? {
                None => RegistrationOutcome::Absent,
                Some(registration) if registration.busy => RegistrationOutcome::Busy(registration.id),
                Some(_) => RegistrationOutcome::Idle,
            };
            info!(runner = %runner.name(), found = ?outcome, "asked GitHub about runner");
            let at = self.ports.clock.now();
            let answer =
                RegistrationAnswer { runner: runner.name().clone(), asked: runner.version, outcome, at };
            self.record(&Event::RegistrationAnswer(answer)).await?;
            Ok(())
        };
        let answer: Result<(), StepError> = answer.await;
        self.asked(key, answer)
    }

    /// The same question is not asked again at once, whatever the answer was.
    fn asked(&self, key: EffectKey, answer: Result<(), StepError>) -> Effected {
        match answer {
            Ok(()) => {
                let pause = Duration::try_from(DOUBT).unwrap_or_default();
                let again_at = self.memory.failed(key.clone(), Some(pause), 1.0, self.ports.clock.now());
                Effected { key, news: News::Round, again_at: Some(again_at) }
            }
            Err(error) => {
                let after = match &error {
                    StepError::GitHub(error) => match error.disposition() {
                        Disposition::Retry { after } => after,
                        Disposition::Permanent | Disposition::AlreadyDone => Some(Duration::from_secs(300)),
                    },
                    _ => None,
                };
                self.later(key, after, &error)
            }
        }
    }
}

fn outcome_word(outcome: &JobOutcome) -> &'static str {
    match outcome {
        JobOutcome::Absent => "absent",
        JobOutcome::Found(event) => match event.action {
            JobAction::Waiting => "waiting",
            JobAction::Queued => "queued",
            JobAction::InProgress { .. } => "in_progress",
            JobAction::Completed { .. } => "completed",
        },
    }
}
