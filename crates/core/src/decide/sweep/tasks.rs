//! Compares records with tasks, in both directions.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::{Lag, SeenStatus, SeenTask};
use crate::id::{RunnerName, TaskId};
use crate::records::open::Open;
use crate::records::runner::{Ending, Runner, RunnerState, Task, TaskLeft};
use crate::wire::event::{StopCause, TaskChange, TaskEvent};

/// The most runners whose missing task is remembered from one pass to the next.
pub const MAX_MISSING: usize = 500;

/// How long after its reservation a runner whose launch was not answered adopts the
/// task with its tag. Until then the launch itself continues.
const ADOPTION: SignedDuration = SignedDuration::from_mins(10);

/// The result of comparing records and tasks.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Repairs {
    /// Changes that no event reported.
    pub events: Vec<TaskEvent>,
    /// Tasks of ours without an open record. They are to be stopped after their
    /// runner's record has been read again and confirms it.
    pub orphans: Vec<SeenTask>,
    /// Runners whose task is not in the list, with the time of the first pass that missed it.
    pub missing: BTreeMap<RunnerName, Timestamp>,
}

/// Compares open records with the tasks that exist. `missing` is that of the pass
/// before.
#[must_use]
pub fn repair(
    open: &Open,
    tasks: &[SeenTask],
    missing: &BTreeMap<RunnerName, Timestamp>,
    lag: Lag,
    now: Timestamp,
) -> Repairs {
    let seen = Seen::of(tasks);
    let mut repairs = Repairs::default();
    for runner in open.runners.values() {
        match expected(runner) {
            Expected::Task(task) => match seen.by_id.get(&task.id) {
                Some(seen) => repairs.events.extend(unheard(runner, task, seen, now)),
                None => repairs.miss(runner, task, missing, lag, now),
            },
            Expected::Unanswered if runner.timeline.began() + ADOPTION <= now => {
                repairs.events.extend(seen.by_runner.get(runner.name()).and_then(|seen| adopted(seen, now)));
            }
            Expected::Unanswered | Expected::Nothing => {}
        }
    }
    let unwanted = |task: &&SeenTask| !is_stopped(task) && !open.runners.contains_key(&task.runner);
    repairs.orphans = tasks.iter().filter(unwanted).cloned().collect();
    repairs
}

impl Repairs {
    /// The runner's task is not in the list. It counts as gone after it has been
    /// missing for `lag`.
    fn miss(
        &mut self,
        runner: &Runner,
        task: &Task,
        before: &BTreeMap<RunnerName, Timestamp>,
        lag: Lag,
        now: Timestamp,
    ) {
        let first = before.get(runner.name()).copied().unwrap_or(now);
        if first + lag.0 <= now {
            let change = TaskChange::Stopped(StopCause::Missing);
            self.events.push(event(runner.name(), &task.id, task.heard + 1, change, now));
        }
        // A task that counts as gone is remembered too: writing its record may fail this time.
        if self.missing.len() < MAX_MISSING {
            self.missing.insert(runner.name().clone(), first);
        }
    }
}

/// The tasks, indexed for lookup.
struct Seen<'a> {
    by_id: HashMap<&'a TaskId, &'a SeenTask>,
    /// Of several tasks with the same tag: a running one, or else a pending one.
    by_runner: HashMap<&'a RunnerName, &'a SeenTask>,
}

impl<'a> Seen<'a> {
    fn of(tasks: &'a [SeenTask]) -> Self {
        let mut by_runner: HashMap<&RunnerName, &SeenTask> = HashMap::new();
        for task in tasks {
            let best = by_runner.entry(&task.runner).or_insert(task);
            if liveliness(&task.status) > liveliness(&best.status) {
                *best = task;
            }
        }
        Self { by_id: tasks.iter().map(|task| (&task.task, task)).collect(), by_runner }
    }
}

fn liveliness(status: &SeenStatus) -> u8 {
    match status {
        SeenStatus::Running => 2,
        SeenStatus::Pending => 1,
        SeenStatus::Stopped(_) => 0,
    }
}

fn is_stopped(task: &SeenTask) -> bool {
    matches!(task.status, SeenStatus::Stopped(_))
}

/// What should exist according to a record.
enum Expected<'a> {
    Task(&'a Task),
    /// A task may have been started, but the answer was lost.
    Unanswered,
    Nothing,
}

fn expected(runner: &Runner) -> Expected<'_> {
    match &runner.state {
        RunnerState::Starting { task, .. }
        | RunnerState::Booted { task, .. }
        | RunnerState::Busy { task, .. } => Expected::Task(task),
        RunnerState::Reserved { .. } => Expected::Unanswered,
        RunnerState::Ending(Ending { task, .. }) => match task {
            TaskLeft::Running(task) | TaskLeft::Stopping { task, .. } => Expected::Task(task),
            TaskLeft::Unanswered { .. } => Expected::Unanswered,
            TaskLeft::Stopped { .. } => Expected::Nothing,
        },
    }
}

/// Returns the change of a task that its record does not contain yet.
fn unheard(runner: &Runner, task: &Task, seen: &SeenTask, now: Timestamp) -> Option<TaskEvent> {
    let change = match &seen.status {
        SeenStatus::Running if matches!(runner.state, RunnerState::Starting { .. }) => TaskChange::Running,
        SeenStatus::Pending | SeenStatus::Running => return None,
        SeenStatus::Stopped(cause) => TaskChange::Stopped(cause.clone()),
    };
    Some(event(runner.name(), &task.id, task.heard + 1, change, now))
}

/// Returns the event by which a runner adopts the task with its tag. A task that is
/// still pending is left to the next pass: by then it runs or has stopped.
fn adopted(seen: &SeenTask, now: Timestamp) -> Option<TaskEvent> {
    let change = match &seen.status {
        SeenStatus::Pending => return None,
        SeenStatus::Running => TaskChange::Running,
        SeenStatus::Stopped(cause) => TaskChange::Stopped(cause.clone()),
    };
    // Version 0 is older than any event of the task itself.
    Some(event(&seen.runner, &seen.task, 0, change, now))
}

fn event(runner: &RunnerName, task: &TaskId, version: u64, change: TaskChange, at: Timestamp) -> TaskEvent {
    TaskEvent { runner: runner.clone(), task: task.clone(), version, change, at }
}
