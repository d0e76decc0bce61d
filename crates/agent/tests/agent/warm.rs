//! A warm task: it has booted, and waits for the boot item of whichever runner needs it.

use std::iter::{once, repeat_n};
use std::net::TcpListener;

use jiff::SignedDuration;

use crate::ecs::{Ecs, Told};
use crate::harness::{Agent, COMPLETE, CONNECT, RUN};
use crate::table::{Answer, RUNNER, item};

const JOB: [&str; 3] = [CONNECT, RUN, COMPLETE];

/// The item comes after so many answers that there is none: ten take more than three seconds.
fn item_after(count: usize, answer: &Answer) -> Vec<Answer> {
    once(Answer::Nothing).chain(repeat_n(answer.clone(), count)).chain([Answer::Item(item())]).collect()
}

/// A warm task with boot limit 1 s.
fn warm(answers: Vec<Answer>, listener: &[&str]) -> Agent {
    Agent::with_answers(answers, listener)
        .env("ECSRUNNER_RUNNER", "ecsr-test-warm-01arz3ndektsv4rrffq69g5fav")
        .env("ECSRUNNER_BOOT_LIMIT_SECS", 1)
        .env("ECSRUNNER_WARM_LIMIT_SECS", 60)
}

#[test]
fn a_warm_task_becomes_the_runner_of_its_item_and_all_limits_begin_then() {
    let mut agent = warm(item_after(9, &Answer::Nothing), &["sleep 0.3", CONNECT, RUN, COMPLETE]);
    for limit in ["CONNECT", "IDLE", "HOOK", "JOB", "EXIT"] {
        agent = agent.env(&format!("ECSRUNNER_{limit}_LIMIT_SECS"), 2);
    }
    let ended = agent.run().ended_with(0, "completed");
    assert!(ended.told("boot item taken", "elapsed_ms").as_u64() > Some(2000), "{}", ended.text());
    assert_eq!(ended.told("boot item taken", "runner"), RUNNER);
    assert_eq!(ended.told("waiting for a job", "limit_secs"), 60);
}

#[test]
fn a_warm_task_that_no_job_needs_ends_by_itself() {
    warm(vec![], &JOB).env("ECSRUNNER_WARM_LIMIT_SECS", 2).run().ended_with(35, "not_needed");
}

#[test]
fn a_table_that_fails_for_a_while_does_not_end_a_warm_task() {
    let ended = warm(item_after(9, &Answer::Refusal("ThrottlingException")), &JOB).run();
    let ended = ended.ended_with(0, "completed");
    assert!(ended.told("boot item taken", "elapsed_ms").as_u64() > Some(1000), "{}", ended.text());
    // One line, and not one for each second.
    assert_eq!(ended.messages().iter().filter(|line| *line == "boot table not ready").count(), 1);
}

#[test]
fn a_table_that_a_warm_task_never_reaches_is_a_failed_boot_within_the_boot_limit() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    warm(vec![], &JOB)
        .env("AWS_ENDPOINT_URL_DYNAMODB", format!("http://{closed}"))
        .run()
        .ended_with(11, "boot_failed");
}

#[test]
fn a_permanent_refusal_ends_a_warm_task() {
    let answers = vec![Answer::Nothing, Answer::Refusal("AccessDeniedException")];
    warm(answers, &JOB).run().ended_with(11, "boot_failed");
}

#[test]
fn a_warm_tasks_request_without_an_answer_may_have_taken_an_item() {
    warm(vec![Answer::Nothing, Answer::Silence], &JOB)
        .env("ECSRUNNER_WARM_LIMIT_SECS", 2)
        .run()
        .ended_with(12, "boot_ambiguous");
}

#[test]
fn a_warm_task_fetches_credentials_again_before_they_expire() {
    let two_seconds = Told::Lasting(SignedDuration::from_secs(2));
    let ecs = Ecs::start().credentials_first(&vec![two_seconds; 100]);
    // The table counts a request with expired credentials as wrong.
    let ended = warm(item_after(11, &Answer::Nothing), &JOB).in_task(ecs).run().ended_with(0, "completed");
    assert!(ended.credentials_used() >= 3, "{}", ended.credentials_used());
}

#[test]
fn credentials_that_the_table_calls_expired_are_fetched_again() {
    let hours = Told::Lasting(SignedDuration::from_hours(6));
    let ecs = Ecs::start().credentials_first(&[hours]);
    let answers = item_after(1, &Answer::Refusal("ExpiredTokenException"));
    let ended = warm(answers, &JOB).in_task(ecs).run().ended_with(0, "completed");
    assert_eq!(ended.credentials_used(), 2);
}

#[test]
fn credentials_stay_in_use_if_new_ones_cannot_be_fetched() {
    let ecs = Ecs::start().credentials_first(&[
        Told::Lasting(SignedDuration::from_secs(4)),
        Told::Status(404),
        Told::Status(500),
    ]);
    let ended = warm(item_after(11, &Answer::Nothing), &JOB).in_task(ecs).run().ended_with(0, "completed");
    assert_eq!(ended.credentials_used(), 2);
    assert!(ended.messages().contains(&"credentials not renewed".to_owned()), "{}", ended.text());
}

#[test]
fn credentials_that_stay_expired_are_a_failed_boot() {
    let expired = vec![Answer::Refusal("ExpiredTokenException"); 20];
    let answers = once(Answer::Nothing).chain(expired).collect();
    warm(answers, &JOB).in_task(Ecs::start()).run().ended_with(11, "boot_failed");
    // An agent with an access key has no others.
    warm(item_after(1, &Answer::Refusal("ExpiredTokenException")), &JOB).run().ended_with(11, "boot_failed");
}
