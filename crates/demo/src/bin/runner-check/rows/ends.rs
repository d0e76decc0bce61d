//! Deleted registrations, refused sessions, and versions that are too old.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::Row;
use crate::trial::{Checked, Trial, between};

pub(super) const ROWS: &[Row] = &[
    Row { name: "session conflict", outcome: "211 s, exit 5", check: conflict },
    Row { name: "session 500", outcome: "told once, Connected each 30 s, for ever", check: session_500 },
    Row { name: "session 503", outcome: "told after 42 s, then the same", check: session_503 },
    Row { name: "the broker breaks connections off", outcome: "the same", check: session_broken_off },
    Row { name: "messages 500", outcome: "told once after 38 s, goes on", check: messages_500 },
    Row { name: "registration deleted while idle", outcome: "told, exit 0", check: deleted_while_idle },
    Row {
        name: "registration deleted while a job runs",
        outcome: "told, Canceled, exit 0",
        check: deleted_in_job,
    },
    Row { name: "registration deleted before the session", outcome: "told, exit 1", check: deleted_before },
    Row { name: "session 401", outcome: "Failed to create session, exit 1", check: session_401 },
    Row { name: "session 403", outcome: "Failed to create session, exit 1", check: session_403 },
    Row { name: "token 500", outcome: "Connected, then nothing", check: token_500 },
    Row { name: "token 403", outcome: "goes on without a token", check: token_403 },
    Row { name: "messages 401 while idle", outcome: "exit 1", check: message_401 },
    Row { name: "messages 401 while a job runs", outcome: "Canceled, exit 1", check: message_401_in_job },
    Row { name: "version too old, with the variable", outcome: "exit 7", check: too_old_with_code },
    Row { name: "version too old, without it", outcome: "exit 1", check: too_old },
];

const GONE: &str = "The runner no longer exists on the server. Cleaning up local configuration.";
const CONNECTED: &str = "\u{221a} Connected to GitHub";

fn conflict(trial: &mut Trial) -> Checked {
    trial.faults(&json!([{"call": "session", "status": 409, "error_kind": "RunnerSessionConflict"}]))?;
    trial.start()?;
    trial.line("A session for this runner already exists.")?;
    let limit = trial.secs(260.0) + Duration::from_secs(20);
    let at = trial.line_within("Stop retry on SessionConflictException", limit)?;
    between(at, trial.secs(200.0), trial.secs(230.0))?;
    trial.exits(5)?;
    trial.order(&["Runner connect error: Error: Conflict. Retrying until reconnected."])?;
    trial.order(&["Failed to create session. Error: Conflict"])
}

fn session_500(trial: &mut Trial) -> Checked {
    trial.faults(&json!([{"call": "session", "status": 500}]))?;
    never_listens(trial)
}

fn session_503(trial: &mut Trial) -> Checked {
    trial.faults(&json!([{"call": "session", "status": 503}]))?;
    never_listens(trial)?;
    let first = trial.seen().iter().position(|line| line.contains(CONNECTED));
    let told = trial.seen().iter().position(|line| line.contains("Runner connect error"));
    if first < told { Ok(()) } else { Err("the error is told before the first Connected".to_owned()) }
}

fn session_broken_off(trial: &mut Trial) -> Checked {
    trial.faults(&json!([{"call": "session", "breaks_off": true}]))?;
    never_listens(trial)
}

fn never_listens(trial: &mut Trial) -> Checked {
    trial.start()?;
    trial.line(CONNECTED)?;
    trial.line_within("Runner connect error: ", Duration::from_secs(100))?;
    for _ in 0..2 {
        trial.line_within(CONNECTED, trial.secs(35.0) + Duration::from_secs(45))?;
    }
    trial.lacks("Listening for Jobs")?;
    let told = trial.seen().iter().filter(|line| line.contains("Runner connect error")).count();
    if told != 1 {
        return Err(format!("the error is told {told} times"));
    }
    trial.lives()?;
    trial.signal(Signal::SIGINT)?;
    trial.exits(0)
}

fn messages_500(trial: &mut Trial) -> Checked {
    trial.faults(&json!([{"call": "message", "status": 500}]))?;
    trial.start()?;
    trial.line("Listening for Jobs")?;
    let limit = trial.secs(90.0) + Duration::from_secs(10);
    trial.line_within("Runner connect error: Failed to get job message.", limit)?;
    trial.quiet("Runner connect error", trial.secs(60.0))?;
    trial.lives()
}

fn deleted_while_idle(trial: &mut Trial) -> Checked {
    trial.start()?;
    trial.line("Listening for Jobs")?;
    let id = registration(trial)?;
    trial.call("DELETE", &format!("/repos/acme/app/actions/runners/{id}"), &Value::Null)?;
    trial.exits(0)?;
    trial.order(&[GONE])?;
    trial.order(&["\u{221a} Removed .runner"])
}

fn registration(trial: &Trial) -> Result<u64, String> {
    let state = trial.state()?;
    state["registrations"][0]["id"].as_u64().ok_or_else(|| "no registration".to_owned())
}

fn deleted_in_job(trial: &mut Trial) -> Checked {
    let job = trial.job("- {name: waits, run: sleep 60}\n- {if: always(), run: echo always ran}")?;
    trial.start()?;
    trial.step(job, "waits")?;
    let id = registration(trial)?;
    trial.sim(&format!("registrations/{id}/forget"), &Value::Null)?;
    trial.line(GONE)?;
    trial.exits(0)?;
    trial.order(&["Job build completed with result: Canceled"])?;
    trial.concludes(job, "cancelled").map(|_| ())
}

fn deleted_before(trial: &mut Trial) -> Checked {
    let jit = trial.register()?;
    let id = registration(trial)?;
    trial.call("DELETE", &format!("/repos/acme/app/actions/runners/{id}"), &Value::Null)?;
    trial.start_with(&jit)?;
    trial.exits(1)?;
    trial.order(&[CONNECTED])?;
    trial.order(&["Failed to create a session. The runner registration has been deleted from the server, please re-configure."])
}

fn session_401(trial: &mut Trial) -> Checked {
    trial.faults(&json!([{"call": "session", "status": 401}]))?;
    trial.start()?;
    trial.exits(1)?;
    trial.order(&["Failed to create session. You are not authorized to access"])
}

fn session_403(trial: &mut Trial) -> Checked {
    trial.faults(&json!([{"call": "session", "status": 403}]))?;
    trial.start()?;
    trial.exits(1)?;
    trial.order(&["Failed to create session. Error: Forbidden"])
}

fn token_500(trial: &mut Trial) -> Checked {
    trial.faults(&json!([{"call": "token", "status": 500}]))?;
    trial.start()?;
    trial.line(CONNECTED)?;
    trial.quiet("Listening for Jobs", Duration::from_secs(5))?;
    trial.lives()
}

fn token_403(trial: &mut Trial) -> Checked {
    let session = json!({"sessionId": "0b2c8e5e-7f2f-4a56-9d3c-5d1f0c9a4e11", "ownerName": "x",
        "agent": {"id": 1, "name": "one", "version": "2.336.0"}});
    trial.faults(&json!([{"call": "token", "source": "token", "status": 403},
        {"call": "session", "status": 200, "body": session}]))?;
    trial.start()?;
    trial.line("Listening for Jobs")?;
    // The broker requires a token.
    trial.exits_within(1, trial.secs(120.0) + Duration::from_secs(20))
}

fn message_401(trial: &mut Trial) -> Checked {
    trial.faults(&json!([{"call": "message", "status": 401}]))?;
    trial.start()?;
    trial.exits_within(1, trial.secs(120.0) + Duration::from_secs(20))?;
    trial.order(&["Listening for Jobs"])?;
    trial.order(&["An error occurred: Get next message failed with non-retryable error."])
}

fn message_401_in_job(trial: &mut Trial) -> Checked {
    let job = trial.job("- {name: waits, run: sleep 100}")?;
    trial.start()?;
    trial.step(job, "waits")?;
    trial.faults(&json!([{"call": "message", "status": 401}]))?;
    // Ends the open poll, so that the next one is refused.
    trial.sim("polls/end", &Value::Null)?;
    trial.exits_within(1, trial.secs(120.0) + Duration::from_secs(30))?;
    trial.order(&["Job build completed with result: Canceled"])?;
    trial.order(&["An error occurred: Get next message failed with non-retryable error."])?;
    trial.concludes(job, "cancelled").map(|_| ())
}

fn refuse_version(trial: &Trial) -> Checked {
    trial.faults(&json!([{"call": "message", "status": 403, "error_kind": "RunnerVersionTooOld",
        "message": "Runner version v2.336.0 is deprecated and cannot receive messages."}]))
}

fn too_old_with_code(trial: &mut Trial) -> Checked {
    refuse_version(trial)?;
    trial.set("ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE", "1");
    trial.start()?;
    trial.exits_within(7, trial.secs(120.0) + Duration::from_secs(20))?;
    trial.order(&["Listening for Jobs"])?;
    trial.order(&["is deprecated and cannot receive messages."])
}

fn too_old(trial: &mut Trial) -> Checked {
    refuse_version(trial)?;
    trial.start()?;
    trial.exits_within(1, trial.secs(120.0) + Duration::from_secs(20))?;
    trial.order(&["Listening for Jobs"])?;
    trial.order(&["is deprecated and cannot receive messages."])
}
