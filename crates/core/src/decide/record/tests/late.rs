//! Webhooks that come late, or of a job that nobody expected on this runner.

use super::*;
use crate::records::runner::{RunnerStage, Served};
use crate::rules::limits::longest_work;

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

/// The begin of a job on our runner at this time.
fn began(job: u64, millis: i64) -> Event {
    job_event(job, JobAction::InProgress { runner: ours(), started_at: Some(at(millis)) }, millis)
}

#[test]
fn a_runner_that_starts_another_job_than_it_took_is_busy_with_that_one_in_any_order() {
    let (first, second) = (began(7, 60), began(8, 90_000));
    let named = |book: &Book| book.runners.values().next().unwrap().names_job();
    for events in [[&first, &second], [&second, &first]] {
        let mut book = Book::with_runner();
        book.tell(&queued(8));
        events.iter().for_each(|event| drop(book.tell(event)));
        assert_eq!(named(&book), Some(JobId::new(8)));
        assert_eq!(
            book.runners.values().next().unwrap().timeline.last_at(RunnerStage::Busy),
            Some(at(90_000))
        );
        // The limits of the job that it took would end the other one too early.
        let limit = longest_work(book.runners.values().next().unwrap().facts.max_job_minutes);
        assert_eq!(book.plan(at(89_000) + limit).retirements, []);
        assert_eq!(book.plan(at(90_000) + limit).retirements.len(), 1);
        // GitHub is asked at once about the job that was not started. It is in progress for all that is known.
        let asked = book.plan(at(110_000)).questions;
        assert_eq!(asked, [Question::Job { job: JobId::new(7), on_behalf_of: None }]);
        // A late end of that job says nothing about the runner.
        book.tell(&job_event(7, completed_since(60, ours()), 120_000));
        assert_eq!(named(&book), Some(JobId::new(8)));
        assert_eq!(book.runners.values().next().unwrap().stage(), RunnerStage::Busy);
        book.tell(&job_event(8, completed_since(90_000, ours()), 130_000));
        let runner = book.runners.values().next().unwrap();
        assert_eq!((runner.stage(), runner.names_job()), (RunnerStage::Ending, Some(JobId::new(8))));
        book.tell(&first);
        assert_eq!(named(&book), Some(JobId::new(8)));
    }
}

#[test]
fn the_end_of_a_job_shows_that_its_runner_had_not_started_the_one_before() {
    let mut book = Book::with_runner();
    for event in [queued(8), began(7, 60), job_event(8, completed_since(90_000, ours()), 130_000)] {
        book.tell(&event);
    }
    let runner = book.runners.values().next().unwrap();
    assert_eq!((runner.stage(), runner.names_job()), (RunnerStage::Ending, Some(JobId::new(8))));
    assert_eq!(runner.times.job.as_ref().unwrap().started_at, at(90_000));
    assert_eq!(book.plan(at(140_000)).questions, [Question::Job { job: JobId::new(7), on_behalf_of: None }]);
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

/// The end of a job on our runner, with the time at which it had begun.
fn completed_since(millis: i64, runner: TakenBy) -> JobAction {
    let (started_at, completed_at) = (Some(at(millis)), Some(at(90_000)));
    JobAction::Completed { runner, conclusion: Conclusion::Success, started_at, completed_at }
}

fn stages(book: &Book, job: u64) -> Vec<(JobStage, Timestamp)> {
    let JobRecord::Ended(job) = &book.jobs[&JobId::new(job)] else { panic!("{:?}", book.jobs) };
    job.timeline.iter().collect()
}

#[test]
fn the_end_of_a_job_tells_when_it_began_where_nothing_else_did() {
    let ended = job_event(7, completed_since(5_000, ours()), 100_000);
    let began = [(JobStage::InProgress, at(5_000)), (JobStage::Completed, at(90_000))];
    let mut unknown = Book::default();
    unknown.tell(&ended);
    assert_eq!(stages(&unknown, 7), began);

    let mut book = Book::with_runner();
    book.tell(&ended);
    assert_eq!(stages(&book, 7)[1..], began);
    let runner = book.runners.values().next().unwrap();
    let waited = runner.times.job.clone().unwrap();
    assert_eq!((waited.queued_at, waited.started_at), (at(0), at(5_000)));
    assert_eq!(book.tell(&ended).changes, [], "it is told once");

    let mut told = Book::with_runner();
    told.tell(&in_progress(7));
    told.tell(&ended);
    assert_eq!(stages(&told, 7)[1], (JobStage::InProgress, at(110)), "the event counts, which is finer");
    assert_eq!(told.runners.values().next().unwrap().times.job.as_ref().unwrap().started_at, at(110));
}

#[test]
fn a_job_that_no_runner_began_has_no_begin_whatever_github_says_of_it() {
    let mut book = Book::default();
    book.tell(&queued(7));
    // GitHub gives cancelled jobs a time too.
    book.tell(&job_event(7, completed_since(5_000, TakenBy::from_name(None)), 100_000));
    assert_eq!(
        stages(&book, 7).iter().map(|(stage, _)| *stage).collect::<Vec<_>>(),
        [JobStage::Queued, JobStage::Completed]
    );
}

#[test]
fn the_end_of_a_job_tells_its_begin_to_the_runner_in_history_too() {
    for by_answer in [true, false] {
        let mut book = Book::with_runner();
        book.tell(&stopped(AgentExit::Completed));
        book.clean(at(400_000));
        assert_eq!(book.gone[0].times.job, None);
        let told = job_event(7, completed_since(5_000, ours()), 500_000);
        let JobRecord::Open(job) = &book.jobs[&JobId::new(7)] else { panic!("{:?}", book.jobs) };
        let Event::Job(found) = told.clone() else { unreachable!() };
        let answer = JobAnswer {
            job: JobId::new(7),
            asked: job.version,
            on_behalf_of: None,
            outcome: JobOutcome::Found(found),
            at: at(500_000),
        };
        book.tell(&if by_answer { Event::JobAnswer(answer) } else { told });
        let [gone] = &book.gone[..] else { panic!("{:?}", book.gone) };
        assert_eq!(gone.served, Served::Job(JobId::new(7)));
        assert_eq!(gone.times.job.as_ref().unwrap().started_at, at(5_000));
    }
}

#[test]
fn a_runner_in_history_is_given_no_other_job_than_the_one_that_it_is_known_to_have_served() {
    let mut book = Book::with_runner();
    for event in [completed(7), stopped(AgentExit::Completed)] {
        book.tell(&event);
    }
    book.clean(at(400_000));
    book.tell(&queued(8));
    let gone = book.gone.clone();
    assert_eq!((gone.len(), &gone[0].times.job), (1, &None));
    book.tell(&in_progress(8));
    assert_eq!(book.gone, gone);
}

#[test]
fn a_job_that_begins_on_a_runner_that_an_operator_stops_does_not_bring_it_back() {
    let mut book = Book::with_runner();
    let runner = book.runners.values().next().unwrap();
    let stopped = runner.end(EndingKind::StoppedByOperator, None, at(90));
    book.write(&Change::Runner(stopped));
    book.tell(&in_progress(7));
    assert_eq!(book.runners.values().next().unwrap().stage(), RunnerStage::Ending);
}

#[test]
fn an_answer_from_before_the_record_changed_is_dropped() {
    let mut book = Book::default();
    book.tell(&queued(7));
    let JobRecord::Open(before) = book.jobs[&JobId::new(7)].clone() else { unreachable!() };
    book.tell(&in_progress(7));
    let answer = JobAnswer {
        job: JobId::new(7),
        asked: before.version,
        on_behalf_of: None,
        outcome: JobOutcome::Absent,
        at: at(500),
    };
    assert_eq!(book.tell(&Event::JobAnswer(answer)).changes, []);
}

#[test]
fn an_event_of_another_task_of_the_same_name_is_not_the_runners() {
    let mut book = Book::with_runner();
    let Event::Task(event) = stopped(AgentExit::BootFailed) else { unreachable!() };
    let other = Event::Task(TaskEvent { task: TaskId::parse("task0").unwrap(), version: 9, ..event });
    assert_eq!(book.tell(&other).changes, []);
    assert_eq!(book.summary(), "7 queued (to_plan); runner starting");
}
