//! Records what ECS reports about the tasks of runners.

use super::super::Recorded;
use super::cause::{fault_of, kind_of, took_its_item, why_the_job_ended};
use super::{settled, taken};
use crate::reason::Code;
use crate::records::change::Records;
use crate::records::instance::Instance;
use crate::records::runner::{
    Custody, Ending, RegistrationLeft, Runner, RunnerState, Served, Task, TaskLeft,
};
use crate::records::times::Times;
use crate::wire::event::{StopCause, TaskChange, TaskEvent};
use crate::wire::exit::AgentExit;
use crate::wire::fault::Fault;

/// Records that a runner's task runs or has stopped.
pub(in crate::decide::record) fn record_task(event: &TaskEvent, records: &Records) -> Recorded {
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
