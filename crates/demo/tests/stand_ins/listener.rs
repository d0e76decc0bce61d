use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::{Harness, Listener};

const FAULT: &str = "ECSRUNNER_SIM_LISTENER_FAULT";

#[test]
fn exit_codes_are_those_of_the_real_listener() {
    let harness = Harness::new();
    let jit = harness.register("one", &["x"]);
    assert_eq!(Listener::start("not a configuration", &[]).code(), 1);
    let with_code = ("ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE", "1");
    for (variables, code) in [(vec![with_code], 7), (vec![], 1)] {
        let too_old = [vec![(FAULT, "version-deprecated")], variables].concat();
        assert_eq!(Listener::start(&jit, &too_old).code(), code);
        // A refused listener loses its session without closing it.
        harness.sim("sessions/forget", &Value::Null);
    }
    assert_eq!(Listener::start(&jit, &[(FAULT, "retryable:1")]).code(), 2);
    // None of them has used up the configuration.
    let mut idle = Listener::start(&jit, &[]);
    idle.read_to("\u{221a} Connected to GitHub");
    idle.read_to("Current runner version: '2.336.0'");
    let listening = idle.read_to("Listening for Jobs");
    assert!(listening.ends_with("Z: Listening for Jobs"), "{listening}");
    idle.signal(Signal::SIGTERM);
    assert_eq!(idle.code(), 143);
    assert_eq!(harness.wait("online=0")["registrations"][0]["status"], "offline");
}

#[test]
fn a_terminated_listener_fails_its_job_and_an_interrupt_can_be_made_to_hang() {
    let harness = Harness::new();
    let job = harness.job(&["x"], &json!({"sleep_ms": 600_000}));
    let mut listener = Listener::start(&harness.register("one", &["x"]), &[(FAULT, "hangs-on-int")]);
    harness.step(job, "Run sleep 600.000");
    listener.signal(Signal::SIGINT);
    listener.signal(Signal::SIGTERM);
    listener.read_to("completed with result: Canceled");
    assert_eq!(listener.code(), 143);
    assert_eq!(harness.job_in(job, "completed")["conclusion"], "failure");
}

#[test]
fn a_crash_in_a_job_is_seen_as_lost_communication() {
    let options = ecsrunner_demo::github::Options {
        lock_limit: std::time::Duration::from_millis(100),
        ..Default::default()
    };
    let harness = Harness::with(options);
    let job = harness.job(&["x"], &json!({"sleep_ms": 600_000}));
    let listener = Listener::start(&harness.register("one", &["x"]), &[(FAULT, "crash-in-job")]);
    let (lines, status) = listener.end();
    assert!(lines.last().unwrap().ends_with("Running job: job"), "{lines:?}");
    assert_eq!(status.code(), None, "it was ended by a signal");
    let done = harness.job_in(job, "completed");
    assert_eq!((&done["conclusion"], &done["starts"]), (&json!("failure"), &json!(1)));
    assert!(harness.log(job).contains("lost communication"));
    assert_ne!(harness.call("GET", "/_sim/state", &Value::Null).1["registrations"], json!([]));
}
