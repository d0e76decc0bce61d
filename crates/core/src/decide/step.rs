//! The next step of a runner, derived from its record alone. Any dispatcher that
//! resumes a launch or a retirement gets the same answer.

mod warm;

use jiff::{SignedDuration, Timestamp};

use crate::clock::end_of_wait;
use crate::id::JobId;
use crate::records::runner::{
    Custody, EndedRunner, Ending, EndingKind, RegistrationLeft, Retry, Runner, RunnerStage, RunnerState,
    Served, TaskLeft,
};
use crate::wire::event::{JobAction, JobEvent};
pub use warm::WarmStep;

/// How long to wait for the second of the two reports of a completion, the agent's
/// and GitHub's, before the registration is deleted.
const PROOF_LIMIT: SignedDuration = SignedDuration::from_mins(2);

/// How long after GitHub has said that a runner's job completed its task is stopped: its listener hangs, or code of the
/// job keeps it from ending. GitHub lets the registration be deleted, or confirms through its API that the job is over.
const HUNG: SignedDuration = SignedDuration::from_mins(8);

/// How long a task may take to stop before it is asked again. ECS kills a
/// container after its stop timeout, which is at most 120 s.
const STOP_LIMIT: SignedDuration = SignedDuration::from_mins(3);

/// After this time GitHub has removed an ephemeral runner that vanished, which it does after a day.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(25);

/// One effect, which data in the record makes idempotent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// Start its task with the client token of the recorded attempt.
    RunTask,
    /// Find out on which EC2 instance its task runs, and make it that instance's only runner.
    ClaimInstance,
    /// Create its just-in-time configuration and hand it over.
    HandOver,
    /// Take its boot item back.
    Revoke,
    /// Delete its registration, by id or by name.
    DeleteRegistration,
    StopTask,
    /// Have no more tasks placed on its instance.
    DrainInstance,
    /// Move it to history: everything is cleaned up.
    Finish,
}

/// The next step, or when there will be one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next<S = Step> {
    Now(S),
    /// None before then, unless an event comes first.
    At(Timestamp),
    /// None until an event comes.
    Event,
}

impl Retry {
    /// How long after a failure the next attempt is made, at most. What GitHub asks for beyond that is a hold of its account.
    pub const LONGEST: SignedDuration = SignedDuration::from_mins(5);

    /// Returns when the next attempt may be made; `None` if it may now.
    #[must_use]
    pub fn waits_until(&self, now: Timestamp) -> Option<Timestamp> {
        Some(end_of_wait(self.not_before, Self::LONGEST, now)).filter(|until| now < *until)
    }
}

impl Runner {
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Next {
        let next = self.next_step(now);
        match self.retry.as_ref().and_then(|retry| retry.waits_until(now)) {
            Some(until) if matches!(next, Next::Now(_)) => Next::At(until),
            _ => next,
        }
    }

    fn next_step(&self, now: Timestamp) -> Next {
        match &self.state {
            RunnerState::Reserved { .. } => Next::Now(Step::RunTask),
            RunnerState::Starting { custody: Custody::Unissued, .. }
            | RunnerState::Booted { custody: Custody::Unissued, .. } => {
                if self.is_to_claim() {
                    Next::Now(Step::ClaimInstance)
                } else if self.lacks_instance() {
                    Next::Event
                } else {
                    Next::Now(Step::HandOver)
                }
            }
            RunnerState::Starting { .. } | RunnerState::Booted { .. } | RunnerState::Busy { .. } => {
                Next::Event
            }
            RunnerState::Ending(ending) => self.next_of_ending(ending, now),
        }
    }

    fn next_of_ending(&self, ending: &Ending, now: Timestamp) -> Next {
        // The boot item comes first: the other steps depend on whether it was taken.
        if matches!(ending.custody, Custody::Issued(_)) {
            return Next::Now(Step::Revoke);
        }
        if matches!(ending.task, TaskLeft::Unanswered { .. }) {
            return Next::Now(Step::RunTask);
        }
        let nobody_holds = matches!(ending.custody, Custody::Unissued | Custody::Revoked(_));
        if matches!(ending.task, TaskLeft::Running(_)) && (nobody_holds || ending.kind.overrides_job()) {
            return Next::Now(Step::StopTask);
        }
        // Before anything that may take longer: each moment the instance may get another task.
        if self.is_to_drain() {
            return Next::Now(Step::DrainInstance);
        }
        let stopped = matches!(ending.task, TaskLeft::Stopped { .. });
        let stop_again = match &ending.task {
            TaskLeft::Stopping { since, .. } => Some(*since + STOP_LIMIT),
            _ => None,
        };
        if stop_again.is_some_and(|at| now >= at) {
            return Next::Now(Step::StopTask);
        }
        match ending.registration {
            // GitHub has removed it by itself, and may no longer answer about it.
            RegistrationLeft::Unproved
                if self.stopped_at().is_some_and(|at| now.duration_since(at) > FORGOTTEN) =>
            {
                Next::Now(Step::Finish)
            }
            RegistrationLeft::Unproved => Next::Now(Step::DeleteRegistration),
            // The agent ended without reporting the completion, so there is no proof.
            RegistrationLeft::JobCompleted if stopped => Next::Now(Step::DeleteRegistration),
            RegistrationLeft::AgentCompleted | RegistrationLeft::JobCompleted => {
                let since = self.timeline.last_at(RunnerStage::Ending).unwrap_or(now);
                let until = since + PROOF_LIMIT;
                if now >= until { Next::Now(Step::DeleteRegistration) } else { Next::At(until) }
            }
            RegistrationLeft::Deleted if stopped => Next::Now(Step::Finish),
            RegistrationLeft::Deleted if matches!(ending.task, TaskLeft::Running(_)) && is_over(ending) => {
                let until = self.timeline.last_at(RunnerStage::Ending).unwrap_or(now) + HUNG;
                if now >= until { Next::Now(Step::StopTask) } else { Next::At(until) }
            }
            RegistrationLeft::Deleted => stop_again.map_or(Next::Event, Next::At),
        }
    }

    /// Returns the job whose end decides whether the task is stopped, although GitHub calls the registration busy; `None`
    /// before that is due.
    ///
    /// GitHub's word `busy` proves nothing then: code of the job holds the runner's credentials, and can keep a session
    /// open that reports the runner as busy. Nor does the webhook prove the job's end: it may be early, or forged by a
    /// holder of its secret.
    #[must_use]
    pub fn job_to_confirm(&self, now: Timestamp) -> Option<JobId> {
        let RunnerState::Ending(ending) = &self.state else { return None };
        let until = self.timeline.last_at(RunnerStage::Ending)? + HUNG;
        match ending.served {
            Served::Job(job) if is_over(ending) && matches!(ending.task, TaskLeft::Running(_)) => {
                (now >= until).then_some(job)
            }
            _ => None,
        }
    }

    /// Whether GitHub's answer about its job shows that its task may be stopped: the job ended on this runner, long enough
    /// ago for a listener that works to have ended too.
    #[must_use]
    pub fn is_outlived(&self, answer: &JobEvent, now: Timestamp) -> bool {
        let JobAction::Completed { runner, .. } = &answer.action else { return false };
        self.job_to_confirm(now) == Some(answer.facts.id)
            && runner.ours() == Some(self.name())
            && now >= answer.happened_at() + HUNG
    }

    /// Whether only its record is left to move to history.
    #[must_use]
    pub fn is_to_finish(&self) -> bool {
        matches!(&self.state, RunnerState::Ending(ending)
            if ending.registration == RegistrationLeft::Deleted
                && matches!(ending.task, TaskLeft::Stopped { .. })
                && !matches!(ending.custody, Custody::Issued(_)))
            && !self.is_to_drain()
    }

    /// Returns its history record; `None` unless [`Step::Finish`] is due.
    #[must_use]
    pub fn finish(&self, now: Timestamp) -> Option<EndedRunner> {
        let RunnerState::Ending(ending) = &self.state else { return None };
        if self.next(now) != Next::Now(Step::Finish) {
            return None;
        }
        let mut timeline = self.timeline.clone();
        timeline.push(RunnerStage::Gone, now);
        Some(EndedRunner {
            facts: self.facts.clone(),
            version: self.version.next(),
            timeline,
            kind: ending.kind,
            note: ending.note.clone(),
            served: ending.served,
            placement: self.placement.clone(),
            task: self.task().cloned(),
            stopped_at: self.stopped_at(),
            cost_usd: self.cost_usd(now),
            times: (*self.times).clone(),
        })
    }
}

/// Whether GitHub has said that the runner's job is over.
fn is_over(ending: &Ending) -> bool {
    ending.kind == EndingKind::Completed && matches!(ending.served, Served::Job(_))
}
