//! Failures of the run service, the launch service and the results service.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::Row;
use crate::trial::{Checked, Trial, between};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "the first renewal never succeeds",
        outcome: "294 s, Removed, no result, exit 0",
        check: first_renewal,
    },
    Row { name: "completejob 500 for ever", outcome: "269 s, Failed, nothing posted", check: complete_500 },
    Row { name: "renewjob 500 after the first", outcome: "114 s, Abandoned", check: renew_500 },
    Row { name: "renewjob 404 after the first", outcome: "74 s, Abandoned", check: renew_404 },
    Row { name: "renewjob fails three times, then heals", outcome: "nothing, success", check: renew_heals },
    Row { name: "polls fail for minutes while a job runs", outcome: "nothing, success", check: polls_fail },
    Row { name: "acquirejob 500", outcome: "nothing, listens on", check: acquire_500 },
    Row { name: "acquirejob 404", outcome: "nothing, listens on", check: acquire_404 },
    Row { name: "acquirejob 409", outcome: "nothing, listens on", check: acquire_409 },
    Row { name: "acquirejob 422", outcome: "nothing, listens on", check: acquire_422 },
    Row { name: "acknowledge says that the job is not found", outcome: "Removed, exit 0", check: ghost },
    Row { name: "completejob 401", outcome: "Failed at once", check: complete_401 },
    Row { name: "the session's deletion is not answered", outcome: "30 s, exit 0", check: deletion_hangs },
    Row { name: "results 500 in every call", outcome: "success", check: results_500 },
    Row { name: "results 404 in every call", outcome: "success", check: results_404 },
    Row {
        name: "actions cannot be resolved, 422",
        outcome: "only Set up job ran, no hook",
        check: unresolved,
    },
    Row {
        name: "an action's archive is not there",
        outcome: "only Set up job ran, no hook",
        check: no_archive,
    },
    Row {
        name: "registration gone between the result and the next poll",
        outcome: "Canceled, success",
        check: raced,
    },
];

fn limit(trial: &Trial, secs: f64) -> Duration {
    trial.secs(secs) + Duration::from_secs(30)
}

fn first_renewal(trial: &mut Trial) -> Checked {
    trial.faults(&json!([{"call": "renew_job", "source": "actions-run-service", "status": 500}]))?;
    trial.job("- run: echo hello")?;
    trial.start()?;
    let begun = trial.line("Running job: build")?;
    let removed = trial.line_within("\u{221a} Removed .credentials", limit(trial, 420.0))?;
    between(removed - begun, trial.secs(150.0), trial.secs(420.0))?;
    trial.exits(0)?;
    trial.lacks("completed with result")
}

fn complete_500(trial: &mut Trial) -> Checked {
    trial.faults(&json!([{"call": "complete_job", "source": "actions-run-service", "status": 500}]))?;
    trial.job("- run: echo hello")?;
    trial.start()?;
    let begun = trial.line("Running job: build")?;
    let ended = trial.line_within("Job build completed with result: Failed", limit(trial, 420.0))?;
    between(ended - begun, trial.secs(120.0), trial.secs(420.0))?;
    trial.exits_within(0, limit(trial, 60.0))
}

fn abandoned(trial: &mut Trial, fault: &Value, from: f64, to: f64) -> Checked {
    trial.faults(&json!([fault]))?;
    let job = trial.job("- {name: waits, run: sleep 400}")?;
    trial.start()?;
    let begun = trial.line("Running job: build")?;
    let ended = trial.line_within("Job build completed with result: Abandoned", limit(trial, 200.0))?;
    between(ended - begun, trial.secs(from), trial.secs(to))?;
    trial.exits_within(0, limit(trial, 60.0))?;
    trial.concludes(job, "cancelled").map(|_| ())
}

fn renew_500(trial: &mut Trial) -> Checked {
    let fault = json!({"call": "renew_job", "source": "actions-run-service", "skip": 1, "status": 500});
    abandoned(trial, &fault, 90.0, 150.0)
}

fn renew_404(trial: &mut Trial) -> Checked {
    let fault = json!({"call": "renew_job", "source": "actions-run-service", "skip": 1, "status": 404});
    abandoned(trial, &fault, 66.0, 90.0)
}

fn renew_heals(trial: &mut Trial) -> Checked {
    trial.faults(&json!([{"call": "renew_job", "source": "actions-run-service", "skip": 1, "times": 3, "status": 500}]))?;
    let job = trial.job(&format!("- run: {}", trial.sleep(115.0)))?;
    succeeds(trial, job, 115.0)
}

fn polls_fail(trial: &mut Trial) -> Checked {
    let job = trial.job(&format!("- {{name: waits, run: {}}}", trial.sleep(180.0)))?;
    trial.faults(&json!([{"call": "message", "busy": true, "status": 503}]))?;
    succeeds(trial, job, 180.0)?;
    trial.lacks("err: ")
}

fn succeeds(trial: &mut Trial, job: u64, secs: f64) -> Checked {
    trial.start()?;
    trial.exits_within(0, limit(trial, secs + 60.0))?;
    trial.order(&["Job build completed with result: Succeeded"])?;
    trial.concludes(job, "success").map(|_| ())
}

fn listens_on(trial: &mut Trial, status: u16) -> Checked {
    trial.faults(&json!([{"call": "acquire_job", "source": "actions-run-service", "status": status}]))?;
    trial.job("- run: echo hello")?;
    trial.start()?;
    trial.line("Listening for Jobs")?;
    trial.quiet("Running job", trial.secs(60.0).max(Duration::from_secs(2)))?;
    trial.lives()?;
    trial.signal(Signal::SIGINT)?;
    trial.exits(0)
}

fn acquire_500(trial: &mut Trial) -> Checked {
    listens_on(trial, 500)
}

fn acquire_404(trial: &mut Trial) -> Checked {
    listens_on(trial, 404)
}

fn acquire_409(trial: &mut Trial) -> Checked {
    listens_on(trial, 409)
}

fn acquire_422(trial: &mut Trial) -> Checked {
    listens_on(trial, 422)
}

fn ghost(trial: &mut Trial) -> Checked {
    trial.faults(&json!([{"call": "acknowledge", "status": 404, "error_kind": "AcknowledgeJobNotFound"}]))?;
    trial.job("- run: echo hello")?;
    trial.start()?;
    trial.exits(0)?;
    trial.order(&["Listening for Jobs", "\u{221a} Removed .runner"])?;
    trial.lacks("Running job")
}

fn complete_401(trial: &mut Trial) -> Checked {
    trial.faults(&json!([{"call": "complete_job", "source": "actions-run-service", "status": 401}]))?;
    trial.job("- run: echo hello")?;
    trial.start()?;
    trial.line_within("Job build completed with result: Failed", limit(trial, 60.0))?;
    trial.exits(0)
}

fn deletion_hangs(trial: &mut Trial) -> Checked {
    trial.faults(&json!([{"call": "delete_session", "hang_secs": 60.0}]))?;
    let job = trial.job("- run: echo hello")?;
    trial.start()?;
    let ended = trial.line("Job build completed with result: Succeeded")?;
    let begun = std::time::Instant::now();
    trial.exits_within(0, limit(trial, 40.0))?;
    between(begun.elapsed(), trial.secs(28.0), trial.secs(34.0))
        .map_err(|error| format!("{error} after {ended:?}"))?;
    trial.concludes(job, "success").map(|_| ())
}

fn results_500(trial: &mut Trial) -> Checked {
    trial.faults(&json!([{"call": "results", "source": "results", "status": 500}]))?;
    let job = trial.job("- run: echo hello")?;
    succeeds(trial, job, 200.0)
}

fn results_404(trial: &mut Trial) -> Checked {
    trial.faults(&json!([{"call": "results", "source": "results", "status": 404}]))?;
    let job = trial.job("- run: echo hello")?;
    succeeds(trial, job, 200.0)
}

fn only_set_up(trial: &mut Trial, faults: &Value) -> Checked {
    trial.javascript_action()?;
    let ran = trial.path("hook-ran");
    trial.hook("hook.sh", &format!("touch {}", ran.display()))?;
    trial.faults(faults)?;
    let job = trial.job("- uses: acme/js@v1\n- {if: always(), run: echo always ran}")?;
    trial.start()?;
    trial.exits_within(0, limit(trial, 120.0))?;
    trial.order(&["Job build completed with result: Failed"])?;
    trial.concludes(job, "failure")?;
    trial.logs(job, &[("always ran", false), ("js pre ran", false)])?;
    if ran.exists() { Err("the hook ran".to_owned()) } else { Ok(()) }
}

fn unresolved(trial: &mut Trial) -> Checked {
    let body = json!({"errors": {"acme/js@v1": {"message": "Unable to resolve action `acme/js@v1`"}}});
    only_set_up(trial, &json!([{"call": "resolve_actions", "status": 422, "body": body}]))
}

fn no_archive(trial: &mut Trial) -> Checked {
    only_set_up(trial, &json!([{"call": "archive", "source": "codeload", "status": 404}]))
}

fn raced(trial: &mut Trial) -> Checked {
    trial.sim("faults", &json!({"completion_ends_poll": true}))?;
    let job = trial.job("- run: echo hello")?;
    trial.start()?;
    trial.exits(0)?;
    // The two streams are read in no particular order.
    trial.order(&["The runner no longer exists on the server."])?;
    trial.order(&["Job build completed with result: Canceled"])?;
    trial.concludes(job, "success").map(|_| ())
}
