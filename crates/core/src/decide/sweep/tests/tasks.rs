//! Tests of the comparison of records with tasks.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::decide::record::record;
use crate::decide::sweep::tasks::{MAX_MISSING, repair};
use crate::records::change::{Change, Records};
use crate::records::runner::{Custody, Ending, TaskLeft};
use crate::rules::Rules;
use crate::testing::{catalogue, settings};
use crate::wire::event::{Event, TaskChange, TaskEvent, TaskTimes};
use crate::wire::exit::AgentExit;

fn starting(number: u64, secs: i64) -> Runner {
    reserved(number, secs).task_started(task_of(number), at(secs)).unwrap()
}

fn task_of(number: u64) -> TaskId {
    TaskId::parse(&format!("task{number}")).unwrap()
}

fn seen(number: u64, status: SeenStatus) -> SeenTask {
    SeenTask {
        task: task_of(number),
        name: name(number, 0).into(),
        status,
        times: TaskTimes::default(),
        instance: None,
    }
}

fn stopped() -> SeenStatus {
    SeenStatus::Stopped(StopCause::Agent(AgentExit::NoJob))
}

/// Consecutive passes, each with the progress of the one before.
struct Passes {
    lag: Lag,
    missing: BTreeMap<TaskName, Timestamp>,
}

impl Passes {
    fn new(lag: Lag) -> Self {
        Self { lag, missing: BTreeMap::new() }
    }

    fn pass(&mut self, runners: &[Runner], tasks: &[SeenTask], now: i64) -> String {
        let repairs = repair(&open(runners), tasks, &self.missing, self.lag, at(now));
        self.missing = repairs.missing;
        let mut told: Vec<String> = repairs.events.iter().map(tell).collect();
        told.extend(repairs.orphans.iter().map(|orphan| format!("{} is an orphan", orphan.task)));
        told.join("; ")
    }
}

fn tell(event: &TaskEvent) -> String {
    let what = match &event.change {
        TaskChange::Running => "runs",
        TaskChange::Stopped(StopCause::Missing) => "is gone",
        TaskChange::Stopped(_) => "has stopped",
    };
    format!("{} {what}", event.task)
}

#[test]
fn a_task_that_is_missing_counts_after_ten_minutes_and_two_passes() {
    let mut passes = Passes::new(Lag::DISTRIBUTED);
    let runner = [starting(1, 0)];
    // However old the runner is, the first pass that misses its task only notes it.
    assert_eq!(passes.pass(&runner, &[], HOUR), "");
    assert_eq!(passes.pass(&runner, &[], HOUR + 9 * MINUTE), "");
    assert_eq!(passes.pass(&runner, &[], HOUR + 10 * MINUTE), "task1 is gone");
}

#[test]
fn a_task_that_was_seen_in_between_has_to_be_missing_again() {
    let mut passes = Passes::new(Lag::DISTRIBUTED);
    let runner = [starting(1, 0)];
    assert_eq!(passes.pass(&runner, &[], 0), "");
    assert_eq!(passes.pass(&runner, &[seen(1, SeenStatus::Pending)], 5 * MINUTE), "");
    assert_eq!(passes.pass(&runner, &[], 11 * MINUTE), "");
    assert_eq!(passes.pass(&runner, &[], 21 * MINUTE), "task1 is gone");
}

#[test]
fn what_is_missing_is_forgotten_with_its_record() {
    let mut passes = Passes::new(Lag::DISTRIBUTED);
    passes.pass(&[starting(1, 0)], &[], 0);
    assert_eq!(passes.missing.len(), 1);
    passes.pass(&[], &[], 60);
    assert!(passes.missing.is_empty());
}

#[test]
fn a_process_that_is_not_there_is_gone_at_once() {
    let mut passes = Passes::new(Lag(SignedDuration::ZERO));
    assert_eq!(passes.pass(&[starting(1, 0)], &[], 0), "task1 is gone");
}

#[test]
fn no_more_runners_are_remembered_than_there_is_room_for() {
    let mut passes = Passes::new(Lag::DISTRIBUTED);
    let many: Vec<Runner> = (0..MAX_MISSING as u64 + 10).map(|number| starting(number, 0)).collect();
    passes.pass(&many, &[], 0);
    assert_eq!(passes.missing.len(), MAX_MISSING);
}

#[test]
fn a_record_hears_what_its_task_came_to() {
    let mut passes = Passes::new(Lag::DISTRIBUTED);
    let runner = [starting(1, 0)];
    assert_eq!(passes.pass(&runner, &[seen(1, SeenStatus::Pending)], 60), "");
    assert_eq!(passes.pass(&runner, &[seen(1, SeenStatus::Running)], 60), "task1 runs");
    assert_eq!(passes.pass(&runner, &[seen(1, stopped())], 60), "task1 has stopped");
}

#[test]
fn a_task_that_no_open_record_wants_is_an_orphan_until_it_has_stopped() {
    let mut passes = Passes::new(Lag::DISTRIBUTED);
    assert_eq!(passes.pass(&[], &[seen(1, SeenStatus::Running)], 0), "task1 is an orphan");
    assert_eq!(passes.pass(&[], &[seen(1, SeenStatus::Pending)], 0), "task1 is an orphan");
    assert_eq!(passes.pass(&[], &[seen(1, stopped())], 0), "");
    assert_eq!(passes.pass(&[reserved(1, 0)], &[seen(1, SeenStatus::Running)], 0), "");
}

#[test]
fn a_launch_that_nobody_answered_for_ten_minutes_gets_the_task_that_bears_its_name() {
    let mut passes = Passes::new(Lag::DISTRIBUTED);
    let runner = [reserved(1, 0)];
    let tasks = [seen(1, SeenStatus::Running)];
    assert_eq!(passes.pass(&runner, &tasks, 9 * MINUTE), "");
    assert_eq!(passes.pass(&runner, &tasks, 10 * MINUTE), "task1 runs");
    assert_eq!(passes.pass(&runner, &[seen(1, SeenStatus::Pending)], 10 * MINUTE), "");
    assert_eq!(passes.pass(&runner, &[], 10 * MINUTE), "");
    let ending = [reserved(1, 0).end(EndingKind::Surplus, None, at(10))];
    assert_eq!(passes.pass(&ending, &[seen(1, stopped())], 10 * MINUTE), "task1 has stopped");
}

#[test]
fn of_several_tasks_of_one_name_the_one_that_runs_is_taken() {
    let mut passes = Passes::new(Lag::DISTRIBUTED);
    let other = SeenTask { task: task_of(2), ..seen(1, stopped()) };
    for tasks in [[other.clone(), seen(1, SeenStatus::Running)], [seen(1, SeenStatus::Running), other]] {
        assert_eq!(passes.pass(&[reserved(1, 0)], &tasks, HOUR), "task1 runs");
    }
}

/// Returns the runner after the events of one pass were recorded.
fn swept(runner: Runner, tasks: &[SeenTask], now: i64) -> Runner {
    let (settings, catalogue) = (settings(), catalogue());
    let rules = Rules { settings: &settings, catalogue: &catalogue };
    let repairs =
        repair(&open(std::slice::from_ref(&runner)), tasks, &BTreeMap::new(), Lag::DISTRIBUTED, at(now));
    repairs.events.into_iter().fold(runner, |runner, event| {
        let records = Records { runner: Some(runner.clone()), ..Records::default() };
        match record(&Event::Task(event), &records, rules).changes.pop() {
            Some(Change::Runner(next)) => next,
            other => panic!("{other:?}"),
        }
    })
}

#[test]
fn an_adopted_task_goes_on_as_if_its_launch_had_been_answered() {
    let booted = swept(reserved(1, 0), &[seen(1, SeenStatus::Running)], HOUR);
    assert!(matches!(booted.state, RunnerState::Booted { custody: Custody::Unissued, .. }), "{booted:?}");
    let tasks = [seen(1, SeenStatus::Stopped(StopCause::FailedToStart(Arc::from("no image"))))];
    let ended = swept(reserved(1, 0), &tasks, HOUR);
    let RunnerState::Ending(Ending { task: TaskLeft::Stopped { task, .. }, kind, .. }) = ended.state else {
        panic!("{ended:?}")
    };
    assert_eq!((task, kind), (Some(task_of(1)), EndingKind::BootFailed));
}

#[test]
fn a_runner_whose_event_named_no_instance_hears_of_it_from_the_sweep() {
    let (class, instance) =
        (ClassName::parse("small").unwrap(), InstanceId::parse("0123456789abcdef0123456789abcdef").unwrap());
    let managed = |runner: Runner| Runner {
        placement: Placement { managed: Some(class.clone()), ..runner.placement.clone() },
        ..runner
    };
    let running = |instance| [SeenTask { instance, ..seen(1, SeenStatus::Running) }];
    let booted = swept(managed(starting(1, 0)), &running(None), 60);
    assert!(booted.instance.is_none() && !booted.is_to_claim());
    let told = swept(booted.clone(), &running(Some(instance.clone())), 120);
    assert_eq!(told.instance.as_ref().map(|known| &known.id), Some(&instance));
    let again = swept(told.clone(), &running(Some(instance.clone())), 180);
    assert_eq!(again, told, "once is enough");
    let at_once = swept(managed(starting(1, 0)), &running(Some(instance)), 60);
    assert!(at_once.instance.is_some(), "the first news may name it too");
    let on_fargate = swept(starting(1, 0), &running(None), 60);
    assert!(on_fargate.instance.is_none());
}

#[test]
fn a_second_sweep_after_the_first_finds_nothing_to_repair() {
    let running = [seen(1, SeenStatus::Running)];
    let mut runner = swept(starting(1, 0), &running, 60);
    assert_eq!(swept(runner.clone(), &running, 120), runner);
    runner = swept(runner, &[seen(1, stopped())], 180);
    assert_eq!(swept(runner.clone(), &[seen(1, stopped())], 240), runner);
    assert_eq!(swept(runner.clone(), &[], 2 * HOUR), runner);
}
