//! The exit record of an agent: what it adds, and what a late, repeated, forged or foreign one cannot change.

use super::*;
use crate::records::wait::Part;
use crate::wire::event::{ExitReport, TaskTimes};
use crate::wire::exit_record::AgentTimes;
use crate::wire::peaks::Peaks;

/// A report whose line was written then: its agent took 10 ms for each step, from 40 ms on.
fn report(written: i64) -> ExitReport {
    ExitReport {
        runner: RunnerName::parse(RUNNER).unwrap(),
        task: TaskId::parse("task1").unwrap(),
        written_at: at(written),
        times: AgentTimes::from_steps([40, 50, 60, 70, 80, 90, 200].map(|millis| Some(at(millis)))),
        runner_version: None,
        peaks: None,
    }
}

fn exit(report: ExitReport) -> Event {
    Event::Exit(report)
}

fn written(book: &Book) -> Option<Timestamp> {
    let open = book.runners.values().map(|runner| &*runner.times);
    let times = open.chain(book.gone.iter().map(|runner| &runner.times)).next().unwrap();
    times.agent.as_ref().map(|agent| agent.written_at)
}

#[test]
fn a_record_is_kept_whether_its_runner_is_open_or_gone() {
    let told = [in_progress(7), completed(7), stopped(AgentExit::Completed)];
    for before in 0..=told.len() {
        let mut book = Book::with_runner();
        told[..before].iter().for_each(|event| drop(book.tell(event)));
        let recorded = book.tell(&exit(report(205)));
        assert!(!recorded.replan && recorded.changes.len() == 1, "{recorded:?}");
        told[before..].iter().for_each(|event| drop(book.tell(event)));
        let gone = book.gone.first().unwrap();
        let wait = gone.wait().unwrap();
        assert_eq!(wait.part(Part::Agent), Some(SignedDuration::from_millis(10)), "{before}");
        assert_eq!(written(&book), Some(at(205)));
    }
}

#[test]
fn the_record_that_was_written_last_counts_in_whichever_order_they_come() {
    for order in [[205, 150, 205], [150, 205, 150], [205, 205, 150]] {
        let mut book = Book::with_runner();
        let forged = |written| ExitReport { times: AgentTimes::default(), ..report(written) };
        for written in order {
            let report = if written == 205 { report(205) } else { forged(written) };
            book.tell(&exit(report));
        }
        let runner = book.runners.values().next().unwrap();
        assert_eq!(runner.times.agent.as_ref().unwrap().times, report(205).times, "{order:?}");
    }
}

#[test]
fn a_foreign_or_impossible_record_changes_nothing() {
    let other = |change: fn(&mut ExitReport)| {
        let mut other = report(205);
        change(&mut other);
        other
    };
    for (what, report) in [
        ("another task's log", other(|it| it.task = TaskId::parse("task2").unwrap())),
        (
            "no such runner",
            other(|it| it.runner = RunnerName::parse(&RUNNER.replace("01ar", "02ar")).unwrap()),
        ),
        ("out of order", other(|it| it.times.connected = Some(at(10)))),
        ("before the runner", other(|it| it.times.started = Some(at(-60_000)))),
        ("after the line", other(|it| it.times.job_ended = Some(at(60_000)))),
    ] {
        for gone in [false, true] {
            let mut book = Book::with_runner();
            if gone {
                for event in [in_progress(7), completed(7), stopped(AgentExit::Completed)] {
                    book.tell(&event);
                }
            }
            let recorded = book.tell(&exit(report.clone()));
            assert!(recorded.changes.is_empty() && !recorded.replan, "{what}: {recorded:?}");
            assert_eq!(written(&book), None, "{what}");
        }
    }
}

#[test]
fn peaks_that_cannot_be_true_are_left_out() {
    let used = |peaks: Peaks| {
        let mut book = Book::with_runner();
        book.tell(&exit(ExitReport { peaks: Some(peaks), ..report(205) }));
        let runner = book.runners.into_values().next().unwrap();
        runner.times.agent.unwrap().peaks
    };
    let told = Peaks { measured_ms: Some(110), cpu_ms: Some(90), oom_kills: Some(1), ..Peaks::default() };
    assert_eq!(used(told), Some(told));
    let forged = Peaks { cpu_ms: Some(u64::MAX), memory_bytes: Some(u64::MAX), ..told };
    assert_eq!(used(forged), Some(Peaks { cpu_ms: None, ..told }));
    assert_eq!(used(Peaks { measured_ms: Some(5_206), ..Peaks::default() }), None);
}

#[test]
fn a_record_decides_nothing() {
    let mut book = Book::with_runner();
    let before = book.summary();
    let peaks = Some(Peaks { oom_kills: Some(3), ..Peaks::default() });
    book.tell(&exit(ExitReport { peaks, ..report(205) }));
    assert_eq!(book.summary(), before);
}

#[test]
fn the_times_of_a_task_come_from_whichever_event_has_them() {
    let times = |created, pull_started| TaskTimes {
        created: Some(at(created)),
        pull_started: Some(at(pull_started)).filter(|_| pull_started > 0),
        ..TaskTimes::default()
    };
    let with = |event: Event, times: TaskTimes| match event {
        Event::Task(event) => Event::Task(TaskEvent { times, ..event }),
        other => other,
    };
    let mut book = Book::with_runner();
    book.tell(&with(task(1, TaskChange::Running), times(18, 0)));
    book.tell(&in_progress(7));
    book.tell(&completed(7));
    book.tell(&with(stopped(AgentExit::Completed), times(19, 25)));
    assert_eq!(book.gone[0].times.task, times(18, 25), "what was told first stays");
}
