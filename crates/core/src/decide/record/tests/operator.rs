//! Tests of operators' requests, which are recorded like other events.

use super::*;
use crate::wire::event::{RetryRequest, StopRequest};

fn stop(force: bool) -> Event {
    Event::Stop(StopRequest { runner: RunnerName::parse(RUNNER).unwrap(), force, at: at(300) })
}

fn retry(id: u64) -> Event {
    Event::Retry(RetryRequest { job: JobId::new(id), at: at(500) })
}

/// A job with a label that no class offers.
fn refused(id: u64, label: &str) -> Event {
    Event::Job(JobEvent {
        action: JobAction::Queued,
        facts: job_facts(id, "acme/app", &["self-hosted", label]),
        private: Some(true),
        created_at: Some(at(0)),
        received_at: at(10),
    })
}

#[test]
fn an_idle_runner_that_is_stopped_ends_like_a_surplus_one() {
    let mut book = Book::with_runner();
    let told = book.tell(&stop(false));
    assert!(told.replan && told.changes.len() == 1, "{told:?}");
    assert_eq!(book.summary(), "7 queued (to_plan); runner ending: surplus Nothing Unproved");
    assert_eq!(book.tell(&stop(false)).changes, [], "it is ending already");
}

#[test]
fn a_runner_that_executes_a_job_is_stopped_by_force_alone() {
    let mut book = Book::with_runner();
    book.tell(&in_progress(7));
    assert_eq!(book.tell(&stop(false)).changes, []);
    book.tell(&stop(true));
    let summary = book.summary();
    assert!(summary.contains("runner ending: stopped_by_operator"), "{summary}");
    assert_eq!(book.tell(&stop(true)).changes, [], "it is being stopped already");
}

#[test]
fn a_runner_that_nobody_knows_is_not_stopped() {
    assert_eq!(Book::default().tell(&stop(true)).outcome.reason().code(), Code::NothingNew);
}

#[test]
fn a_refused_job_is_judged_again_and_github_is_asked_before_anything_is_launched() {
    let mut book = Book::default();
    book.tell(&refused(7, "class:none"));
    assert_eq!(book.summary(), "7 refused: class_unknown");
    let again = book.tell(&retry(7));
    assert!(matches!(again.outcome, Outcome::Refused(_)), "{again:?}");
    assert_eq!(again.changes, [], "the rules are what they were");

    // The catalogue has the class now. The test changes the job's label to an existing class instead.
    let Some(JobRecord::Open(job)) = book.jobs.get_mut(&JobId::new(7)) else { panic!("it is refused") };
    assert!(matches!(job.state, JobState::Refused { .. }), "{job:?}");
    job.facts = job_facts(7, "acme/app", &["self-hosted", "class:small"]);
    assert_eq!(book.tell(&retry(7)).outcome.reason().code(), Code::Recorded);
    assert_eq!(book.summary(), "7 queued (to_confirm)");
    assert_eq!(book.plan(at(600)).launches.len(), 0, "nothing before GitHub has said that it is queued");
    assert_eq!(book.plan(at(600)).questions.len(), 1);
    assert_eq!(book.tell(&retry(7)).changes, [], "it waits already");
    // Then GitHub is asked about its run and repository: the record does not keep everything from the webhook.
    for (private, expected) in [(true, "7 queued (to_plan)"), (false, "7 refused: repository_public")] {
        let mut book = book.clone();
        book.tell(&still_queued(&book, 7));
        assert_eq!(book.summary(), "7 queued (to_check)");
        assert_eq!(book.plan(at(701)).questions, [Question::Run(JobId::new(7))], "asked at once");
        book.tell(&run_of(&book, 7, private));
        assert_eq!(book.summary(), expected);
    }
    assert_eq!(tell_all(book, &[in_progress(7), completed(7)]), "7 completed: success");
}

fn version_of(book: &Book, id: u64) -> crate::id::Version {
    match &book.jobs[&JobId::new(id)] {
        JobRecord::Open(job) => job.version,
        JobRecord::Ended(job) => job.version,
    }
}

/// GitHub's answer that a job is queued.
fn still_queued(book: &Book, id: u64) -> Event {
    let Event::Job(event) = job_event(id, JobAction::Queued, 700) else { unreachable!() };
    let outcome = JobOutcome::Found(JobEvent { private: None, ..event });
    let asked = version_of(book, id);
    Event::JobAnswer(JobAnswer { job: JobId::new(id), asked, on_behalf_of: None, outcome, at: at(700) })
}

/// GitHub's answer about a job's run.
fn run_of(book: &Book, id: u64, private: bool) -> Event {
    let head_repository = Some(crate::id::Repository::parse("acme/app").unwrap());
    let outcome = RunOutcome::Found { event: "push".into(), head_repository, private: Some(private) };
    Event::RunAnswer(RunAnswer { job: JobId::new(id), asked: version_of(book, id), outcome, at: at(710) })
}

#[test]
fn a_job_of_a_public_repository_stays_refused_however_often_it_is_tried() {
    let mut book = Book::default();
    let facts = job_facts(7, "acme/app", &["self-hosted"]);
    let event = JobEvent {
        action: JobAction::Queued,
        facts,
        private: Some(false),
        created_at: None,
        received_at: at(10),
    };
    book.tell(&Event::Job(event));
    assert_eq!(book.tell(&retry(7)).outcome.reason().code(), Code::RepositoryPublic);
    assert_eq!(book.summary(), "7 refused: repository_public");
}

#[test]
fn a_job_that_has_ended_is_not_tried_again_here() {
    let mut book = Book::default();
    for event in [queued(7), completed(7)] {
        book.tell(&event);
    }
    assert_eq!(book.tell(&retry(7)).changes, []);
    assert_eq!(book.tell(&retry(8)).changes, []);
}
