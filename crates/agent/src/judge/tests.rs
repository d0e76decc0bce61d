use std::time::Instant;

use nix::sys::signal::Signal;

use super::*;

const DELETED: &str = "Failed to create a session. The runner registration has been deleted from the server";
const GONE: &str = "The runner no longer exists on the server. Cleaning up local configuration.";
const DEPRECATED: &str =
    "An error occurred: Runner version v2.1.0 is deprecated and cannot receive messages.";
const CONFLICT: &str = "A session for this runner already exists.";
const RETRYING: &str =
    "2026-11-28 20:47:08Z: Runner connect error: Error: Conflict. Retrying until reconnected.";
const ERRORS: &str =
    "2026-11-28 20:47:08Z: Runner connect error: Error: Internal Server Error. Retrying until reconnected.";
const NO_NETWORK: &str =
    "2026-11-28 20:47:08Z: Runner connect error: Name or service not known. Retrying until reconnected.";
const REFUSED: &str = "Failed to create session. Error: Forbidden";
const LIST: &str = "An error occurred: Permission to read the directory contents is required for '/a'";

fn running() -> Phase {
    Phase::Running { since: Instant::now() }
}

fn completed_with(result: &str) -> Phase {
    Phase::Completed { result: result.to_owned(), since: Instant::now() }
}

fn words(line: &str) -> Words {
    let mut words = Words::default();
    words.hear(line, true);
    words
}

fn own_end(phase: &Phase, line: &str, status: Status) -> Ending {
    ListenerEnd { stopped: None, phase, words: &words(line), status }.judge()
}

fn stopped(cause: &Cause, then: &Phase, phase: &Phase, line: &str) -> AgentExit {
    let end =
        ListenerEnd { stopped: Some((cause, then)), phase, words: &words(line), status: Status::Code(0) };
    end.judge().exit
}

#[test]
fn each_end_of_the_listener_before_its_job_has_its_ending() {
    let (starting, listening) = (Phase::Starting, Phase::Listening);
    for (phase, line, code, exit) in [
        (&starting, DELETED, 1, AgentExit::RegistrationLost),
        (&listening, GONE, 0, AgentExit::RegistrationLost),
        (&starting, GONE, 0, AgentExit::RegistrationLost),
        (&listening, "", 0, AgentExit::JobWithdrawn),
        (&starting, "", 0, AgentExit::ListenerCrashed),
        (&listening, DEPRECATED, 7, AgentExit::ImageTooOld),
        (&listening, "", 7, AgentExit::ImageTooOld),
        (&listening, DEPRECATED, 1, AgentExit::ImageTooOld),
        (&listening, DEPRECATED, 2, AgentExit::ImageTooOld),
        (&starting, CONFLICT, 5, AgentExit::SessionConflict),
        (&starting, "", 5, AgentExit::SessionConflict),
        (&starting, REFUSED, 1, AgentExit::SessionRefused),
        (&starting, LIST, 1, AgentExit::DirectoryUnreadable),
        (&starting, "Not configured. Run config.(sh/cmd)", 1, AgentExit::ListenerCrashed),
        (&listening, "", 1, AgentExit::ListenerCrashed),
        (&starting, "Could not find file", 2, AgentExit::ListenerCrashed),
        (&listening, CONFLICT, 1, AgentExit::ListenerCrashed),
        (&starting, ERRORS, 2, AgentExit::GithubUnavailable),
        (&listening, ERRORS, 1, AgentExit::ListenerCrashed),
    ] {
        let ending = own_end(phase, line, Status::Code(code));
        assert_eq!(ending.exit, exit, "{phase:?} `{line}` {code}");
        assert!(ending.detail.contains(line), "the detail says it in words: {}", ending.detail);
    }
}

#[test]
fn a_job_that_ended_is_completed_whatever_the_listener_does_afterwards() {
    let statuses = [0, 1, 2, 7, 143].map(Status::Code);
    for status in statuses.into_iter().chain([Status::Signal(Signal::SIGKILL), Status::Stuck]) {
        for result in ["Succeeded", "Failed", "Canceled"] {
            let ending = own_end(&completed_with(result), GONE, status);
            assert_eq!(ending.exit, AgentExit::Completed, "{result} {status}");
            assert!(!ending.detail.contains(result), "GitHub alone tells how it ended: {}", ending.detail);
        }
        let abandoned = own_end(&completed_with("Abandoned"), "", status);
        assert_eq!(abandoned.exit, AgentExit::JobAbandoned, "{status}");
    }
}

#[test]
fn a_listener_that_ends_under_its_job_without_a_word_on_it_was_not_let_start_or_crashed() {
    assert_eq!(own_end(&running(), "", Status::Code(0)).exit, AgentExit::JobNotStarted);
    for status in [Status::Code(1), Status::Code(2), Status::Code(7), Status::Signal(Signal::SIGSEGV)] {
        assert_eq!(own_end(&running(), "", status).exit, AgentExit::ListenerCrashed, "{status}");
    }
}

#[test]
fn only_an_exception_without_a_meaning_is_tried_again() {
    for (phase, line, code, again) in [
        (Phase::Starting, "An error occurred: x", 2, true),
        (Phase::Listening, "", 2, true),
        (Phase::Starting, RETRYING, 2, true),
        (Phase::Starting, ERRORS, 2, true),
        (Phase::Listening, "", 6, true),
        (running(), "", 6, false),
        (Phase::Starting, DELETED, 2, false),
        (Phase::Listening, DEPRECATED, 2, false),
        (Phase::Starting, "", 1, false),
        (running(), "", 2, false),
        (completed_with("Failed"), "", 2, false),
    ] {
        let end =
            ListenerEnd { stopped: None, phase: &phase, words: &words(line), status: Status::Code(code) };
        assert_eq!(end.is_retryable(), again, "{phase:?} `{line}` {code}");
    }
}

#[test]
fn at_the_connect_limit_the_listeners_words_decide() {
    for (line, exit) in [
        (RETRYING, AgentExit::SessionConflict),
        (DEPRECATED, AgentExit::ImageTooOld),
        (GONE, AgentExit::RegistrationLost),
        (REFUSED, AgentExit::SessionRefused),
        (ERRORS, AgentExit::GithubUnavailable),
        (NO_NETWORK, AgentExit::NotConnected),
        ("", AgentExit::NotConnected),
    ] {
        let starting = Phase::Starting;
        // The idle limit applies to a listener that had listened and was started again.
        for cause in [Cause::ConnectLimit, Cause::IdleLimit] {
            assert_eq!(stopped(&cause, &starting, &starting, line), exit, "{cause:?} {line}");
            let between =
                ListenerEnd { stopped: None, phase: &starting, words: &words(line), status: Status::Code(2) };
            assert_eq!(between.judge_retries(&cause).exit, exit, "between two starts: {cause:?} {line}");
        }
    }
}

#[test]
fn a_job_that_comes_while_an_idle_runner_is_stopped_was_interrupted() {
    let listening = Phase::Listening;
    assert_eq!(stopped(&Cause::IdleLimit, &listening, &running(), ""), AgentExit::InterruptedBusy);
    assert_eq!(stopped(&Cause::IdleLimit, &listening, &listening, ""), AgentExit::NoJob);
    assert_eq!(stopped(&Cause::IdleLimit, &listening, &listening, GONE), AgentExit::RegistrationLost);
}

#[test]
fn a_signal_or_the_exit_limit_after_the_job_leaves_a_completed_job_completed() {
    let completed = completed_with("Canceled");
    for cause in [Cause::Signal, Cause::ExitLimit] {
        assert_eq!(stopped(&cause, &completed, &completed, ""), AgentExit::Completed);
    }
    assert_eq!(stopped(&Cause::Signal, &running(), &completed, ""), AgentExit::InterruptedBusy);
}

#[test]
fn what_the_agent_ended_a_job_for_is_its_ending_whatever_the_listener_says_of_it() {
    let (refused, canceled) = (Cause::Refused("no".into()), completed_with("Canceled"));
    for (cause, exit) in [
        (&refused, AgentExit::JobRefused),
        (&Cause::HookLimit, AgentExit::HookSilent),
        (&Cause::NoWorker, AgentExit::JobNotStarted),
        (&Cause::Unattended, AgentExit::ListenerHung),
        (&Cause::JobLimit, AgentExit::JobTimeout),
    ] {
        assert_eq!(stopped(cause, &running(), &canceled, ""), exit);
    }
}
