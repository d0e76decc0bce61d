//! §9: a successful run from start to end.

use serde_json::json;

use crate::client::{Body, resolve, send};
use crate::harness::Harness;
use crate::results::{send_job_log, send_step_log, shown_log, update_step};
use crate::runner::{BROKER, Listening, Registered, RunningJob};

#[test]
fn a_good_run_goes_as_the_official_runner_makes_it_go() {
    let harness = Harness::new();
    harness.action("o/act@v1", &[("action.yml", "name: act\nruns: {using: node20, main: main.js}\n")]);
    let id = harness.submit("{on: push, jobs: {build: {runs-on: x, steps: [{uses: o/act@v1}]}}}")["build"];
    let listening: Listening = Registered::new(&harness, "one").listen();
    assert_eq!(harness.job_shown(id)["status"], "queued");

    let offer = listening.offer();
    listening.acknowledge(offer["runner_request_id"].as_str().unwrap()).is_success();
    listening.registered.token();
    let job = RunningJob::new(listening.acquire(&offer).json(200));
    job.renew().json(200);
    let shown = harness.job_shown(id);
    assert_eq!(json!([shown["status"], shown["runner_name"]]), json!(["in_progress", "one"]));
    assert_eq!(harness.runner(listening.registered.id)["busy"], true);

    let path = format!("/actions/build/{}/jobs/{}/runnerresolve/actions", job.plan, job.id);
    let url = resolve(job.variable("system.github.launch_endpoint"), &path);
    let asked = json!({"actions": [{"action": "o/act", "version": "v1", "path": ""}]});
    send("POST", &url, Some(&job.token), Body::Json(&asked)).json(200);
    let step = &job.message["steps"][0]["id"];
    let now = "2026-11-28T20:56:33.296Z";
    update_step(
        &job,
        1,
        &json!({"external_id": step, "number": 2, "name": "Run o/act@v1", "status": 6,
        "started_at": now, "completed_at": now, "conclusion": 2}),
    );
    send_step_log(&job, step, "2026-11-28T20:56:33.2965012Z hi\n");
    send_job_log(&job, "2026-11-28T20:56:33.2965012Z hi\n");
    job.complete("succeeded").is_empty(204);

    let shown = harness.job_shown(id);
    assert_eq!(json!([shown["status"], shown["conclusion"]]), json!(["completed", "success"]));
    assert_eq!(shown_log(&harness, id), "2026-11-28T20:56:33.2965012Z hi\n");
    // The registration was for one job only.
    let registered = &listening.registered;
    let refused = registered.request_token(&registered.claims(), &registered.key).json(400);
    assert_eq!(refused["error"], "invalid_client");
    assert_eq!(listening.poll("Busy").error(BROKER, 404).as_deref(), Some("RunnerNotFound"));
    let end = listening.close_session();
    assert!(end.status < 500, "{}: {}", end.status, end.text());
    let path = format!("/repos/acme/app/actions/runners/{}", registered.id);
    assert_eq!(harness.rest("GET", &path, None).status, 404);
}

#[test]
fn a_lost_answer_to_acquirejob_leaves_a_job_that_nobody_runs() {
    let harness = Harness::new();
    let id = harness.job();
    let listening = Listening::new(&harness, "one");
    let offer = listening.offer();
    let fault = json!({"call": "acquire_job", "status": 500, "times": 1, "after_effect": true});
    harness.sim("faults", &json!({"runner": [fault]}));
    assert_eq!(listening.acquire(&offer).status, 500);
    assert_eq!(listening.acquire(&offer).status, 409);
    assert_ne!(harness.job_shown(id)["status"], "completed");
}
