//! Records what tasks, jobs and GitHub report about runners.

mod cause;
mod task;

use jiff::Timestamp;

use super::Recorded;
use crate::id::{JobId, RunnerId};
use crate::reason::{Code, Reason};
use crate::records::change::{Change, Records};
use crate::records::job::Job;
use crate::records::runner::{
    Custody, EndedRunner, Ending, EndingKind, RegistrationLeft, Runner, RunnerStage, RunnerState, Served,
    Task, TaskLeft,
};
use crate::records::times::{JobTimes, Times};
use crate::wire::event::{JobAction, JobAnswer, JobEvent, RegistrationAnswer, RegistrationOutcome};
use crate::wire::fault::Fault;
use cause::ends_a_job;
pub(super) use cause::{fault_of, words_of};
pub(super) use task::record_task;

/// Whether `job` was taken by a runner of its pool that counted as supply.
pub(super) fn expects(runner: Option<&Runner>, job: &Job) -> bool {
    runner.is_some_and(|runner| {
        runner.is_supply()
            && !runner.probe
            && !runner.facts.fails
            && job.assignment().is_some_and(|assignment| assignment.pool == runner.facts.pool)
    })
}

/// Returns the runner's record after a webhook that it has begun this job. `waited` is when the job waited.
pub(super) fn begins(runner: &Runner, job: JobId, waited: JobTimes) -> Option<Runner> {
    let taken = takes(runner, job, waited.started_at).or_else(|| has_served_untold(runner, job))?;
    let times = Times { job: Some(waited), ..(*taken.times).clone() };
    Some(Runner { times: Box::new(times), ..taken })
}

/// Returns the next version of a runner that has served this job, if nothing told yet when the job waited: the webhook of
/// its end came first.
fn has_served_untold(runner: &Runner, job: JobId) -> Option<Runner> {
    let RunnerState::Ending(ending) = &runner.state else { return None };
    let is_untold = ending.served == Served::Job(job) && runner.times.job.is_none();
    is_untold.then(|| Runner { version: runner.version.next(), ..runner.clone() })
}

/// Adds a late `in_progress` to a runner in history: how long its job waited, and which job it was if no webhook had
/// named it. Returns `None` if nothing changes.
pub(super) fn had_begun(gone: &EndedRunner, job: JobId, waited: JobTimes) -> Option<EndedRunner> {
    let is_its = matches!(gone.served, Served::Unnamed) || gone.served == Served::Job(job);
    if !is_its || gone.times.job.is_some() {
        return None;
    }
    let times = Times { job: Some(waited), ..gone.times.clone() };
    Some(EndedRunner { version: gone.version.next(), served: Served::Job(job), times, ..gone.clone() })
}

fn takes(runner: &Runner, job: JobId, at: Timestamp) -> Option<Runner> {
    let busy = |task: &Task, registration| {
        let state = RunnerState::Busy { task: task.clone(), registration, job: Some(job) };
        Some(runner.with_state(state, at))
    };
    match &runner.state {
        RunnerState::Starting { task, custody } | RunnerState::Booted { task, custody } => {
            // Only a runner that was handed its configuration can be given a job.
            busy(task, custody.registration()?)
        }
        RunnerState::Busy { task, registration, job: None } => busy(task, *registration),
        RunnerState::Busy { task, registration, job: Some(named) }
            if *named != job && is_later(runner, at) =>
        {
            let mut taken = busy(task, *registration)?;
            // Its limits count from the job that it executes.
            taken.timeline.push(RunnerStage::Busy, at);
            Some(taken)
        }
        RunnerState::Reserved { .. } | RunnerState::Busy { .. } => None,
        RunnerState::Ending(_) if names_another(runner, job) && !is_later(runner, at) => None,
        RunnerState::Ending(ending) => match (&ending.task, ending.custody) {
            // The job came while the runner was being retired: the runner stays.
            (TaskLeft::Running(task), Custody::Issued(id) | Custody::Taken(id))
                if !ending.kind.overrides_job() && ending.kind != EndingKind::Completed =>
            {
                busy(task, id)
            }
            _ if ending.served == Served::Job(job) => None,
            _ => ended_with(runner, Ending { served: Served::Job(job), ..ending.clone() }, at),
        },
    }
}

fn names_another(runner: &Runner, job: JobId) -> bool {
    runner.names_job().is_some_and(|named| named != job)
}

/// Whether a job that began at this time began after the one that the runner's record names. A runner executes one job,
/// so it took the named one without starting it, and GitHub has queued that one again.
fn is_later(runner: &Runner, began_at: Timestamp) -> bool {
    runner.times.job.as_ref().is_none_or(|named| named.started_at < began_at)
}

/// Returns the runner's record after a webhook that its job has ended. The webhook
/// implies that the job had begun. `waited` is when the job waited, if GitHub said so.
pub(super) fn completes(
    runner: &Runner,
    job: JobId,
    waited: Option<JobTimes>,
    at: Timestamp,
) -> Option<Runner> {
    let mut begun = None;
    if let Some(waited) = waited.as_ref().filter(|_| names_another(runner, job)) {
        if !is_later(runner, waited.started_at) {
            return None;
        }
        if matches!(runner.state, RunnerState::Busy { .. }) {
            begun = begins(runner, job, waited.clone());
        }
    }
    // One event makes one version.
    let begun = begun.map(|begun| Runner { version: runner.version, ..begun });
    let runner = begun.as_ref().unwrap_or(runner);
    let ended = completed(runner, job, at);
    let Some(waited) = waited.filter(|_| runner.times.job.is_none()) else { return ended };
    let is_its = |runner: &Runner| match &runner.state {
        RunnerState::Ending(ending) => ending.served == Served::Job(job),
        _ => false,
    };
    // A repeated end may be the first that says when the job began.
    let told = || Runner { version: runner.version.next(), ..runner.clone() };
    let ended = ended.or_else(|| is_its(runner).then(told))?;
    let times = Times { job: Some(waited), ..(*ended.times).clone() };
    Some(Runner { times: Box::new(times), ..ended })
}

fn completed(runner: &Runner, job: JobId, at: Timestamp) -> Option<Runner> {
    let ending = match &runner.state {
        RunnerState::Starting { task, custody } | RunnerState::Booted { task, custody } => {
            completing(task, custody.registration()?, job)
        }
        RunnerState::Busy { task, registration, job: named } if named.is_none_or(|named| named == job) => {
            completing(task, *registration, job)
        }
        RunnerState::Reserved { .. } | RunnerState::Busy { .. } => return None,
        RunnerState::Ending(ending) => {
            let mut ending = ending.clone();
            ending.served = Served::Job(job);
            ending.custody = taken(ending.custody);
            ending.registration = match ending.registration {
                RegistrationLeft::Unproved => RegistrationLeft::JobCompleted,
                RegistrationLeft::AgentCompleted => RegistrationLeft::Deleted,
                proved => proved,
            };
            if !ending.kind.overrides_job() {
                ending.note = why_this_job_ended(&ending);
                ending.kind = EndingKind::Completed;
                // A refused job is over for GitHub, and its runner still served no job.
                ending.fault = ending.fault.filter(|fault| *fault == Fault::JobRefused);
            }
            ending
        }
    };
    ended_with(runner, ending, at)
}

/// Returns why this job ended, if the runner that executed it has ended and is the cause.
pub(super) fn why_its_job_ended(runner: &Runner, job: JobId) -> Option<Reason> {
    match &runner.state {
        RunnerState::Ending(ending)
            if matches!(ending.task, TaskLeft::Stopped { .. })
                && matches!(ending.served, Served::Unnamed | Served::Nothing)
                || ending.served == Served::Job(job) =>
        {
            why_a_job_ended(ending.kind, ending.note.as_ref())
        }
        _ => None,
    }
}

/// Returns why the job of a runner with this ending did not succeed, if the runner is the cause.
pub(super) fn why_a_job_ended(kind: EndingKind, note: Option<&Reason>) -> Option<Reason> {
    match kind {
        EndingKind::JobTimeout
        | EndingKind::StoppedByOperator
        | EndingKind::AgentCrashed
        | EndingKind::SpotInterrupted => Some(note.cloned().unwrap_or_else(|| kind.code().into())),
        _ => {
            let crashed = |code| matches!(code, Code::AgentCrashed | Code::OutOfMemory);
            note.filter(|note| ends_a_job(note.code()) || crashed(note.code())).cloned()
        }
    }
}

/// Returns why the job of an ended runner ended, if the runner is the cause.
/// GitHub's webhook says how the job ended, never why.
fn why_this_job_ended(ending: &Ending) -> Option<Reason> {
    match ending.kind {
        EndingKind::AgentCrashed | EndingKind::SpotInterrupted => {
            Some(ending.note.clone().unwrap_or_else(|| ending.kind.code().into()))
        }
        EndingKind::Completed => ending.note.clone(),
        // A job that came while the runner was being retired did not end for that reason.
        _ => ending.note.clone().filter(|note| ends_a_job(note.code())),
    }
}

fn completing(task: &Task, registration: RunnerId, job: JobId) -> Ending {
    Ending {
        kind: EndingKind::Completed,
        note: None,
        fault: None,
        served: Served::Job(job),
        task: TaskLeft::Running(task.clone()),
        custody: Custody::Taken(registration),
        registration: RegistrationLeft::JobCompleted,
    }
}

/// Returns the runner with this ending; `None` if it has it already.
fn ended_with(runner: &Runner, ending: Ending, at: Timestamp) -> Option<Runner> {
    let state = RunnerState::Ending(ending);
    (runner.state != state).then(|| runner.with_state(state, at))
}

fn taken(custody: Custody) -> Custody {
    custody.registration().map_or(custody, Custody::Taken)
}

/// Returns the write of a runner's next record. If the runner served its job and
/// nothing is left to clean up, the same write moves it to history. A probe, or a runner that fails jobs, is left for the
/// next plan, which learns from it.
pub(super) fn settled(before: &Runner, next: Runner) -> Change {
    if before.probe || before.facts.fails {
        return Change::Runner(next);
    }
    let served = matches!(&next.state, RunnerState::Ending(Ending { kind: EndingKind::Completed, .. }));
    let at_once = Runner { version: before.version, ..next.clone() };
    match at_once.finish(next.timeline.latest()).filter(|_| served) {
        Some(gone) => Change::RunnerGone(Box::new(gone)),
        None => Change::Runner(next),
    }
}

pub(super) fn record_registration(answer: &RegistrationAnswer, records: &Records) -> Recorded {
    let Some(runner) = records.runner.as_ref().filter(|runner| runner.version == answer.asked) else {
        return Recorded::nothing(Code::NothingNew);
    };
    let next = match answer.outcome {
        RegistrationOutcome::Idle | RegistrationOutcome::Unanswered => None,
        RegistrationOutcome::Busy(registration) => runner.registration_busy(registration, answer.at),
        RegistrationOutcome::Absent => match &runner.state {
            RunnerState::Booted { custody: Custody::Issued(_) | Custody::Taken(_), .. } => {
                let ended = runner.end(EndingKind::RegistrationLost, None, answer.at);
                Some(ended.for_fault(Some(Fault::RegistrationLost)))
            }
            _ => None,
        },
    };
    // An answer without news is recorded too, so that GitHub is not asked again at once.
    let (next, replan) = match next {
        Some(next) => (next, true),
        None => (Runner { version: runner.version.next(), ..runner.clone() }, false),
    };
    let asked = Runner { asked_at: Some(answer.at), ..next };
    Recorded::accepted(vec![Change::Runner(asked)], replan)
}

/// Releases the demand that a completed runner holds back: the job that GitHub was
/// asked about is still queued, so it is not the one that the runner completed.
pub(super) fn release_hold(answer: &JobAnswer, event: &JobEvent, records: &Records) -> Option<Change> {
    let runner =
        records.runner.as_ref().filter(|runner| Some(runner.name()) == answer.on_behalf_of.as_ref())?;
    match (&event.action, &runner.state) {
        (JobAction::Queued, RunnerState::Ending(ending)) if ending.served == Served::Unnamed => {
            let ending = Ending { served: Served::Nothing, ..ending.clone() };
            ended_with(runner, ending, event.received_at).map(Change::Runner)
        }
        _ => None,
    }
}
