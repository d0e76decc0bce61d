//! Tests that a runner's record says why its job ended, whether the agent's report
//! or GitHub's webhook comes first.

use super::*;
use crate::records::hold::Held;
use crate::records::runner::RunnerStage;
use crate::wire::fault::Fault;

/// Each ending of an agent while its job ran, with the code of its reason.
const UNDER_A_JOB: [(AgentExit, Code); 8] = [
    (AgentExit::JobTimeout, Code::JobTimeout),
    (AgentExit::JobRefused, Code::JobRefused),
    (AgentExit::HookSilent, Code::HookSilent),
    (AgentExit::JobNotStarted, Code::JobNotStarted),
    (AgentExit::JobAbandoned, Code::JobAbandoned),
    (AgentExit::ListenerHung, Code::ListenerHung),
    (AgentExit::InterruptedBusy, Code::Interrupted),
    (AgentExit::ListenerCrashed, Code::AgentCrashed),
];

/// Returns the kind and reason of the only runner's end, whether it is gone or not.
fn ending(book: &Book) -> (EndingKind, Option<Code>) {
    let code = |note: &Option<Reason>| note.as_ref().map(Reason::code);
    let open = book.runners.values().map(|runner| match &runner.state {
        RunnerState::Ending(ending) => (ending.kind, code(&ending.note)),
        state => panic!("it has not ended: {state:?}"),
    });
    let mut all = open.chain(book.gone.iter().map(|runner| (runner.kind, code(&runner.note))));
    all.next().unwrap()
}

#[test]
fn the_agents_reason_is_kept_when_githubs_webhook_came_first() {
    for (exit, reason) in UNDER_A_JOB {
        let mut book = Book::with_runner();
        for event in [in_progress(7), completed(7), stopped(exit)] {
            book.tell(&event);
        }
        assert_eq!(ending(&book), (EndingKind::Completed, Some(reason)), "{exit:?}");
    }
}

#[test]
fn the_agents_reason_is_kept_when_githubs_webhook_comes_later() {
    for (exit, reason) in UNDER_A_JOB {
        for begins_with in [vec![in_progress(7)], vec![task(1, TaskChange::Running)], vec![]] {
            let mut book = Book::with_runner();
            // Before GitHub has named a job, a crash is not the reason of a job's end.
            if begins_with.is_empty() && exit == AgentExit::ListenerCrashed {
                continue;
            }
            for event in begins_with.iter().chain([&stopped(exit), &completed(7), &completed(7)]) {
                book.tell(event);
            }
            let (kind, told) = ending(&book);
            match exit {
                // The limit is ours, so the ending keeps its kind.
                AgentExit::JobTimeout => assert_eq!((kind, told), (EndingKind::JobTimeout, None)),
                _ => assert_eq!((kind, told), (EndingKind::Completed, Some(reason)), "{exit:?}"),
            }
        }
    }
}

/// Returns the reason in the record of job 7, which has ended.
fn reason_of_the_job(book: &Book) -> Option<Code> {
    match &book.jobs[&JobId::new(7)] {
        JobRecord::Ended(EndedJob { ending: JobEnding::Completed { reason, .. }, .. }) => {
            reason.as_ref().map(Reason::code)
        }
        other => panic!("it has not completed: {other:?}"),
    }
}

#[test]
fn why_a_failed_job_ended_stands_in_its_own_record_in_either_order() {
    for (exit, reason) in UNDER_A_JOB {
        for late in [true, false] {
            let mut book = Book::with_runner();
            book.tell(&in_progress(7));
            let (github, agent) = (failed(7), stopped(exit));
            let events = if late { [&github, &agent, &agent] } else { [&agent, &github, &github] };
            events.into_iter().for_each(|event| drop(book.tell(event)));
            assert_eq!(reason_of_the_job(&book), Some(reason), "{exit:?}, the agent's word late: {late}");
        }
    }
}

#[test]
fn a_job_that_succeeded_has_no_reason_whatever_became_of_its_runner() {
    for (exit, _) in UNDER_A_JOB {
        let mut book = Book::with_runner();
        [in_progress(7), completed(7), stopped(exit)].iter().for_each(|event| drop(book.tell(event)));
        assert_eq!(reason_of_the_job(&book), None, "{exit:?}");
    }
}

#[test]
fn a_spot_interruption_is_the_reason_in_either_order() {
    let interrupted = task(2, TaskChange::Stopped(StopCause::SpotInterrupted));
    for events in
        [[in_progress(7), completed(7), interrupted.clone()], [in_progress(7), interrupted, completed(7)]]
    {
        let mut book = Book::with_runner();
        events.iter().for_each(|event| drop(book.tell(event)));
        assert_eq!(ending(&book), (EndingKind::Completed, Some(Code::SpotInterrupted)));
    }
}

#[test]
fn a_completed_job_has_no_reason_beside_githubs_word() {
    for events in
        [[completed(7), stopped(AgentExit::Completed)], [stopped(AgentExit::Completed), completed(7)]]
    {
        let mut book = Book::with_runner();
        events.iter().for_each(|event| drop(book.tell(event)));
        assert_eq!(ending(&book), (EndingKind::Completed, None));
    }
}

#[test]
fn a_job_that_was_interrupted_on_a_surplus_runner_has_that_reason() {
    let mut book = Book::with_runner();
    let retired = book.runners.values().next().unwrap().end(EndingKind::Surplus, None, at(90));
    book.write(&Change::Runner(retired));
    book.tell(&stopped(AgentExit::InterruptedBusy));
    book.tell(&completed(7));
    assert_eq!(ending(&book), (EndingKind::Completed, Some(Code::Interrupted)));
}

#[test]
fn only_a_completed_agent_and_githubs_webhook_together_prove_that_the_registration_is_gone() {
    for exit in AgentExit::ALL {
        let mut book = Book::with_runner();
        for event in [in_progress(7), completed(7), stopped(exit)] {
            book.tell(&event);
        }
        assert_eq!(book.runners.is_empty(), exit == AgentExit::Completed, "{exit:?}: {}", book.summary());
    }
}

#[test]
fn what_github_did_with_a_job_is_no_fault_of_the_runners_class() {
    let faulty = [EndingKind::BootFailed, EndingKind::AgentCrashed];
    for exit in
        [AgentExit::JobNotStarted, AgentExit::JobAbandoned, AgentExit::JobWithdrawn, AgentExit::HookSilent]
    {
        let mut book = Book::with_runner();
        book.tell(&stopped(exit));
        assert!(!faulty.contains(&ending(&book).0), "{exit:?}");
        assert_eq!(book.plan(at(300)).launches.len(), 1, "its job may still be queued: {exit:?}");
    }
}

#[test]
fn a_task_that_was_not_needed_is_no_fault_of_anything() {
    let mut book = Book::with_runner();
    book.tell(&stopped(AgentExit::NotNeeded));
    assert_eq!(ending(&book), (EndingKind::BootFailed, Some(Code::BootFailed)));
    assert_eq!(book.plan(at(300)).launches.len(), 1, "its job gets another runner");
    assert_eq!(crate::decide::learn::learn(&book.open(), at(300)).len(), 0);
    // The code before it is one.
    let mut book = Book::with_runner();
    book.tell(&stopped(AgentExit::NoBootItem));
    assert_ne!(crate::decide::learn::learn(&book.open(), at(300)).len(), 0);
}

#[test]
fn a_session_that_fails_is_held_against_the_pool_and_not_the_class() {
    for exit in [
        AgentExit::SessionConflict,
        AgentExit::GithubUnavailable,
        AgentExit::SessionRefused,
        AgentExit::NotConnected,
    ] {
        let mut book = Book::with_runner();
        book.tell(&stopped(exit));
        assert_eq!(book.plan(at(300)).launches.len(), 1, "its job gets another runner: {exit:?}");
        let held = crate::decide::learn::learn(&book.open(), at(300));
        let held: Vec<bool> = held
            .iter()
            .filter_map(|change| match change {
                Change::Hold(hold) if hold.is_effective() => Some(matches!(hold.held, Held::Pool(_))),
                _ => None,
            })
            .collect();
        assert_eq!(held, [true], "{exit:?}");
    }
}

#[test]
fn a_listener_that_hangs_after_its_job_is_stopped_once_github_lets_it_go() {
    let mut book = Book::with_runner();
    book.tell(&in_progress(7));
    book.tell(&completed(7));
    let runner = book.runners.values().next().unwrap().clone();
    let ended = runner.timeline.last_at(RunnerStage::Ending).unwrap();
    let after = |minutes| ended + SignedDuration::from_mins(minutes);
    assert_eq!(runner.next(after(2)), Next::Now(Step::DeleteRegistration));
    let busy = runner.registration_busy(RunnerId::new(1), after(3)).unwrap_or_else(|| runner.clone());
    assert_ne!(busy.next(after(60)), Next::Now(Step::StopTask), "GitHub says that it works");
    let deleted = runner.registration_deleted(after(3)).unwrap();
    assert_eq!(deleted.next(after(3)), Next::At(after(8)));
    assert_eq!(deleted.next(after(8)), Next::Now(Step::StopTask));
}

#[test]
fn only_githubs_own_answer_stops_a_task_whose_runner_github_calls_busy() {
    let mut book = Book::with_runner();
    book.tell(&in_progress(7));
    book.tell(&completed(7));
    let runner = book.runners.values().next().unwrap().clone();
    let ended = runner.timeline.last_at(RunnerStage::Ending).unwrap();
    let after = |minutes| ended + SignedDuration::from_mins(minutes);
    assert_eq!(runner.job_to_confirm(after(7)), None);
    assert_eq!(runner.job_to_confirm(after(8)), Some(JobId::new(7)));
    let completes = |runner: TakenBy, minutes| JobAction::Completed {
        runner,
        conclusion: Conclusion::Cancelled,
        started_at: None,
        completed_at: Some(after(minutes)),
    };
    let other = TakenBy::from_name(Some("ecsr-test-abcdefg234-01arz3ndektsv4rrffq69g5fbw"));
    for (job, action, is_over) in [
        (7, completes(ours(), 0), true),
        // The webhook was forged, and the job has ended since.
        (7, completes(ours(), 3), false),
        (7, completes(other, 0), false),
        (7, completes(TakenBy::Other(None), 0), false),
        (8, completes(ours(), 0), false),
        (7, JobAction::InProgress { runner: ours(), started_at: None }, false),
        (7, JobAction::Queued, false),
    ] {
        let Event::Job(answer) = job_event(job, action.clone(), 600_000) else { panic!("an event of a job") };
        assert_eq!(runner.is_outlived(&answer, after(9)), is_over, "{job} {action:?}");
    }
    let stopping = runner.end(EndingKind::Completed, None, after(9)).task_stopping(after(9)).unwrap();
    assert_eq!(stopping.job_to_confirm(after(60)), None, "it is asked once");
}

#[test]
fn a_job_that_runs_for_an_hour_is_asked_about() {
    let mut book = Book::with_runner();
    book.tell(&in_progress(7));
    let asks = |book: &Book, minutes| {
        let about = Question::Job { job: JobId::new(7), on_behalf_of: None };
        book.plan(at(100) + SignedDuration::from_mins(minutes)).questions.contains(&about)
    };
    assert!(!asks(&book, 59));
    assert!(asks(&book, 61));
}

#[test]
fn a_refusal_is_remembered_in_either_order_of_its_reports() {
    let refused = stopped(AgentExit::JobRefused);
    for events in [[in_progress(7), failed(7), refused.clone()], [in_progress(7), refused, failed(7)]] {
        let mut book = Book::with_runner();
        events.iter().for_each(|event| drop(book.tell(event)));
        let RunnerState::Ending(ending) = &book.runners.values().next().unwrap().state else {
            panic!("{events:?}")
        };
        assert_eq!(
            (ending.kind, ending.fault),
            (EndingKind::Completed, Some(Fault::JobRefused)),
            "{events:?}"
        );
    }
}

#[test]
fn a_container_that_never_ran_is_no_fault_of_its_pool_whatever_the_words_are() {
    for words in ["words that ECS has added", "exit code 1: it failed", "OutOfMemoryError: before it ran"] {
        let mut book = Book::with_runner();
        book.tell(&task(1, TaskChange::Stopped(StopCause::FailedToStart(words.into()))));
        let fault = book.runners.values().find_map(|runner| match &runner.state {
            RunnerState::Ending(ending) => ending.fault,
            _ => None,
        });
        assert_eq!(fault, Some(Fault::NeverStarted), "{words}");
        let lessons = crate::decide::learn::learn(&book.open(), at(1_000));
        let is_of_pool =
            |change: &Change| matches!(change, Change::Hold(hold) if matches!(hold.held, Held::Pool(_)));
        assert!(lessons.len() > 1 && !lessons.iter().any(is_of_pool), "{words}: {lessons:?}");
    }
    let mut book = Book::with_runner();
    let pull = "CannotPullContainerError: manifest unknown";
    book.tell(&task(1, TaskChange::Stopped(StopCause::FailedToStart(pull.into()))));
    let is_pull = |runner: &Runner| matches!(&runner.state, RunnerState::Ending(ending) if ending.fault == Some(Fault::ImagePull));
    assert!(book.runners.values().any(is_pull));
}

#[test]
fn a_container_that_ran_out_of_memory_is_named_with_its_class_and_what_that_has() {
    let words = "exit code 137: OutOfMemoryError: Container killed due to memory usage";
    for (words, code) in [(words, Code::OutOfMemory), ("exit code 137", Code::AgentCrashed)] {
        let mut book = Book::with_runner();
        let ended = task(9, TaskChange::Stopped(StopCause::Unknown(words.into())));
        for event in [in_progress(7), ended, failed(7)] {
            book.tell(&event);
        }
        let JobRecord::Ended(job) = &book.jobs[&JobId::new(7)] else { panic!("{:?}", book.jobs) };
        let JobEnding::Completed { reason: Some(reason), .. } = &job.ending else { panic!("{job:?}") };
        assert_eq!(reason.code(), code, "{words}");
        if code == Code::OutOfMemory {
            let expected = format!(
                "the job needed more memory than its runner has: class `small` has 1024 MiB: {words}"
            );
            assert_eq!(reason.text(), expected);
        }
    }
}

#[test]
fn a_job_whose_end_was_told_before_its_start_has_its_wait_told_once_all_the_same() {
    let mut book = Book::with_runner();
    book.tell(&completed(7));
    let times = |book: &Book| {
        let runner = book.runners.values().next().unwrap();
        (runner.times.job.clone(), runner.version)
    };
    assert_eq!(times(&book).0, None);
    book.tell(&in_progress(7));
    let (told, version) = times(&book);
    let JobRecord::Ended(job) = &book.jobs[&JobId::new(7)] else { panic!("{:?}", book.jobs) };
    assert_eq!(told.unwrap().queued_at, job.created_at);
    book.tell(&in_progress(7));
    assert_eq!(times(&book).1, version, "once");
}
