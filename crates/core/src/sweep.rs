//! Records against tasks, both ways: what events missed.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::event::{StopCause, TaskChange, TaskEvent};
use crate::id::{RunnerName, TaskId};
use crate::plan::Open;
use crate::runner::{Ending, Runner, RunnerState, Task, TaskLeft};

/// A task as the compute service has it now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeenTask {
    /// Its id.
    pub task: TaskId,
    /// The runner that it is tagged with.
    pub runner: RunnerName,
    /// Where it stands.
    pub status: SeenStatus,
}

/// Where a task stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SeenStatus {
    /// Accepted; its container does not run yet.
    Pending,
    /// Its container runs.
    Running,
    /// It has stopped.
    Stopped(StopCause),
}

/// What a comparison of records and tasks found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Repairs {
    /// Changes that no event told of.
    pub events: Vec<TaskEvent>,
    /// Tasks of ours that no open record wants: to be stopped, once a fresh
    /// look at their runner's record agrees.
    pub orphans: Vec<SeenTask>,
}

/// How long a task may be missing from the list after its launch: the list of
/// a distributed service lags behind its other answers.
#[derive(Clone, Copy, Debug)]
pub struct Lag(pub SignedDuration);

/// Compares what is open with the tasks that are there.
#[must_use]
pub fn repair(open: &Open, tasks: &[SeenTask], lag: Lag, now: Timestamp) -> Repairs {
    let mut repairs = Repairs::default();
    let seen: HashMap<&TaskId, &SeenTask> = tasks.iter().map(|task| (&task.task, task)).collect();
    let mut wanted: HashSet<&RunnerName> = HashSet::new();
    for runner in &open.runners {
        wanted.insert(runner.name());
        let Some(task) = running_task(runner) else { continue };
        let change = match seen.get(&task.id).map(|seen| &seen.status) {
            Some(SeenStatus::Pending) => continue,
            Some(SeenStatus::Running) if matches!(runner.state, RunnerState::Starting { .. }) => {
                TaskChange::Running
            }
            Some(SeenStatus::Running) => continue,
            Some(SeenStatus::Stopped(cause)) => TaskChange::Stopped(cause.clone()),
            None if now < runner.timeline.latest() + lag.0 => continue,
            None => TaskChange::Stopped(StopCause::Missing),
        };
        repairs.events.push(TaskEvent {
            runner: runner.name().clone(),
            task: task.id.clone(),
            version: task.heard + 1,
            change,
            at: now,
        });
    }
    repairs.orphans = tasks
        .iter()
        .filter(|task| !matches!(task.status, SeenStatus::Stopped(_)) && !wanted.contains(&task.runner))
        .cloned()
        .collect();
    repairs
}

/// The task that a record takes to be there.
fn running_task(runner: &Runner) -> Option<&Task> {
    match &runner.state {
        RunnerState::Starting { task, .. }
        | RunnerState::Booted { task, .. }
        | RunnerState::Busy { task, .. }
        | RunnerState::Ending(Ending {
            task: TaskLeft::Running(task) | TaskLeft::Stopping { task, .. },
            ..
        }) => Some(task),
        RunnerState::Reserved { .. } | RunnerState::Ending(_) => None,
    }
}
