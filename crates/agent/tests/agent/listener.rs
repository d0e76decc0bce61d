//! The listener's life: its lines, codes, limits and signals.

use std::fs;

use nix::sys::signal::Signal;

use crate::harness::{Agent, COMPLETE, CONNECT, RUN};
use crate::table::{Answer, item};

/// Ends as the real one does: gracefully, with exit code 0.
const GRACEFUL: &str = "trap 'echo interrupted; exit 0' INT";
const STUBBORN: &str = "trap '' INT TERM";
/// Waits for ever, in a way that lets a trap run at once.
const WAIT: &str = "while :; do sleep 60 & wait; done";

#[test]
fn a_completed_job_is_followed_from_start_to_end() {
    let ended = Agent::with_listener(&[CONNECT, RUN, COMPLETE]).run().ended_with(0, "completed");
    assert_eq!(
        ended.messages(),
        [
            "agent started",
            "boot item taken",
            "executing again without AWS",
            "listener started",
            "listener connected",
            "listening for jobs",
            "job running",
            "job completed",
            "listener ended",
            "agent ended",
        ]
    );
    assert!(!ended.path("run/agent").exists());
}

#[test]
fn what_the_listener_prints_comes_through_untouched() {
    let ended =
        Agent::with_listener(&[CONNECT, "echo '  ünchanged  '; echo warning >&2; printf 'no newline'"]).run();
    for line in ["  ünchanged  ", "warning", "no newline"] {
        assert!(ended.lines.iter().any(|seen| seen == line), "{:#?}", ended.lines);
    }
}

#[test]
fn a_missing_listener_and_one_that_cannot_be_executed_are_told_apart_from_a_crash() {
    let item = || vec![Answer::Item(item())];
    Agent::without_listener(item()).run().ended_with(13, "listener_missing");
    let agent = Agent::without_listener(item());
    fs::write(agent.path("runner/bin/Runner.Listener"), "#!/bin/sh\n").unwrap();
    agent.run().ended_with(13, "listener_missing");
}

#[test]
fn a_listener_that_never_connects_is_stopped() {
    Agent::with_listener(&[GRACEFUL, WAIT])
        .env("ECSRUNNER_CONNECT_LIMIT_SECS", 1)
        .run()
        .ended_with(14, "not_connected");
}

#[test]
fn a_runner_without_a_job_is_stopped_after_the_idle_limit() {
    Agent::with_listener(&[GRACEFUL, CONNECT, WAIT])
        .env("ECSRUNNER_IDLE_LIMIT_SECS", 1)
        .run()
        .ended_with(16, "no_job");
}

#[test]
fn a_job_that_runs_too_long_is_cancelled() {
    Agent::with_listener(&[GRACEFUL, CONNECT, RUN, WAIT])
        .env("ECSRUNNER_JOB_LIMIT_SECS", 1)
        .run()
        .ended_with(19, "job_timeout");
}

#[test]
fn a_listener_that_outlives_its_job_is_stopped_and_proves_nothing() {
    Agent::with_listener(&[GRACEFUL, CONNECT, RUN, COMPLETE, WAIT])
        .env("ECSRUNNER_EXIT_LIMIT_SECS", 1)
        .run()
        .ended_with(18, "listener_crashed");
}

#[test]
fn a_listener_that_asks_for_it_is_started_again_ten_times_and_no_more() {
    let ended =
        Agent::with_listener(&["echo once >> starts", "exit 2"]).run().ended_with(18, "listener_crashed");
    assert_eq!(fs::read_to_string(ended.path("runner/starts")).unwrap().lines().count(), 11);
}

#[test]
fn a_listener_that_was_started_again_can_still_complete_its_job() {
    let again = "test -e once || { touch once; exit 2; }";
    Agent::with_listener(&[again, CONNECT, RUN, COMPLETE]).run().ended_with(0, "completed");
}

#[test]
fn a_listener_that_has_seen_a_job_is_never_started_again() {
    let ended = Agent::with_listener(&["echo once >> starts", CONNECT, RUN, "exit 2"]).run();
    let ended = ended.ended_with(18, "listener_crashed");
    assert_eq!(fs::read_to_string(ended.path("runner/starts")).unwrap().lines().count(), 1);
}

#[test]
fn each_exit_code_of_the_listener_has_its_ending() {
    Agent::with_listener(&["exit 7"]).run().ended_with(15, "image_too_old");
    Agent::with_listener(&[CONNECT, "exit 0"]).run().ended_with(17, "registration_lost");
    Agent::with_listener(&["exit 1"]).run().ended_with(18, "listener_crashed");
    Agent::with_listener(&[CONNECT, RUN, "kill -SEGV $$"]).run().ended_with(18, "listener_crashed");
}

#[test]
fn lines_that_only_contain_the_listeners_words_mean_nothing() {
    let doubled = "echo '[RUNNER 2026-11-01 12:00:01Z INFO Terminal] WRITE LINE: Running job: build'";
    Agent::with_listener(&[CONNECT, doubled]).run().ended_with(17, "registration_lost");
}

#[test]
fn a_signal_reaches_the_listener_as_int() {
    for (signal, lines, code, reason) in [
        (Signal::SIGTERM, vec![GRACEFUL, CONNECT, "echo ready", WAIT], 21, "interrupted"),
        (Signal::SIGINT, vec![GRACEFUL, CONNECT, RUN, "echo ready", WAIT], 22, "interrupted_busy"),
    ] {
        let mut agent = Agent::with_listener(&lines).start();
        agent.until("ready").signal(signal);
        let ended = agent.end().ended_with(code, reason);
        assert!(ended.lines.iter().any(|line| line == "interrupted"), "{:#?}", ended.lines);
    }
}

#[test]
fn a_listener_that_ignores_int_is_killed_before_the_container_is() {
    let mut agent = Agent::with_listener(&[STUBBORN, CONNECT, "echo ready", WAIT])
        .env("ECSRUNNER_STOP_TIMEOUT_SECS", 6)
        .start();
    agent.until("ready").signal(Signal::SIGTERM);
    let ended = agent.end().ended_with(21, "interrupted");
    assert!(ended.messages().contains(&"killing listener".to_owned()), "{:#?}", ended.lines);
}

#[test]
fn a_second_signal_kills_at_once() {
    let mut agent = Agent::with_listener(&[STUBBORN, CONNECT, RUN, "echo ready", WAIT]).start();
    agent.until("ready").signal(Signal::SIGTERM);
    agent.until("stopping listener").signal(Signal::SIGTERM);
    agent.end().ended_with(22, "interrupted_busy");
}
