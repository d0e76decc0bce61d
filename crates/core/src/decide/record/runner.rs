//! Records what tasks, jobs and GitHub report about runners.

use jiff::Timestamp;

use super::Recorded;
use crate::id::{JobId, RunnerId};
use crate::reason::{Code, Reason};
use crate::records::change::{Change, Records};
use crate::records::instance::Instance;
use crate::records::job::Job;
use crate::records::runner::{
    Custody, EndedRunner, Ending, EndingKind, RegistrationLeft, Runner, RunnerState, Served, Task, TaskLeft,
};
use crate::records::times::{JobTimes, Times};
use crate::wire::event::{
    JobAction, JobAnswer, JobEvent, RegistrationAnswer, RegistrationOutcome, StopCause, TaskChange, TaskEvent,
};
use crate::wire::exit::AgentExit;
use crate::wire::fault::{Fault, Suspect};

const LISTENER_CRASHED: &str = "the listener crashed";

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
        RunnerState::Reserved { .. } | RunnerState::Busy { .. } => None,
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

/// Returns the runner's record after a webhook that its job has ended. The webhook
/// implies that the job had begun.
pub(super) fn completes(runner: &Runner, job: JobId, at: Timestamp) -> Option<Runner> {
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
                ending.note = what_befell_the_job(&ending);
                ending.kind = EndingKind::Completed;
                // A refused job is over for GitHub, and its runner still served nobody.
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
fn what_befell_the_job(ending: &Ending) -> Option<Reason> {
    match ending.kind {
        EndingKind::AgentCrashed | EndingKind::SpotInterrupted => {
            Some(ending.note.clone().unwrap_or_else(|| ending.kind.code().into()))
        }
        EndingKind::Completed => ending.note.clone(),
        // A job that came while the runner was being retired did not end for that reason.
        _ => ending.note.clone().filter(|note| ends_a_job(note.code())),
    }
}

/// Returns the reason that an agent, or AWS, gives for the end of the runner's job.
fn why_the_job_ended(cause: &StopCause) -> Option<Reason> {
    match cause {
        StopCause::Agent(exit) => match exit {
            AgentExit::JobTimeout => Some(Code::JobTimeout.into()),
            AgentExit::JobRefused => Some(Code::JobRefused.into()),
            AgentExit::HookSilent => Some(Code::HookSilent.into()),
            AgentExit::JobNotStarted => Some(Code::JobNotStarted.into()),
            AgentExit::JobAbandoned => Some(Code::JobAbandoned.into()),
            AgentExit::ListenerHung => Some(Code::ListenerHung.into()),
            AgentExit::InterruptedBusy => Some(Code::Interrupted.into()),
            AgentExit::ListenerCrashed => Some(Reason::with(Code::AgentCrashed, LISTENER_CRASHED)),
            AgentExit::Completed
            | AgentExit::Failed
            | AgentExit::NoBootItem
            | AgentExit::BootFailed
            | AgentExit::BootAmbiguous
            | AgentExit::ListenerMissing
            | AgentExit::NotConnected
            | AgentExit::ImageTooOld
            | AgentExit::NoJob
            | AgentExit::RegistrationLost
            | AgentExit::Interrupted
            | AgentExit::TaskUnknown
            | AgentExit::BootItemUnreadable
            | AgentExit::FilesFailed
            | AgentExit::DockerFailed
            | AgentExit::SessionConflict
            | AgentExit::SessionRefused
            | AgentExit::JobWithdrawn
            | AgentExit::DirectoryUnreadable
            | AgentExit::GithubUnavailable
            | AgentExit::NotNeeded
            | AgentExit::AgentAbsent
            | AgentExit::AgentAltered => None,
        },
        StopCause::SpotInterrupted => Some(Code::SpotInterrupted.into()),
        _ => None,
    }
}

/// Whether [`why_the_job_ended`] gives this code and no retirement does.
fn ends_a_job(code: Code) -> bool {
    matches!(
        code,
        Code::JobTimeout
            | Code::JobRefused
            | Code::HookSilent
            | Code::JobNotStarted
            | Code::JobAbandoned
            | Code::ListenerHung
            | Code::Interrupted
            | Code::SpotInterrupted
    )
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

pub(super) fn record_task(event: &TaskEvent, records: &Records) -> Recorded {
    let Some(runner) = &records.runner else {
        return Recorded::nothing(Code::NothingNew);
    };
    if is_stale(runner, event) {
        return Recorded::nothing(Code::NothingNew);
    }
    let next = match &event.change {
        TaskChange::Running => running(runner, event),
        TaskChange::Stopped(cause) => stopped(runner, event, cause),
    };
    // A container that starts does not change the plan, but a runner that waited to know its instance goes on. One that
    // stops frees its slot.
    let replan =
        matches!(event.change, TaskChange::Stopped(_)) || next.as_ref().is_some_and(Runner::is_to_claim);
    Recorded::accepted(next.map(|next| settled(runner, next)).into_iter().collect(), replan)
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

fn is_stale(runner: &Runner, event: &TaskEvent) -> bool {
    let heard = match &runner.state {
        RunnerState::Reserved { .. } => None,
        RunnerState::Starting { task, .. }
        | RunnerState::Booted { task, .. }
        | RunnerState::Busy { task, .. } => Some(task),
        RunnerState::Ending(ending) => match &ending.task {
            TaskLeft::Unanswered { .. } => None,
            TaskLeft::Running(task) | TaskLeft::Stopping { task, .. } => Some(task),
            TaskLeft::Stopped { .. } => return true,
        },
    };
    heard.is_some_and(|task| task.id != event.task || event.version <= task.heard)
}

fn running(runner: &Runner, event: &TaskEvent) -> Option<Runner> {
    let task = Task { id: event.task.clone(), heard: event.version };
    let state = match &runner.state {
        RunnerState::Reserved { .. } => RunnerState::Booted { task, custody: Custody::Unissued },
        RunnerState::Starting { custody, .. } => RunnerState::Booted { task, custody: *custody },
        RunnerState::Booted { custody, .. } if tells_instance(runner, event) => {
            RunnerState::Booted { task, custody: *custody }
        }
        RunnerState::Booted { .. } | RunnerState::Busy { .. } => return None,
        RunnerState::Ending(ending) => match ending.task {
            TaskLeft::Unanswered { .. } => {
                RunnerState::Ending(Ending { task: TaskLeft::Running(task), ..ending.clone() })
            }
            _ => return None,
        },
    };
    // A pending retry stays: the container's start does not change what it waits for.
    let retry = runner.retry.clone();
    let (times, instance) = (times(runner, event), instance(runner, event));
    Some(Runner { retry, times, instance, ..runner.with_state(state, event.at) })
}

/// Whether the event is the first that tells on which instance the runner's task is.
fn tells_instance(runner: &Runner, event: &TaskEvent) -> bool {
    runner.placement.managed.is_some() && runner.instance.is_none() && event.instance.is_some()
}

/// Returns the instance that the runner's record or the event names. A task never changes it.
fn instance(runner: &Runner, event: &TaskEvent) -> Option<Instance> {
    let told = || event.instance.clone().map(Instance::new).filter(|_| tells_instance(runner, event));
    runner.instance.clone().or_else(told)
}

fn stopped(runner: &Runner, event: &TaskEvent, cause: &StopCause) -> Option<Runner> {
    let (kind, note) = kind_of(cause, runner);
    let ended = runner.end(kind, note, event.at).for_fault(fault_of(cause));
    let RunnerState::Ending(mut ending) = ended.state.clone() else { return None };
    ending.task = TaskLeft::Stopped { task: Some(event.task.clone()), at: event.at };
    if took_its_item(cause) {
        ending.custody = taken(ending.custody);
    }
    let exit = match cause {
        StopCause::Agent(exit) => Some(*exit),
        _ => None,
    };
    if exit == Some(AgentExit::Completed) {
        ending.registration = match ending.registration {
            RegistrationLeft::Unproved => RegistrationLeft::AgentCompleted,
            RegistrationLeft::JobCompleted => RegistrationLeft::Deleted,
            proved => proved,
        };
        if ending.served == Served::Nothing {
            ending.served = Served::Unnamed;
        }
    }
    if let RunnerState::Ending(before) = &runner.state {
        // The earlier reason to end stays, unless the runner executed a job after all.
        let worked = exit == Some(AgentExit::Completed) && !before.kind.overrides_job();
        if !worked {
            ending.kind = before.kind;
            ending.note = before.note.clone();
            ending.fault =
                before.fault.or_else(|| fault_of(cause).filter(|fault| *fault == Fault::JobRefused));
            // The webhook came first, or the job came while the runner was ending.
            if !before.kind.overrides_job() && exit != Some(AgentExit::Completed) {
                ending.note = ending.note.or_else(|| why_the_job_ended(cause));
            }
        }
    }
    let next = runner.with_state(RunnerState::Ending(ending), event.at);
    let (times, instance) = (times(runner, event), instance(runner, event));
    Some(Runner { surplus_since: None, times, instance, ..next })
}

/// Returns the runner's times with those of its task. A warm task was started for no job.
fn times(runner: &Runner, event: &TaskEvent) -> Box<Times> {
    let task =
        if runner.facts.warm.is_some() { runner.times.task } else { runner.times.task.or(event.times) };
    Box::new(Times { task, ..(*runner.times).clone() })
}

/// Whether an agent that ended with this cause had taken its boot item.
fn took_its_item(cause: &StopCause) -> bool {
    match cause {
        StopCause::Agent(exit) => match exit {
            AgentExit::Completed
            | AgentExit::ListenerMissing
            | AgentExit::NotConnected
            | AgentExit::ImageTooOld
            | AgentExit::NoJob
            | AgentExit::RegistrationLost
            | AgentExit::ListenerCrashed
            | AgentExit::JobTimeout
            | AgentExit::JobRefused
            | AgentExit::InterruptedBusy
            | AgentExit::BootItemUnreadable
            | AgentExit::FilesFailed
            | AgentExit::DockerFailed
            | AgentExit::SessionConflict
            | AgentExit::SessionRefused
            | AgentExit::HookSilent
            | AgentExit::JobNotStarted
            | AgentExit::JobAbandoned
            | AgentExit::ListenerHung
            | AgentExit::JobWithdrawn
            | AgentExit::DirectoryUnreadable
            | AgentExit::GithubUnavailable => true,
            AgentExit::Failed
            | AgentExit::TaskUnknown
            | AgentExit::NoBootItem
            | AgentExit::BootFailed
            | AgentExit::BootAmbiguous
            | AgentExit::Interrupted
            | AgentExit::NotNeeded
            | AgentExit::AgentAbsent
            | AgentExit::AgentAltered => false,
        },
        _ => false,
    }
}

/// Returns what went wrong, if the runner had no job yet.
pub(super) fn fault_of(cause: &StopCause) -> Option<Fault> {
    match cause {
        StopCause::Agent(exit) => Fault::of_exit(*exit),
        // Nothing of a job was involved, whatever the words are.
        StopCause::FailedToStart(words) => match Fault::of_ecs_words(words) {
            fault if matches!(fault.suspect(), Suspect::Start | Suspect::Capacity) => Some(fault),
            _ => Some(Fault::NeverStarted),
        },
        StopCause::Unknown(words) => Some(Fault::of_ecs_words(words)),
        StopCause::NoCapacity(_) => Some(Fault::NoCapacity),
        StopCause::Missing => Some(Fault::TaskMissing),
        StopCause::SpotInterrupted | StopCause::StoppedByUser => None,
    }
}

/// Returns what is known of the end of a task that had no configuration.
pub(super) fn words_of(cause: &StopCause) -> Option<String> {
    match cause {
        StopCause::Agent(exit) => Some(format!("the agent ended with exit code {}", exit.code())),
        StopCause::Unknown(words) | StopCause::FailedToStart(words) | StopCause::NoCapacity(words) => {
            Some(words.to_string())
        }
        StopCause::Missing => Some("its task is no longer there".to_owned()),
        StopCause::SpotInterrupted | StopCause::StoppedByUser => None,
    }
}

fn kind_of(cause: &StopCause, runner: &Runner) -> (EndingKind, Option<Reason>) {
    let busy = matches!(runner.state, RunnerState::Busy { .. });
    let out_of_memory = |what: &str| {
        let (class, memory) = (&runner.facts.class, runner.facts.size.memory());
        Reason::with(Code::OutOfMemory, format!("class `{class}` has {memory} MiB: {what}"))
    };
    let crashed = |what: &str| {
        let had_job = busy || matches!(runner.state, RunnerState::Booted { custody: Custody::Issued(_), .. });
        if had_job && Fault::of_ecs_words(what) == Fault::OutOfMemory {
            return (EndingKind::AgentCrashed, Some(out_of_memory(what)));
        }
        if had_job {
            (EndingKind::AgentCrashed, Some(Reason::with(Code::AgentCrashed, what)))
        } else {
            (EndingKind::BootFailed, Some(Reason::with(Code::BootFailed, what)))
        }
    };
    let boot_failed = |what: &str| (EndingKind::BootFailed, Some(Reason::with(Code::BootFailed, what)));
    let no_session = |what: &str| (EndingKind::BootFailed, Some(Reason::with(Code::NoSession, what)));
    match cause {
        StopCause::Agent(exit) => match exit {
            AgentExit::Completed => (EndingKind::Completed, None),
            // Only GitHub knows how these jobs end. The class is not at fault.
            AgentExit::JobRefused
            | AgentExit::HookSilent
            | AgentExit::JobNotStarted
            | AgentExit::JobAbandoned
            | AgentExit::ListenerHung => (EndingKind::Completed, why_the_job_ended(cause)),
            AgentExit::NoJob => (EndingKind::IdleTimeout, None),
            AgentExit::JobWithdrawn => (EndingKind::IdleTimeout, Some(Code::JobWithdrawn.into())),
            AgentExit::RegistrationLost => (EndingKind::RegistrationLost, None),
            AgentExit::JobTimeout => (EndingKind::JobTimeout, None),
            AgentExit::NoBootItem => boot_failed("its boot item never came"),
            AgentExit::NotNeeded => boot_failed("its boot item never came while it was warm"),
            AgentExit::BootFailed => boot_failed("the table of its boot item cannot be reached, or refuses"),
            AgentExit::BootItemUnreadable => {
                boot_failed("the image's agent does not understand its boot item")
            }
            AgentExit::TaskUnknown => boot_failed("ECS did not tell the agent its task or its credentials"),
            AgentExit::FilesFailed => {
                boot_failed("the agent's files could not be made, or the runner's `.env` not rewritten")
            }
            AgentExit::DockerFailed => boot_failed("its Docker engine did not come up"),
            AgentExit::BootAmbiguous => boot_failed("taking its boot item got no answer"),
            AgentExit::ListenerMissing => boot_failed("the image has no listener that can be started"),
            AgentExit::NotConnected => {
                boot_failed("the listener did not listen for jobs within the connect limit")
            }
            AgentExit::SessionConflict => no_session("another session of this runner is open"),
            AgentExit::SessionRefused => boot_failed("GitHub refused the runner's session"),
            AgentExit::GithubUnavailable => no_session("GitHub answered with errors until the connect limit"),
            AgentExit::DirectoryUnreadable => {
                boot_failed("the listener cannot list the runner's directory, or one above it")
            }
            AgentExit::ImageTooOld => boot_failed("GitHub refuses the image's runner version as too old"),
            AgentExit::AgentAbsent => boot_failed("GitHub's own image could not download the agent"),
            AgentExit::AgentAltered => {
                boot_failed("GitHub's own image downloaded an agent with another checksum")
            }
            AgentExit::ListenerCrashed => crashed(LISTENER_CRASHED),
            AgentExit::Failed => crashed("the agent failed"),
            AgentExit::Interrupted => crashed("it was interrupted"),
            // A job ran, even if no record says so.
            AgentExit::InterruptedBusy => (EndingKind::AgentCrashed, why_the_job_ended(cause)),
        },
        StopCause::Unknown(what) => crashed(what),
        StopCause::FailedToStart(what) => boot_failed(what),
        StopCause::NoCapacity(what) => (EndingKind::BootFailed, Some(Reason::with(Code::NoCapacity, what))),
        StopCause::SpotInterrupted => (EndingKind::SpotInterrupted, None),
        StopCause::StoppedByUser => (EndingKind::StoppedByOperator, None),
        StopCause::Missing => crashed("its task is no longer there"),
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
