//! Taking the boot item.

use serde_json::json;

use crate::harness::{Agent, COMPLETE, CONNECT, RUN};
use crate::table::{Answer, JIT, item};

const JOB: [&str; 3] = [CONNECT, RUN, COMPLETE];

#[test]
fn an_item_that_comes_later_is_waited_for() {
    let answers = vec![
        Answer::Nothing,
        Answer::Refusal("TransactionConflictException"),
        Answer::Nothing,
        Answer::Item(item()),
    ];
    Agent::with_answers(answers, &JOB).run().ended_with(0, "completed");
}

#[test]
fn no_item_within_the_boot_limit_is_an_ending_of_its_own() {
    Agent::with_answers(vec![], &JOB)
        .env("ECSRUNNER_BOOT_LIMIT_SECS", 1)
        .run()
        .ended_with(10, "no_boot_item");
}

#[test]
fn a_table_that_is_never_reached_is_a_failed_boot() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    Agent::with_answers(vec![], &JOB)
        .env("AWS_ENDPOINT_URL_DYNAMODB", format!("http://{closed}"))
        .env("ECSRUNNER_BOOT_LIMIT_SECS", 1)
        .run()
        .ended_with(11, "boot_failed");
}

#[test]
fn a_refused_request_is_a_failed_boot_at_once() {
    let ended = Agent::with_answers(vec![Answer::Refusal("AccessDeniedException")], &JOB)
        .run()
        .ended_with(11, "boot_failed");
    assert!(ended.text().contains("boot table `boot` refuses the request: AccessDeniedException"));
}

#[test]
fn a_request_without_an_answer_and_nothing_after_it_is_ambiguous() {
    Agent::with_answers(vec![Answer::Silence], &JOB)
        .env("ECSRUNNER_BOOT_LIMIT_SECS", 1)
        .run()
        .ended_with(12, "boot_ambiguous");
}

#[test]
fn a_request_without_an_answer_is_forgotten_once_the_item_comes() {
    Agent::with_answers(vec![Answer::Silence, Answer::Item(item())], &JOB).run().ended_with(0, "completed");
}

#[test]
fn an_item_that_cannot_be_read_is_named_without_its_secret() {
    let mut broken = item();
    broken["runner"] = json!({"S": "my-runner"});
    let ended =
        Agent::with_answers(vec![Answer::Item(broken)], &JOB).run().ended_with(24, "boot_item_unreadable");
    assert!(ended.text().contains("attribute `runner`") && !ended.text().contains(JIT), "{}", ended.text());
}

#[test]
fn a_clock_that_is_wrong_is_told_and_awss_own_time_is_used() {
    let answers = vec![Answer::WrongTime(3600), Answer::Nothing, Answer::Item(item())];
    let ended = Agent::with_answers(answers, &JOB).run().ended_with(0, "completed");
    assert!(ended.text().contains("this machine's clock is wrong"), "{}", ended.text());
}

#[test]
fn a_refused_signature_at_the_right_time_is_a_failed_boot() {
    let answers = vec![Answer::WrongTime(0)];
    Agent::with_answers(answers, &JOB).run().ended_with(11, "boot_failed");
}

#[test]
fn a_wrong_environment_is_told_in_one_line_with_all_its_faults() {
    let ended = Agent::with_answers(vec![], &JOB)
        .env("AWS_REGION", "")
        .env("ECSRUNNER_STOP_TIMEOUT_SECS", 5)
        .run()
        .ended_with(1, "failed");
    let faults = "AWS_REGION is not set; ECSRUNNER_STOP_TIMEOUT_SECS is 5; 6 to 604800 is expected";
    assert!(ended.lines.last().unwrap().contains(faults), "{}", ended.text());
}

#[test]
fn a_signal_ends_the_wait() {
    let mut agent = Agent::with_answers(vec![], &JOB).start();
    agent.until("agent started");
    // The signal handlers are installed before the table is polled.
    agent.until_polled().signal(nix::sys::signal::Signal::SIGTERM);
    agent.end().ended_with(21, "interrupted");
}
