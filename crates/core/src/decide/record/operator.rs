//! What an operator asks for.

use super::{Outcome, Recorded};
use crate::decide::admit::admit;
use crate::reason::{Code, Reason};
use crate::records::change::{Change, Records};
use crate::records::job::{EndedJob, Job, JobEnding, JobRecord, JobStage, JobState};
use crate::records::runner::{Ending, EndingKind, Runner, RunnerState, TaskLeft};
use crate::rules::Rules;
use crate::wire::event::{RetryRequest, StopRequest};

/// Retires a runner. Without force it ends like a surplus one: a job that is
/// on its way to it is executed, and one that executes a job is left alone.
pub(super) fn stop(request: &StopRequest, records: &Records) -> Recorded {
    let Some(runner) = &records.runner else { return Recorded::nothing(Code::NothingNew) };
    match &runner.state {
        RunnerState::Busy { .. } if !request.force => return Recorded::nothing(Code::NothingNew),
        RunnerState::Ending(ending) if !request.force || is_over(ending) => {
            // Whoever asked first may have died before anybody was told.
            return Recorded { replan: true, ..Recorded::nothing(Code::NothingNew) };
        }
        _ => {}
    }
    let kind = if request.force { EndingKind::StoppedByOperator } else { EndingKind::Surplus };
    let note = Reason::from(Code::StoppedByOperator);
    // A clock that differs from the dispatcher's must not make it out that no try is under way.
    let runner = Runner { retry: None, ..runner.clone() };
    Recorded::accepted(vec![Change::Runner(runner.end(kind, Some(note), request.at))], true)
}

/// Whether there is nothing left to be stopped.
fn is_over(ending: &Ending) -> bool {
    ending.kind.overrides_job() || matches!(ending.task, TaskLeft::Stopping { .. } | TaskLeft::Stopped { .. })
}

/// Judges a refused job again. GitHub is asked before anything is launched:
/// the job may be cancelled or taken by now, and what its webhook told of the
/// repository is not kept.
pub(super) fn retry(request: &RetryRequest, records: &Records, rules: Rules<'_>) -> Recorded {
    match &records.job {
        Some(JobRecord::Ended(ended)) => match &ended.ending {
            JobEnding::Refused { reason, after: None } => reopen(request, ended, reason, rules),
            JobEnding::Refused { .. } | JobEnding::Completed { .. } => Recorded::nothing(Code::NothingNew),
        },
        // It waits already; whatever holds it back is looked at again.
        Some(JobRecord::Open(_)) => Recorded { replan: true, ..Recorded::nothing(Code::NothingNew) },
        None => Recorded::nothing(Code::NothingNew),
    }
}

fn reopen(request: &RetryRequest, ended: &EndedJob, before: &Reason, rules: Rules<'_>) -> Recorded {
    // What GitHub told of the job itself and is not kept is what it was then.
    let private = (before.code() == Code::RepositoryPublic).then_some(false);
    let assignment = match admit(&ended.facts, private, rules.settings, rules.catalogue) {
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
        asked_at: None,
        state: JobState::Queued { assignment, wait: Code::ToConfirm.into() },
    };
    Recorded::accepted(vec![Change::JobReopened(job)], true)
}
