//! What became of an operator's request, beyond its outcome: nothing may have changed because it was done already.

use ecsrunner_core::records::runner::RunnerStage;
use serde::Serialize;

use crate::deployment::JobHold;
use crate::job::JobView;
use crate::reason::{OutcomeKind, OutcomeView};
use crate::runner::RunnerView;

/// The result of stopping a runner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopped {
    /// It is being retired.
    Done,
    /// It was being retired already.
    Already,
    Gone,
    /// It executes a job and was not stopped.
    Busy(Option<u64>),
}

impl Stopped {
    /// Returns the result if nothing was changed: the state of the runner says why.
    #[must_use]
    pub fn without_change(runner: Option<&RunnerView>) -> Self {
        match runner {
            Some(runner) if runner.state == RunnerStage::Busy => Self::Busy(runner.job),
            Some(runner) if !runner.is_gone() => Self::Already,
            _ => Self::Gone,
        }
    }

    /// Returns the sentence for people.
    #[must_use]
    pub fn message(self, force: bool) -> String {
        match self {
            Self::Done if force => {
                "The runner is stopped; if it was running a job, the job fails.".to_owned()
            }
            Self::Done => {
                "The runner takes no new job, and ends after a job that it may already have.".to_owned()
            }
            Self::Already => "The runner is already ending.".to_owned(),
            Self::Gone => "The runner is already gone.".to_owned(),
            Self::Busy(Some(job)) => format!("The runner runs job {job} and was not stopped."),
            Self::Busy(None) => "The runner runs a job and was not stopped.".to_owned(),
        }
    }
}

/// The result of retrying a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Retried {
    /// The job was accepted, and gets a runner if GitHub confirms that it is still queued.
    JudgedAgain,
    /// The job already waits, and a new plan is requested.
    LookedAt,
    /// GitHub runs the job again, with a new id.
    RunAgain,
}

impl Retried {
    /// Returns the sentence for people.
    ///
    /// `hold` is the hold for which a job waits that was looked at: its next try is not made earlier.
    #[must_use]
    pub fn message(self, hold: Option<&JobHold>) -> String {
        let text = match (self, hold) {
            (Self::JudgedAgain, _) => "The job gets a runner if GitHub confirms that it is still queued.",
            (Self::LookedAt, None) => "The job already waits for a runner, and is checked again now.",
            (Self::LookedAt, Some(hold)) => {
                return format!(
                    "The job already waits for a runner. Launches for it are held, and the next try is not before {:.0}.",
                    hold.not_before
                );
            }
            (Self::RunAgain, _) => "GitHub runs the job again, as a job with a new id.",
        };
        text.to_owned()
    }
}

impl OutcomeView {
    /// Adds the sentence on what became of stopping a runner. `runner` is as it was afterwards.
    #[must_use]
    pub fn of_stop(self, runner: Option<&RunnerView>, force: bool) -> Self {
        let stopped = if self.is_accepted() { Stopped::Done } else { Stopped::without_change(runner) };
        Self { message: Some(stopped.message(force)), ..self }
    }

    /// Adds the sentence on what became of evaluating a job again. `job` is as it was afterwards.
    #[must_use]
    pub fn of_retry(self, job: Option<&JobView>) -> Self {
        let message = match (self.outcome, job) {
            (OutcomeKind::Accepted, _) => Retried::JudgedAgain.message(None),
            (OutcomeKind::Refused, _) => format!("The job was refused again: {}.", self.reason.text),
            (OutcomeKind::Ignored, Some(job)) if !job.is_past() => {
                Retried::LookedAt.message(job.hold.as_ref())
            }
            (OutcomeKind::Ignored, Some(_)) => {
                "The job has ended, and only GitHub can run it again: re-run it there.".to_owned()
            }
            (OutcomeKind::Ignored, None) => "There is no record of the job.".to_owned(),
        };
        Self { message: Some(message), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_job_that_is_retried_is_told_the_time_of_the_next_try() {
        let not_before = "2026-11-30T12:05:00Z".parse().unwrap();
        let hold = JobHold { fault: "no_job".to_owned(), not_before };
        let held = Retried::LookedAt.message(Some(&hold));
        assert!(held.ends_with("the next try is not before 2026-11-30T12:05:00Z."), "{held}");
        assert!(Retried::LookedAt.message(None).ends_with("is checked again now."));
    }
}
