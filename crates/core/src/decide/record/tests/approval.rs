//! Jobs that wait for an approval, and are refused.

use super::*;
use crate::records::job::Job;
use crate::testing::job_facts;
use crate::wire::event::RetryRequest;

const HOUR: i64 = 3600 * 1000;

/// A webhook of a job of this class; the job was made at 0.
fn told(class: &str, action: JobAction, millis: i64) -> Event {
    let facts = job_facts(7, "acme/app", &["self-hosted", &format!("class:{class}")]);
    Event::Job(JobEvent {
        facts,
        private: Some(true),
        created_at: Some(at(0)),
        action,
        received_at: at(millis),
    })
}

fn answer(book: &Book, action: JobAction, millis: i64) -> Event {
    let Event::Job(event) = told("huge", action, millis) else { unreachable!() };
    let job = the_job(book);
    let outcome = JobOutcome::Found(JobEvent { facts: job.facts.clone(), ..event });
    Event::JobAnswer(JobAnswer {
        job: job.id(),
        asked: job.version,
        on_behalf_of: None,
        outcome,
        at: at(millis),
    })
}

fn the_job(book: &Book) -> Job {
    match book.jobs.get(&JobId::new(7)) {
        Some(JobRecord::Open(job)) => job.clone(),
        other => panic!("it is open: {other:?}"),
    }
}

fn refused_while_waiting() -> Book {
    let mut book = Book::default();
    book.tell(&told("huge", JobAction::Waiting, 0));
    assert!(the_job(&book).is_refused());
    book
}

#[test]
fn a_refused_job_that_waits_for_an_approval_is_kept_as_long_as_github_keeps_it() {
    let mut book = refused_while_waiting();
    for hours in [1, 26, 48, 35 * 24] {
        book.tell(&answer(&book, JobAction::Waiting, hours * HOUR));
        assert_eq!(the_job(&book).asked_at, Some(at(hours * HOUR)), "after {hours} hours");
    }
    let job = the_job(&book);
    let unanswered = JobAnswer {
        job: job.id(),
        asked: job.version,
        on_behalf_of: None,
        outcome: JobOutcome::Unanswered,
        at: at(35 * 24 * HOUR + 1),
    };
    book.tell(&Event::JobAnswer(unanswered));
    assert_eq!(the_job(&book).asked_at, Some(at(35 * 24 * HOUR + 1)), "no answer says nothing");
    book.tell(&answer(&book, JobAction::Waiting, 37 * 24 * HOUR));
    assert!(matches!(book.jobs[&JobId::new(7)], JobRecord::Ended(_)));
}

#[test]
fn a_refused_job_counts_from_its_release_once() {
    for by_answer in [false, true] {
        let mut book = refused_while_waiting();
        // Its run was asked about while it waited.
        let allowed = the_job(&book).with_failing(crate::records::job::Failing::Allowed);
        book.jobs.insert(allowed.id(), JobRecord::Open(allowed));
        let released = match by_answer {
            true => answer(&book, JobAction::Queued, 48 * HOUR),
            false => told("huge", JobAction::Queued, 48 * HOUR),
        };
        book.tell(&released);
        let job = the_job(&book);
        assert_eq!(job.timeline.last_at(JobStage::Refused), Some(at(48 * HOUR)), "by an answer: {by_answer}");
        book.tell(&told("huge", JobAction::Queued, 49 * HOUR));
        assert_eq!(the_job(&book).timeline, job.timeline, "a second delivery");
    }
}

#[test]
fn a_refused_job_whose_class_exists_at_its_release_is_queued() {
    let mut book = refused_while_waiting();
    let mut job = the_job(&book);
    job.facts = job_facts(7, "acme/app", &["self-hosted", "class:small"]);
    book.jobs.insert(job.id(), JobRecord::Open(job));
    book.tell(&told("small", JobAction::Queued, 48 * HOUR));
    assert!(matches!(the_job(&book).state, JobState::Queued { .. }));
}

#[test]
fn a_job_that_is_queued_again_while_it_waits_for_an_approval_waits_for_that() {
    let mut book = refused_while_waiting();
    let mut job = the_job(&book);
    job.facts = job_facts(7, "acme/app", &["self-hosted", "class:small"]);
    book.jobs.insert(job.id(), JobRecord::Open(job));
    book.tell(&Event::Retry(RetryRequest { job: JobId::new(7), at: at(HOUR) }));
    assert!(matches!(the_job(&book).state, JobState::Queued { .. }), "GitHub is asked first");
    book.tell(&answer(&book, JobAction::Waiting, HOUR));
    assert_eq!(the_job(&book).state, JobState::Waiting);
    book.tell(&told("small", JobAction::Queued, 48 * HOUR));
    assert!(matches!(the_job(&book).state, JobState::Queued { .. }));
}
