//! Facts about lost runners and failed jobs, each written in one transaction with its cause.

use super::{id_of, is_on};
use crate::reason::Code;
use crate::records::change::{Change, Records};
use crate::records::job::{EndedJob, JobEnding};
use crate::records::rerun::{Loss, Outcome, RerunRecord};
use crate::records::runner::{Custody, EndingKind, Runner, RunnerState, Served};
use crate::rules::Rules;
use crate::wire::event::{Event, StopCause, TaskChange};
use crate::wire::exit::AgentExit;
use crate::wire::job::Conclusion;

/// Returns the facts of an event that concern reruns. They are written together
/// with its changes.
#[must_use]
pub fn facts(event: &Event, records: &Records, changes: &[Change], rules: Rules<'_>) -> Vec<Change> {
    let loss = loss(event, records, changes, rules).map(RerunRecord::Loss);
    let outcomes = changes.iter().filter_map(|change| match change {
        Change::JobEnded(ended) => outcome(ended, rules).map(RerunRecord::Outcome),
        _ => None,
    });
    loss.into_iter().chain(outcomes).map(|record| Change::Rerun(Box::new(record))).collect()
}

/// Whether a task that stopped for this reason was lost. If its job had ended before,
/// the job may have failed by itself: then only an interruption counts, since the
/// runner reports it to GitHub before it stops.
fn is_loss(cause: &StopCause, job_has_ended: bool) -> bool {
    match cause {
        // A runner that was stopped from outside, and not by a user, was on a host that went away.
        StopCause::SpotInterrupted | StopCause::Agent(AgentExit::InterruptedBusy) => true,
        StopCause::Missing | StopCause::Agent(AgentExit::Failed) => !job_has_ended,
        StopCause::Unknown(words) => !job_has_ended && !is_of_memory(words),
        StopCause::Agent(_)
        | StopCause::FailedToStart(_)
        | StopCause::NoCapacity(_)
        | StopCause::StoppedByUser => false,
    }
}

/// Whether the kernel may have killed the container because of its memory (137 is
/// SIGKILL). The job's own memory is the likely cause.
fn is_of_memory(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ["outofmemory", "out of memory", "exit code 137", "signal 9"].iter().any(|word| words.contains(word))
}

fn loss(event: &Event, records: &Records, changes: &[Change], rules: Rules<'_>) -> Option<Loss> {
    let Event::Task(task) = event else { return None };
    let TaskChange::Stopped(cause) = &task.change else { return None };
    let runner = records.runner.as_ref().filter(|_| !changes.is_empty())?;
    // The runner may have been given another repository's job, so the job's end decides about the repository.
    let is_off = rules.catalogue.get(&runner.facts.class).is_some_and(|class| class.rerun == Some(false));
    if is_off || !rules.may_rerun() || !may_have_had_a_job(runner) || !is_loss(cause, has_completed(runner)) {
        return None;
    }
    let after = changes.iter().find_map(|change| match change {
        Change::Runner(Runner { state: RunnerState::Ending(ending), .. }) => {
            Some((ending.kind, ending.note.clone()))
        }
        Change::RunnerGone(gone) => Some((gone.kind, gone.note.clone())),
        _ => None,
    });
    let cause = match cause {
        StopCause::SpotInterrupted => Code::SpotInterrupted.into(),
        _ => after.and_then(|(kind, note)| note.or_else(|| Some(kind.code().into())))?,
    };
    Some(Loss { runner: runner.name().clone(), job: runner.names_job(), cause, at: task.at })
}

fn has_completed(runner: &Runner) -> bool {
    matches!(&runner.state, RunnerState::Ending(ending) if ending.kind == EndingKind::Completed)
}

/// Whether a runner that has stopped may have executed a job.
fn may_have_had_a_job(runner: &Runner) -> bool {
    match &runner.state {
        RunnerState::Reserved { .. } => false,
        RunnerState::Starting { custody, .. } | RunnerState::Booted { custody, .. } => {
            matches!(custody, Custody::Issued(_) | Custody::Taken(_))
        }
        RunnerState::Busy { .. } => true,
        // What an operator or a limit stops is not lost.
        RunnerState::Ending(ending) => {
            !ending.kind.overrides_job()
                && (ending.served != Served::Nothing
                    || matches!(ending.custody, Custody::Issued(_) | Custody::Taken(_)))
        }
    }
}

fn outcome(ended: &EndedJob, rules: Rules<'_>) -> Option<Outcome> {
    let class = ended.assignment.as_ref().map(|assignment| assignment.class.clone());
    if !is_on(rules, class.as_ref(), &ended.facts.repository) {
        return None;
    }
    let (failed, runner) = match &ended.ending {
        JobEnding::Completed { conclusion, runner, .. } => {
            (*conclusion == Conclusion::Failure, runner.ours().cloned())
        }
        JobEnding::Refused { .. } => (false, None),
    };
    let facts = &ended.facts;
    ((failed && runner.is_some()) || facts.attempt > 1).then(|| Outcome {
        id: id_of(facts),
        job: facts.id,
        attempt: facts.attempt,
        class,
        runner,
        failed,
        at: ended.timeline.latest(),
    })
}
