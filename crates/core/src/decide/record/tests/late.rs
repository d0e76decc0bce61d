//! Webhooks that come late, or of a job that nobody expected on this runner.

use super::*;
use crate::records::runner::Served;

#[test]
fn a_late_webhook_resurrects_nothing() {
    let mut book = Book::default();
    book.tell(&completed(7));
    for late in [queued(7), in_progress(7)] {
        assert_eq!(book.tell(&late).changes, []);
    }
}

#[test]
fn a_job_that_begins_on_an_ending_runner_brings_it_back() {
    let mut book = Book::with_runner();
    let runner = book.runners.values().next().unwrap();
    let retired = runner.end(EndingKind::Surplus, None, at(90));
    book.write(&Change::Runner(retired));
    book.tell(&in_progress(7));
    assert_eq!(book.summary(), "7 in progress; runner busy");
    assert_eq!(book.runners.values().next().unwrap().next(at(120)), Next::Event);
}

#[test]
fn a_job_that_ends_unexpectedly_alters_the_plan() {
    let mut book = Book::with_runner();
    assert!(book.tell(&completed(7)).replan, "it was queued, as far as was known");
}

#[test]
fn a_stolen_runner_serves_whichever_job_github_gave_it() {
    let mut book = Book::with_runner();
    book.tell(&queued(8));
    assert!(book.tell(&in_progress(8)).changes.len() == 2);
    let plan = book.plan(at(300));
    assert_eq!(plan.launches.iter().map(|launch| launch.job.get()).collect::<Vec<_>>(), [7]);
}

#[test]
fn a_webhook_that_a_job_had_begun_is_shown_at_its_runner_in_history() {
    for (told, before) in [
        (&[completed(7), stopped(AgentExit::Completed)][..], Served::Job(JobId::new(7))),
        // No webhook said which job it was.
        (&[stopped(AgentExit::Completed)][..], Served::Unnamed),
    ] {
        let mut book = Book::with_runner();
        told.iter().for_each(|event| drop(book.tell(event)));
        book.clean(at(400_000));
        let [gone] = &book.gone[..] else { panic!("{:?}", book.gone) };
        assert_eq!((gone.served, &gone.times.job), (before, &None));
        let recorded = book.tell(&in_progress(7));
        assert!(matches!(recorded.changes.last(), Some(Change::RunnerAmended(_))), "{recorded:?}");
        let [gone] = &book.gone[..] else { panic!("{:?}", book.gone) };
        assert_eq!(gone.served, Served::Job(JobId::new(7)));
        let waited = gone.times.job.as_ref().unwrap();
        assert_eq!((waited.queued_at, waited.started_at), (at(0), at(110)));
        assert_eq!(book.tell(&in_progress(7)).changes, [], "it is told once");
    }
}

#[test]
fn a_runner_in_history_keeps_the_job_that_it_served_and_one_that_it_may_not_have() {
    let mut book = Book::with_runner();
    for event in [in_progress(7), completed(7), stopped(AgentExit::Completed), queued(8)] {
        book.tell(&event);
    }
    let gone = book.gone.clone();
    assert_eq!(gone.len(), 1);
    for event in [in_progress(7), in_progress(8)] {
        book.tell(&event);
        assert_eq!(book.gone, gone);
    }
}
