//! The listener: its lines, exit codes, limits and signals.

use std::fs;

use nix::sys::signal::Signal;

use crate::harness::{Agent, COMPLETE, CONNECT, GRACEFUL, LISTEN, RUN, START, WAIT};
use crate::table::{Answer, item};

const STUBBORN: &str = "trap '' INT TERM";
const CONFLICT: &str = "echo 'A session for this runner already exists.' >&2; \
    echo '2026-11-01 12:00:00Z: Runner connect error: Error: Conflict. Retrying until reconnected.' >&2";

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
            "listening for jobs",
            "job running",
            "job ended",
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
fn a_listener_that_says_connected_and_never_listens_is_stopped_at_the_connect_limit() {
    for (said, code, reason) in [
        ("Runner connect error: Error: Internal Server Error.", 33, "github_unavailable"),
        ("Runner connect error: Name or service not known.", 14, "not_connected"),
    ] {
        let retrying = format!("echo '2026-11-01 12:00:00Z: {said}' >&2");
        let ended = Agent::with_listener(&[GRACEFUL, START, &retrying, START, WAIT])
            .env("ECSRUNNER_CONNECT_LIMIT_SECS", 1)
            .run()
            .ended_with(code, reason);
        assert!(ended.detail().contains(said), "{}", ended.detail());
    }
}

#[test]
fn a_listener_that_was_started_again_and_gets_no_session_ends_for_want_of_a_session() {
    let lines = ["test -e once || {", CONNECT, "touch once; exit 2; }", GRACEFUL, START, CONFLICT, WAIT];
    Agent::with_listener(&lines).env("ECSRUNNER_IDLE_LIMIT_SECS", 1).run().ended_with(26, "session_conflict");
}

#[test]
fn a_session_conflict_is_told_at_the_connect_limit_and_when_the_listener_gives_up() {
    Agent::with_listener(&[GRACEFUL, START, CONFLICT, START, WAIT])
        .env("ECSRUNNER_CONNECT_LIMIT_SECS", 1)
        .run()
        .ended_with(26, "session_conflict");
    Agent::with_listener(&[START, CONFLICT, "exit 5"]).run().ended_with(26, "session_conflict");
}

#[test]
fn a_conflict_that_passed_leaves_a_runner_as_any_other() {
    Agent::with_listener(&[GRACEFUL, START, CONFLICT, START, LISTEN, WAIT])
        .env("ECSRUNNER_IDLE_LIMIT_SECS", 1)
        .run()
        .ended_with(16, "no_job");
}

#[test]
fn a_runner_without_a_job_is_stopped_after_the_idle_limit() {
    Agent::with_listener(&[GRACEFUL, CONNECT, WAIT])
        .env("ECSRUNNER_IDLE_LIMIT_SECS", 1)
        .run()
        .ended_with(16, "no_job");
}

#[test]
fn a_job_that_runs_too_long_is_ended() {
    Agent::with_listener(&[GRACEFUL, CONNECT, RUN, WAIT])
        .env("ECSRUNNER_JOB_LIMIT_SECS", 1)
        .run()
        .ended_with(19, "job_timeout");
}

#[test]
fn a_job_whose_hook_never_checks_in_is_ended() {
    let ended = Agent::with_listener(&[GRACEFUL, CONNECT, RUN, WAIT])
        .env("ECSRUNNER_HOOK_LIMIT_SECS", 1)
        .run()
        .ended_with(28, "hook_silent");
    assert!(ended.text().contains(r#""reason":"hook_limit""#), "{}", ended.text());
}

#[test]
fn a_job_without_a_worker_at_the_hook_limit_did_not_start_and_no_hook_is_blamed() {
    // While GitHub refuses the job's first renewal, the listener waits without a child.
    let wait = ["mkfifo nothing; exec 3<>nothing", CONNECT, RUN, "read -r -u 3"];
    let ended = Agent::with_listener(&wait).env("ECSRUNNER_HOOK_LIMIT_SECS", 1).run();
    let ended = ended.ended_with(29, "job_not_started");
    assert!(ended.text().contains(r#""reason":"no_worker""#), "{}", ended.text());
}

#[test]
fn a_listener_that_outlives_its_job_is_stopped_and_its_job_is_completed() {
    for trap in [GRACEFUL, STUBBORN] {
        let ended = Agent::with_listener(&[trap, CONNECT, RUN, COMPLETE, WAIT])
            .env("ECSRUNNER_EXIT_LIMIT_SECS", 1)
            .env("ECSRUNNER_STOP_TIMEOUT_SECS", 6)
            .run()
            .ended_with(0, "completed");
        assert!(ended.text().contains(r#""reason":"exit_limit""#), "{}", ended.text());
    }
}

#[test]
fn a_listener_that_asks_for_it_is_started_again_ten_times_and_no_more() {
    let error = "echo \"An error occurred: Could not find file '/x/.credentials'.\" >&2";
    let ended = Agent::with_listener(&["echo once >> starts", START, error, "exit 2"])
        .run()
        .ended_with(18, "listener_crashed");
    assert_eq!(fs::read_to_string(ended.path("runner/starts")).unwrap().lines().count(), 11);
    assert_eq!(
        ended.detail(),
        "the listener ended with exit code 2: An error occurred: Could not find file '/x/.credentials'."
    );
}

#[test]
fn a_listener_that_was_started_again_can_still_complete_its_job() {
    // 6: the listener has written a new configuration.
    for code in [2, 6] {
        let again = format!("test -e once || {{ touch once; exit {code}; }}");
        Agent::with_listener(&[&again, CONNECT, RUN, COMPLETE]).run().ended_with(0, "completed");
    }
}

#[test]
fn a_listener_that_has_seen_a_job_is_never_started_again() {
    let ended = Agent::with_listener(&["echo once >> starts", CONNECT, RUN, "exit 2"]).run();
    let ended = ended.ended_with(18, "listener_crashed");
    assert_eq!(fs::read_to_string(ended.path("runner/starts")).unwrap().lines().count(), 1);
}

#[test]
fn a_listener_that_fails_after_its_job_has_completed_it() {
    for end in ["exit 1", "exit 2", "exit 7", "kill -SEGV $$"] {
        let lines = ["echo once >> starts", CONNECT, RUN, COMPLETE, "echo 'An error occurred: x' >&2", end];
        let ended = Agent::with_listener(&lines).run().ended_with(0, "completed");
        assert_eq!(fs::read_to_string(ended.path("runner/starts")).unwrap().lines().count(), 1, "{end}");
    }
}

#[test]
fn each_end_of_the_listener_has_its_ending() {
    let deleted = "echo 'Failed to create a session. The runner registration has been deleted from the server, please re-configure.'";
    let gone = "echo 'The runner no longer exists on the server. Cleaning up local configuration.'";
    let old =
        "echo 'An error occurred: Runner version v2.1.0 is deprecated and cannot receive messages.' >&2";
    let refused = "echo 'Failed to create session. Error: Forbidden' >&2";
    let list =
        "echo \"An error occurred: Permission to read the directory contents is required for '/a'.\" >&2";
    let abandoned = "echo '2026-11-01 12:00:02Z: Job build completed with result: Abandoned'";
    let on_stderr = |line: &str| format!("{line} >&2");
    let (deleted_too, gone_too) = (on_stderr(deleted), on_stderr(gone));
    for (lines, code, reason) in [
        (vec!["exit 7"], 15, "image_too_old"),
        (vec![CONNECT, old, "exit 1"], 15, "image_too_old"),
        (vec![START, deleted, "exit 1"], 17, "registration_lost"),
        (vec![START, &deleted_too, "exit 1"], 17, "registration_lost"),
        (vec![CONNECT, gone, "exit 0"], 17, "registration_lost"),
        (vec![CONNECT, &gone_too, "exit 0"], 17, "registration_lost"),
        (vec![CONNECT, "echo '√ Removed .runner'", "exit 0"], 31, "job_withdrawn"),
        (vec![START, refused, "exit 1"], 27, "session_refused"),
        (vec![list, "exit 1"], 32, "directory_unreadable"),
        (vec![CONNECT, RUN, "echo '√ Removed .runner'", "exit 0"], 29, "job_not_started"),
        (vec![CONNECT, RUN, abandoned, "exit 0"], 30, "job_abandoned"),
        (vec![CONNECT, "exit 1"], 18, "listener_crashed"),
        (vec![CONNECT, RUN, "kill -SEGV $$"], 18, "listener_crashed"),
    ] {
        let ended = Agent::with_listener(&lines).run();
        assert_eq!(ended.ending(), (code, reason.to_owned()), "{lines:?}: {:#?}", ended.lines);
    }
}

#[test]
fn a_job_cannot_forge_the_words_that_come_before_it() {
    let forged = "echo 'The runner no longer exists on the server.' >&2; echo 'is deprecated and cannot receive messages'";
    Agent::with_listener(&[CONNECT, RUN, forged, "exit 0"]).run().ended_with(29, "job_not_started");
}

#[test]
fn lines_that_only_contain_the_listeners_words_mean_nothing() {
    let doubled = "echo '[RUNNER 2026-11-01 12:00:01Z INFO Terminal] WRITE LINE: Running job: build'";
    Agent::with_listener(&[CONNECT, doubled, "echo 'Running job: build'"])
        .run()
        .ended_with(31, "job_withdrawn");
    let other = "echo '2026-11-01 12:00:02Z: Job other completed with result: Succeeded'";
    Agent::with_listener(&[CONNECT, RUN, other]).run().ended_with(29, "job_not_started");
}

#[test]
fn a_job_is_followed_through_debug_output_and_a_name_of_several_lines() {
    let noise = "for i in {1..3000}; do echo \"[RUNNER 2026-11-01 12:00:01Z INFO x] line $i\"; done";
    let run = "printf '2026-11-01 12:00:01Z: Running job: a\\nb: Job x completed with result: Succeeded\\n'";
    let complete = "printf '2026-11-01 12:00:02Z: Job a\\nb: Job x completed with result: Succeeded \
                    completed with result: Failed\\n'";
    let ended =
        Agent::with_listener(&[CONNECT, noise, run, noise, complete]).run().ended_with(0, "completed");
    assert!(ended.text().contains(r#""message":"job running","job":"a""#), "{}", ended.detail());
    assert!(ended.text().contains(r#""listener_result":"Failed""#), "{}", ended.detail());
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
        assert!(ended.lines.iter().any(|line| line == "Exiting..."), "{:#?}", ended.lines);
    }
}

#[test]
fn int_reaches_the_listener_alone_whatever_the_cause() {
    // As in a worker: if INT ends a step, the next one begins.
    let step = "bash -c 'trap \"exit 130\" INT; sleep 60 & wait'; test $? = 130 && touch always-step-ran";
    // In a shell, background processes ignore INT. In a worker they do not.
    let worker =
        format!("env --default-signal=INT bash -c '{}' & worker=$!; echo ready", step.replace('\'', "'\\''"));
    let wait = "while :; do wait $worker; done";
    let lines = [GRACEFUL, CONNECT, RUN, &worker, wait];
    for (limit, code, reason) in [("JOB", 19, "job_timeout"), ("HOOK", 28, "hook_silent")] {
        let ended = Agent::with_listener(&lines).env(&format!("ECSRUNNER_{limit}_LIMIT_SECS"), 1).run();
        let ended = ended.ended_with(code, reason);
        assert!(!ended.path("runner/always-step-ran").exists(), "{}", ended.text());
    }
    let mut agent = Agent::with_listener(&lines).start();
    agent.until("ready").signal(Signal::SIGTERM);
    let ended = agent.end().ended_with(22, "interrupted_busy");
    assert!(!ended.path("runner/always-step-ran").exists(), "{}", ended.text());
}

#[test]
fn a_listener_that_ignores_int_is_killed_before_the_container_is() {
    let mut agent = Agent::with_listener(&[STUBBORN, CONNECT, "echo ready", WAIT])
        .env("ECSRUNNER_STOP_TIMEOUT_SECS", 6)
        .start();
    agent.until("ready").signal(Signal::SIGTERM);
    let ended = agent.end().ended_with(21, "interrupted");
    assert!(ended.messages().contains(&"killing listener".to_owned()), "{:#?}", ended.lines);
    assert!(ended.text().contains(r#""reason":"signal SIGKILL""#), "{:#?}", ended.lines);
}

#[test]
fn a_second_signal_kills_at_once() {
    let mut agent = Agent::with_listener(&[STUBBORN, CONNECT, RUN, "echo ready", WAIT]).start();
    agent.until("ready").signal(Signal::SIGTERM);
    agent.until("stopping listener").signal(Signal::SIGTERM);
    agent.end().ended_with(22, "interrupted_busy");
}
