//! Compares records with tasks, in both directions.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::{Lag, SeenStatus, SeenTask};
use crate::id::{TaskId, TaskName};
use crate::records::open::Open;
use crate::records::runner::{Ending, Runner, RunnerState, Task, TaskLeft};
use crate::records::warm::{WarmState, WarmTask};
use crate::wire::event::{StopCause, TaskChange, TaskEvent, TaskTimes};

/// The most records whose missing task is remembered from one pass to the next.
pub const MAX_MISSING: usize = 500;

/// How long after its reservation a record whose launch was not answered adopts the
/// task with its tag. Until then the launch itself continues.
const ADOPTION: SignedDuration = SignedDuration::from_mins(10);

/// The result of comparing records and tasks.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Repairs {
    /// Changes that no event reported.
    pub events: Vec<TaskEvent>,
    /// Tasks of ours without an open record. They are to be stopped after their
    /// record has been read again and confirms it.
    pub orphans: Vec<SeenTask>,
    /// Records whose task is not in the list, with the time of the first pass that missed it.
    pub missing: BTreeMap<TaskName, Timestamp>,
}

/// Compares open records with the tasks that exist. `missing` is that of the pass
/// before.
#[must_use]
pub fn repair(
    open: &Open,
    tasks: &[SeenTask],
    missing: &BTreeMap<TaskName, Timestamp>,
    lag: Lag,
    now: Timestamp,
) -> Repairs {
    let seen = Seen::of(tasks);
    let mut repairs = Repairs::default();
    for record in Record::all(open) {
        match record.expected {
            Expected::Task(task) => match seen.by_id.get(&task.id) {
                Some(seen) => repairs.events.extend(record.unheard(task, seen, now)),
                None => repairs.miss(record.name, task, missing, lag, now),
            },
            Expected::Unanswered if record.began_at + ADOPTION <= now => {
                repairs.events.extend(seen.by_name.get(&record.name).and_then(|seen| adopted(seen, now)));
            }
            Expected::Unanswered | Expected::Nothing => {}
        }
    }
    repairs.orphans =
        tasks.iter().filter(|task| !is_stopped(task) && !has_record(open, &task.name)).cloned().collect();
    repairs
}

/// Whether a record may need the task of that name.
fn has_record(open: &Open, name: &TaskName) -> bool {
    match name {
        TaskName::Runner(runner) => open.runners.contains_key(runner),
        TaskName::Warm(warm) => match open.warm.get(warm).map(|warm| &warm.state) {
            None => false,
            Some(WarmState::Used(runner)) => open.runners.contains_key(runner),
            Some(_) => true,
        },
    }
}

impl Repairs {
    /// The record's task is not in the list. It counts as gone after it has been
    /// missing for `lag`.
    fn miss(
        &mut self,
        name: TaskName,
        task: &Task,
        before: &BTreeMap<TaskName, Timestamp>,
        lag: Lag,
        now: Timestamp,
    ) {
        let first = before.get(&name).copied().unwrap_or(now);
        if first + lag.0 <= now {
            let change = TaskChange::Stopped(StopCause::Missing);
            self.events.push(event((&name, &task.id), task.heard + 1, change, TaskTimes::default(), now));
        }
        // A task that counts as gone is remembered too: writing its record may fail this time.
        if self.missing.len() < MAX_MISSING {
            self.missing.insert(name, first);
        }
    }
}

/// The tasks, indexed for lookup.
struct Seen<'a> {
    by_id: HashMap<&'a TaskId, &'a SeenTask>,
    /// Of several tasks with the same tag: a running one, or else a pending one.
    by_name: HashMap<&'a TaskName, &'a SeenTask>,
}

impl<'a> Seen<'a> {
    fn of(tasks: &'a [SeenTask]) -> Self {
        let mut by_name: HashMap<&TaskName, &SeenTask> = HashMap::new();
        for task in tasks {
            let best = by_name.entry(&task.name).or_insert(task);
            if liveliness(&task.status) > liveliness(&best.status) {
                *best = task;
            }
        }
        Self { by_id: tasks.iter().map(|task| (&task.task, task)).collect(), by_name }
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

/// An open record, as far as it is about a task.
struct Record<'a> {
    /// The name for the events of its task. A runner that took over a warm task is told by its own name.
    name: TaskName,
    began_at: Timestamp,
    /// Whether its container is not known to run.
    is_starting: bool,
    /// Whether it waits to know its task's instance.
    lacks_instance: bool,
    expected: Expected<'a>,
}

/// What should exist according to a record.
enum Expected<'a> {
    Task(&'a Task),
    /// A task may have been started, but the answer was lost.
    Unanswered,
    Nothing,
}

impl<'a> Record<'a> {
    fn all(open: &'a Open) -> impl Iterator<Item = Self> {
        open.runners.values().map(Self::of_runner).chain(open.warm.values().map(Self::of_warm))
    }

    fn of_runner(runner: &'a Runner) -> Self {
        let expected = match &runner.state {
            RunnerState::Starting { task, .. }
            | RunnerState::Booted { task, .. }
            | RunnerState::Busy { task, .. } => Expected::Task(task),
            RunnerState::Reserved { .. } => Expected::Unanswered,
            RunnerState::Ending(Ending { task, .. }) => Expected::of_rest(task),
        };
        Self {
            name: runner.name().clone().into(),
            began_at: runner.timeline.began(),
            is_starting: matches!(runner.state, RunnerState::Starting { .. }),
            lacks_instance: matches!(runner.state, RunnerState::Booted { .. })
                && runner.placement.managed.is_some()
                && runner.instance.is_none(),
            expected,
        }
    }

    fn of_warm(warm: &'a WarmTask) -> Self {
        let expected = match &warm.state {
            WarmState::Reserved => Expected::Unanswered,
            WarmState::Starting(task) | WarmState::Warm(task) => Expected::Task(task),
            WarmState::Used(_) => Expected::Nothing,
            WarmState::Ending(ending) => Expected::of_rest(&ending.task),
        };
        Self {
            name: warm.name().clone().into(),
            began_at: warm.timeline.began(),
            is_starting: matches!(warm.state, WarmState::Starting(_)),
            lacks_instance: false,
            expected,
        }
    }

    /// Returns the change of a task that its record does not contain yet.
    fn unheard(&self, task: &Task, seen: &SeenTask, now: Timestamp) -> Option<TaskEvent> {
        let change = match &seen.status {
            SeenStatus::Running if self.is_starting => TaskChange::Running,
            SeenStatus::Running if self.lacks_instance && seen.instance.is_some() => TaskChange::Running,
            SeenStatus::Pending | SeenStatus::Running => return None,
            SeenStatus::Stopped(cause) => TaskChange::Stopped(cause.clone()),
        };
        let told = event((&self.name, &task.id), task.heard + 1, change, seen.times, now);
        Some(TaskEvent { instance: seen.instance.clone(), ..told })
    }
}

impl<'a> Expected<'a> {
    fn of_rest(task: &'a TaskLeft) -> Self {
        match task {
            TaskLeft::Running(task) | TaskLeft::Stopping { task, .. } => Self::Task(task),
            TaskLeft::Unanswered { .. } => Self::Unanswered,
            TaskLeft::Stopped { .. } => Self::Nothing,
        }
    }
}

/// Returns the event by which a record adopts the task with its tag. A task that is
/// still pending is left to the next pass: by then it runs or has stopped.
fn adopted(seen: &SeenTask, now: Timestamp) -> Option<TaskEvent> {
    let change = match &seen.status {
        SeenStatus::Pending => return None,
        SeenStatus::Running => TaskChange::Running,
        SeenStatus::Stopped(cause) => TaskChange::Stopped(cause.clone()),
    };
    // Version 0 is older than any event of the task itself.
    let told = event((&seen.name, &seen.task), 0, change, seen.times, now);
    Some(TaskEvent { instance: seen.instance.clone(), ..told })
}

fn event(
    (name, task): (&TaskName, &TaskId),
    version: u64,
    change: TaskChange,
    times: TaskTimes,
    at: Timestamp,
) -> TaskEvent {
    TaskEvent { name: name.clone(), task: task.clone(), version, change, times, instance: None, at }
}
