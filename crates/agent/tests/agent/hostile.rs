//! Jobs that act against their listener. A job runs as its listener's user, so it may signal it.

use std::fs;

use crate::harness::{CONNECT, GRACEFUL, RUN, WAIT, is_there};
use crate::hook::Job;

/// The worker: runs the hook, then the step, and waits for it.
const WORKER: &str =
    "listener=$$ bash -c 'bash -e \"$ACTIONS_RUNNER_HOOK_JOB_STARTED\"; worker=$$ bash step; wait' &";
/// A process in a session of its own that stays when the job has ended.
const STAY: &str = "setsid bash -c 'trap \"\" TERM INT HUP; echo $$ > hostile; {} echo ready; sleep 600' & \
                    while ! test -s hostile; do sleep 0.01; done";

/// Runs a job whose hostile process does this first; it knows the ids `$listener` and `$worker`.
fn is_ended(acts: &str, trap: &str) {
    let step = format!("echo '{}' > step", STAY.replace("{}", acts).replace('\'', "'\\''"));
    let ended = Job::default()
        .run_with(&[trap, CONNECT, RUN, &step, WORKER, WAIT], |agent| {
            agent.env("ECSRUNNER_WORKER_LIMIT_SECS", 1).env("ECSRUNNER_STOP_TIMEOUT_SECS", 6)
        })
        .ended_with(34, "listener_hung");
    assert!(ended.messages().contains(&"hook checked in".to_owned()), "{}", ended.text());
    let hostile = fs::read_to_string(ended.path("runner/hostile")).unwrap();
    assert!(!is_there(&hostile), "it outlived its runner: {}", ended.text());
}

#[test]
fn a_job_that_stops_its_listener_and_leaves_its_session_is_ended_within_a_minute() {
    // The listener is killed if it does not end when it is continued.
    for trap in [GRACEFUL, "trap '' INT TERM"] {
        is_ended("kill -STOP $listener;", trap);
    }
}

#[test]
fn a_job_that_kills_its_worker_and_stops_its_listener_is_ended_within_a_minute() {
    is_ended("kill -STOP $listener; kill -KILL $worker;", GRACEFUL);
}

#[test]
fn a_job_that_stops_its_listener_again_and_again_is_killed_with_it() {
    is_ended("(while kill -STOP $listener; do :; done) &", GRACEFUL);
}

#[test]
fn a_job_whose_worker_works_may_run_past_the_worker_limit() {
    let step = "echo 'sleep 2.5' > step";
    let complete = "wait; echo '2026-11-01 12:00:02Z: Job build completed with result: Succeeded'";
    Job::default()
        .run_with(&[CONNECT, RUN, step, WORKER, complete], |agent| {
            agent.env("ECSRUNNER_WORKER_LIMIT_SECS", 1)
        })
        .ended_with(0, "completed");
}
