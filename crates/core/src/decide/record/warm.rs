//! Records what tasks report about warm tasks. The events of a task that a runner has taken over are that runner's.

use super::Recorded;
use super::runner::{fault_of, words_of};
use crate::reason::Code;
use crate::records::change::{Change, Records};
use crate::records::runner::{Task, TaskLeft};
use crate::records::warm::{WarmEnd, WarmEnding, WarmState, WarmTask};
use crate::wire::event::{StopCause, TaskChange, TaskEvent};
use crate::wire::exit::AgentExit;

pub(super) fn record_task(event: &TaskEvent, records: &Records) -> Recorded {
    let Some(warm) = records.warm.as_ref().filter(|warm| !is_stale(warm, event)) else {
        return Recorded::nothing(Code::NothingNew);
    };
    let next = match &event.change {
        TaskChange::Running => running(warm, event),
        TaskChange::Stopped(cause) => stopped(warm, event, cause),
    };
    Recorded::accepted(next.map(Change::Warm).into_iter().collect(), true)
}

fn is_stale(warm: &WarmTask, event: &TaskEvent) -> bool {
    let heard = match &warm.state {
        WarmState::Reserved => None,
        WarmState::Starting(task) | WarmState::Warm(task) => Some(task),
        WarmState::Used(_) => return true,
        WarmState::Ending(ending) => match &ending.task {
            TaskLeft::Unanswered { .. } => None,
            TaskLeft::Running(task) | TaskLeft::Stopping { task, .. } => Some(task),
            TaskLeft::Stopped { .. } => return true,
        },
    };
    heard.is_some_and(|task| task.id != event.task || event.version <= task.heard)
}

fn running(warm: &WarmTask, event: &TaskEvent) -> Option<WarmTask> {
    let task = Task { id: event.task.clone(), heard: event.version };
    let state = match &warm.state {
        WarmState::Reserved | WarmState::Starting(_) => WarmState::Warm(task),
        WarmState::Warm(_) | WarmState::Used(_) => return None,
        WarmState::Ending(ending) => match ending.task {
            TaskLeft::Unanswered { .. } => {
                WarmState::Ending(WarmEnding { task: TaskLeft::Running(task), ..ending.clone() })
            }
            _ => return None,
        },
    };
    Some(warm.with_state(state, event.at))
}

fn stopped(warm: &WarmTask, event: &TaskEvent, cause: &StopCause) -> Option<WarmTask> {
    let task = TaskLeft::Stopped { task: Some(event.task.clone()), at: event.at };
    let ending = match &warm.state {
        WarmState::Used(_) => return None,
        // What it was to end for stays.
        WarmState::Ending(ending) => WarmEnding { task, ..ending.clone() },
        WarmState::Reserved | WarmState::Starting(_) | WarmState::Warm(_) => {
            let (kind, fault) = match cause {
                StopCause::Agent(AgentExit::NotNeeded) => (WarmEnd::Aged, None),
                StopCause::SpotInterrupted | StopCause::StoppedByUser => (WarmEnd::Stopped, None),
                StopCause::Agent(AgentExit::Interrupted) => (WarmEnd::Stopped, None),
                // One lost answer of its table in hours is no fault of the class.
                StopCause::Agent(AgentExit::BootAmbiguous) => (WarmEnd::Failed, None),
                StopCause::Agent(_)
                | StopCause::Unknown(_)
                | StopCause::FailedToStart(_)
                | StopCause::NoCapacity(_)
                | StopCause::Missing => (WarmEnd::Failed, fault_of(cause)),
            };
            WarmEnding { kind, words: words_of(cause), fault, task }
        }
    };
    Some(warm.with_state(WarmState::Ending(ending), event.at))
}
