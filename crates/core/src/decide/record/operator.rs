//! Records the requests of operators.

use super::{Outcome, Recorded};
use crate::decide::admit::admit;
use crate::decide::readmit::requeued;
use crate::reason::{Code, Reason};
use crate::records::change::{Change, Records};
use crate::records::job::{Assignment, EndedJob, Job, JobEnding, JobRecord, JobStage, JobState};
use crate::records::runner::{Ending, EndingKind, Runner, RunnerState, TaskLeft};
use crate::rules::Rules;
use crate::wire::event::{RetryRequest, StopRequest};
use crate::wire::job::JobFacts;

/// Retires a runner. Without force it ends like a surplus runner: a job that GitHub
/// is assigning to it is executed, and a runner that executes a job is left alone.
pub(super) fn stop(request: &StopRequest, records: &Records) -> Recorded {
    let Some(runner) = &records.runner else { return Recorded::nothing(Code::NothingNew) };
    match &runner.state {
        RunnerState::Busy { .. } if !request.force => return Recorded::nothing(Code::NothingNew),
        RunnerState::Ending(ending) if !request.force || is_over(ending) => {
            // The process that recorded the first request may have died before the next plan.
            return Recorded { replan: true, ..Recorded::nothing(Code::NothingNew) };
        }
        _ => {}
    }
    let kind = if request.force { EndingKind::StoppedByOperator } else { EndingKind::Surplus };
    let note = Reason::from(Code::StoppedByOperator);
    // The clock of this process may differ from the dispatcher's. With the retry left in
    // place, an attempt that is being made could be taken for one that has not begun.
    let runner = Runner { retry: None, ..runner.clone() };
    Recorded::accepted(vec![Change::Runner(runner.end(kind, Some(note), request.at))], true)
}

/// Whether the task is already being stopped, or has stopped.
fn is_over(ending: &Ending) -> bool {
    ending.kind.overrides_job() || matches!(ending.task, TaskLeft::Stopping { .. } | TaskLeft::Stopped { .. })
}

/// Judges a refused job again. GitHub is asked before anything is launched: the
/// job may have been cancelled or taken since, and the record does not keep what
/// its webhook said about the repository.
pub(super) fn retry(request: &RetryRequest, records: &Records, rules: Rules<'_>) -> Recorded {
    match &records.job {
        Some(JobRecord::Ended(ended)) => match &ended.ending {
            JobEnding::Refused { reason, after: None } => reopen(request, ended, reason, rules),
            JobEnding::Refused { .. } | JobEnding::Completed { .. } => Recorded::nothing(Code::NothingNew),
        },
        Some(JobRecord::Open(job)) => match &job.state {
            JobState::Refused { reason } => requeue(request, job, reason, rules),
            // It is already open; the next plan looks at it again.
            _ => Recorded { replan: true, ..Recorded::nothing(Code::NothingNew) },
        },
        None => Recorded::nothing(Code::NothingNew),
    }
}

/// Queues a refused job that is still open.
fn requeue(request: &RetryRequest, job: &Job, before: &Reason, rules: Rules<'_>) -> Recorded {
    match judge_again(&job.facts, before, rules) {
        Ok(assignment) => Recorded::accepted(vec![Change::Job(requeued(job, assignment, request.at))], true),
        Err(reason) => Recorded { changes: Vec::new(), replan: false, outcome: Outcome::Refused(reason) },
    }
}

fn judge_again(facts: &JobFacts, before: &Reason, rules: Rules<'_>) -> Result<Assignment, Reason> {
    // The record does not keep whether the repository is private, except in this reason.
    let private = (before.code() == Code::RepositoryPublic).then_some(false);
    admit(facts, private, rules.settings, rules.catalogue)
}

fn reopen(request: &RetryRequest, ended: &EndedJob, before: &Reason, rules: Rules<'_>) -> Recorded {
    let assignment = match judge_again(&ended.facts, before, rules) {
        Ok(assignment) => assignment,
        Err(reason) => {
            return Recorded { changes: Vec::new(), replan: false, outcome: Outcome::Refused(reason) };
        }
    };
    let mut timeline = ended.timeline.clone();
    timeline.push(JobStage::Queued, request.at);
    let job = Job {
        facts: ended.facts.clone(),
        version: ended.version.next(),
        created_at: ended.created_at,
        timeline,
        recorded_late_at: None,
        asked_at: None,
        failing: None,
        held: None,
        state: JobState::Queued { assignment, wait: Code::ToConfirm.into() },
    };
    Recorded::accepted(vec![Change::JobReopened(job)], true)
}
