use std::time::Duration;

use ecsrunner_demo::github::Options;
use serde_json::{Value, json};

use crate::harness::{Harness, Listener};

fn quick() -> Value {
    json!({"sleep_ms": 1})
}

#[test]
fn a_job_goes_only_to_a_runner_whose_labels_contain_its_own_whatever_their_case() {
    let harness = Harness::new();
    let small = harness.listener("small", &["self-hosted", "class:small"]);
    let large = harness.listener("large", &["Self-Hosted", "class:LARGE", "unique"]);
    let job = harness.job(&["self-hosted", "Class:large"], &quick());
    let done = harness.job_in(job, "completed");
    assert_eq!((&done["runner"], &done["conclusion"]), (&json!("large"), &json!("success")));
    assert_eq!(large.code(), 0);
    small.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(small.code(), 0);
}

#[test]
fn a_configuration_is_good_for_one_session_and_one_job() {
    let harness = Harness::new();
    let jit = harness.register("once", &["self-hosted"]);
    let mut first = Listener::start(&jit, &[]);
    first.read_to("Listening for Jobs");
    assert_eq!(Listener::start(&jit, &[]).code(), 5, "its session is open");

    let job = harness.job(&["self-hosted"], &quick());
    let (lines, status) = first.end();
    assert!(lines.iter().any(|line| line.ends_with(": Running job: job")), "{lines:?}");
    assert!(lines.iter().any(|line| line.ends_with("Job job completed with result: Succeeded")), "{lines:?}");
    assert_eq!(status.code(), Some(0));
    assert_eq!(harness.job_in(job, "completed")["starts"], 1);
    assert_eq!(harness.wait("unregistered=true")["registrations"], json!([]));
    assert_eq!(Listener::start(&jit, &[]).code(), 1, "its registration is gone");
}

#[test]
fn a_runner_that_vanishes_fails_its_job_and_stays_registered() {
    let harness = Harness::with(Options {
        session_limit: Duration::from_millis(100),
        lock_limit: Duration::from_millis(100),
        ..Options::default()
    });
    let mut listener = harness.listener("lost", &["self-hosted"]);
    let job = harness.job(&["self-hosted"], &json!({"sleep_ms": 60_000}));
    listener.read_to("Running job");
    listener.kill();
    let done = harness.job_in(job, "completed");
    assert_eq!(done["conclusion"], "failure");
    assert_eq!(harness.wait("online=0")["registrations"].as_array().unwrap().len(), 1);
}

#[test]
fn an_assigned_job_that_is_not_started_in_time_is_queued_again() {
    let harness = Harness::with(Options { start_limit: Duration::from_secs(1), ..Options::default() });
    let jit = harness.register("silent", &["self-hosted"]);
    // Connects, but never requests its job.
    let mut silent = Listener::start(&jit, &[("ECSRUNNER_SIM_LISTENER_FAULT", "idle")]);
    silent.read_to("Listening for Jobs");
    let job = harness.job(&["self-hosted"], &quick());
    let other = harness.listener("other", &["self-hosted"]);
    let done = harness.job_in(job, "completed");
    assert_eq!((&done["runner"], &done["starts"]), (&json!("other"), &json!(1)));
    assert_eq!(other.code(), 0);
    silent.kill();
}

#[test]
fn a_deregistered_idle_runner_ends_and_a_busy_one_cannot_be_deregistered() {
    let harness = Harness::new();
    let idle = harness.listener("idle", &["idle"]);
    let busy = harness.listener("busy", &["busy"]);
    let job = harness.job(&["busy"], &json!({"sleep_ms": 60_000}));
    harness.job_in(job, "in_progress");
    let id = |name: &str| {
        let path = format!("/repos/acme/app/actions/runners?name={name}");
        harness.call("GET", &path, &Value::Null).1["runners"][0]["id"].as_u64().unwrap()
    };
    let delete =
        |id: u64| harness.call("DELETE", &format!("/repos/acme/app/actions/runners/{id}"), &Value::Null).0;
    let (idle_id, busy_id) = (id("idle"), id("busy"));
    assert_eq!((delete(idle_id), delete(busy_id), delete(idle_id)), (204, 422, 404));
    assert_eq!(idle.code(), 0);
    harness.sim(&format!("jobs/{job}/cancel"), &Value::Null);
    assert_eq!(harness.job_in(job, "completed")["conclusion"], "cancelled");
    assert_eq!(busy.code(), 0);
}
