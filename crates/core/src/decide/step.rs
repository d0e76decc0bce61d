//! What to do next with a runner, told by its record alone: whoever resumes a
//! launch or a retirement asks the same question and gets the same answer.

use jiff::{SignedDuration, Timestamp};

use crate::records::runner::{
    Custody, EndedRunner, Ending, RegistrationLeft, Runner, RunnerStage, RunnerState, TaskLeft,
};

/// How long the missing half of a completion's proof is waited for before
/// GitHub is asked.
const PROOF_LIMIT: SignedDuration = SignedDuration::from_mins(2);

/// How long a task may take to stop before it is asked again. ECS kills a
/// container after its stop timeout, 120 s at most.
const STOP_LIMIT: SignedDuration = SignedDuration::from_mins(3);

/// After how long GitHub has removed an ephemeral runner that vanished: a day.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(25);

/// One effect on the outside world, idempotent by what the record holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// Start its task with the recorded try's client token.
    RunTask,
    /// Make its just-in-time configuration and hand it over.
    HandOver,
    /// Take its boot item back.
    Revoke,
    /// Delete its registration, found by id or by name.
    DeleteRegistration,
    StopTask,
    /// Move it to history: everything is clean.
    Finish,
}

/// The next step, or the time from which there is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    Now(Step),
    /// Nothing before then, unless an event comes first.
    At(Timestamp),
    /// Nothing until an event comes.
    Event,
}

impl Runner {
    /// What to do next.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Next {
        let next = self.next_step(now);
        match &self.retry {
            Some(retry) if now < retry.not_before && matches!(next, Next::Now(_)) => {
                Next::At(retry.not_before)
            }
            _ => next,
        }
    }

    fn next_step(&self, now: Timestamp) -> Next {
        match &self.state {
            RunnerState::Reserved { .. } => Next::Now(Step::RunTask),
            RunnerState::Starting { custody: Custody::Unissued, .. }
            | RunnerState::Booted { custody: Custody::Unissued, .. } => Next::Now(Step::HandOver),
            RunnerState::Starting { .. } | RunnerState::Booted { .. } | RunnerState::Busy { .. } => {
                Next::Event
            }
            RunnerState::Ending(ending) => self.next_of_ending(ending, now),
        }
    }

    fn next_of_ending(&self, ending: &Ending, now: Timestamp) -> Next {
        // The boot item first: its fate says what else may be done.
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
        let stopped = matches!(ending.task, TaskLeft::Stopped { .. });
        let stop_again = match &ending.task {
            TaskLeft::Stopping { since, .. } => Some(*since + STOP_LIMIT),
            _ => None,
        };
        if stop_again.is_some_and(|at| now >= at) {
            return Next::Now(Step::StopTask);
        }
        match ending.registration {
            // GitHub has forgotten it by itself, and will not let us ask.
            RegistrationLeft::Unproved
                if self.stopped_at().is_some_and(|at| now.duration_since(at) > FORGOTTEN) =>
            {
                Next::Now(Step::Finish)
            }
            RegistrationLeft::Unproved => Next::Now(Step::DeleteRegistration),
            // The agent has ended with another word than the one that would prove it.
            RegistrationLeft::JobCompleted if stopped => Next::Now(Step::DeleteRegistration),
            RegistrationLeft::AgentCompleted | RegistrationLeft::JobCompleted => {
                let since = self.timeline.last_at(RunnerStage::Ending).unwrap_or(now);
                let until = since + PROOF_LIMIT;
                if now >= until { Next::Now(Step::DeleteRegistration) } else { Next::At(until) }
            }
            RegistrationLeft::Deleted if stopped => Next::Now(Step::Finish),
            RegistrationLeft::Deleted => stop_again.map_or(Next::Event, Next::At),
        }
    }

    /// Whether nothing outside is left to clean, so that only its record has to go.
    #[must_use]
    pub fn is_to_finish(&self) -> bool {
        matches!(&self.state, RunnerState::Ending(ending)
            if ending.registration == RegistrationLeft::Deleted
                && matches!(ending.task, TaskLeft::Stopped { .. })
                && !matches!(ending.custody, Custody::Issued(_)))
    }

    /// The history record of a runner that [`Step::Finish`] is due for.
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
        })
    }
}
