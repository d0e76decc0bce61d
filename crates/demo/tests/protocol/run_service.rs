//! §5: acquiring, renewing and completing a job.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::client::{Body, keys, resolve, send};
use crate::encoding::context;
use crate::harness::Harness;
use crate::runner::{Listening, RUN_SERVICE, RunningJob};

const UNKNOWN: &str = "5f0c5bd1-6e0f-4c5e-9f0c-000000000003";

fn running(harness: &Harness) -> (u64, Listening, RunningJob) {
    let id = harness.job();
    let listening = Listening::new(harness, "one");
    let job = listening.start_job();
    (id, listening, job)
}

#[test]
fn an_offered_job_is_acquired_once() {
    let harness = Harness::new();
    harness.job();
    let listening = Listening::new(&harness, "one");
    let offer = listening.offer();
    RunningJob::new(listening.acquire(&offer).json(200));
    listening.acquire(&offer).error(RUN_SERVICE, 409);
}

#[test]
fn a_job_that_was_not_offered_cannot_be_acquired() {
    let harness = Harness::new();
    harness.job();
    let listening = Listening::new(&harness, "one");
    let offer = listening.offer();
    let mut unknown = offer.clone();
    unknown["runner_request_id"] = json!(UNKNOWN);
    listening.acquire(&unknown).error(RUN_SERVICE, 404);
    let other = Listening::new(&harness, "two");
    other.acquire(&offer).error(RUN_SERVICE, 404);
    // After both calls, the runner with the offer can still acquire it.
    listening.acquire(&offer).json(200);
}

#[test]
fn a_job_that_was_cancelled_cannot_be_acquired() {
    let harness = Harness::new();
    let job = harness.job();
    let listening = Listening::new(&harness, "one");
    let offer = listening.offer();
    harness.sim(&format!("jobs/{job}/cancel"), &json!(null));
    let answer = listening.acquire(&offer);
    assert!(matches!(answer.status, 404 | 409 | 422), "{}: {}", answer.status, answer.text());
    answer.error(RUN_SERVICE, answer.status);
}

/// The official runner ignores such an offer and continues to poll.
#[test]
fn a_runner_whose_offer_came_to_nothing_is_offered_the_next_job() {
    let harness = Harness::new();
    let cancelled = harness.job();
    let listening = Listening::new(&harness, "one");
    let offer = listening.offer();
    harness.sim(&format!("jobs/{cancelled}/cancel"), &json!(null));
    assert!(listening.acquire(&offer).status >= 400);
    let next = harness.job();
    listening.start_job().complete("succeeded").is_empty(204);
    assert_eq!(harness.job_shown(next)["conclusion"], "success");
}

#[test]
fn acquiring_needs_the_listeners_token() {
    let harness = Harness::new();
    harness.job();
    let listening = Listening::new(&harness, "one");
    let offer = listening.offer();
    let url = resolve(offer["run_service_url"].as_str().unwrap(), "acquirejob");
    let body =
        json!({"jobMessageId": offer["runner_request_id"], "runnerOS": "Linux", "billingOwnerId": "U_1"});
    for token in [None, Some("another token")] {
        assert_eq!(send("POST", &url, token, Body::Json(&body)).status, 401);
    }
}

#[test]
fn a_renewal_says_until_when_the_job_is_locked() {
    let harness = Harness::new();
    let (_, _listening, job) = running(&harness);
    for _ in 0..2 {
        let answer = job.renew().json(200);
        assert_eq!(keys(&answer), ["lockedUntil"]);
        let until = answer["lockedUntil"].as_str().unwrap();
        assert!(until.ends_with('Z'), "{until}");
        assert!(until.parse::<Timestamp>().unwrap() > Timestamp::now(), "{until}");
    }
}

#[test]
fn calls_for_a_job_need_the_jobs_token() {
    let harness = Harness::new();
    let (id, listening, job) = running(&harness);
    let lock = json!({"planId": job.plan, "jobId": job.id});
    for token in [None, Some("another token")] {
        assert_eq!(job.run_service("renewjob", token, &lock).status, 401);
        assert_eq!(job.run_service("completejob", token, &job.ending("succeeded")).status, 401);
    }
    for path in ["renewjob", "completejob"] {
        let refused = job.run_service(path, Some(&listening.token), &job.ending("succeeded"));
        assert!(matches!(refused.status, 401 | 403 | 404), "{path}: {}", refused.status);
    }
    assert_eq!(harness.job_shown(id)["status"], "in_progress");
}

#[test]
fn a_job_that_is_not_the_runners_is_not_found() {
    let harness = Harness::new();
    let (_, _listening, job) = running(&harness);
    let second = harness.job();
    let other_listening = Listening::new(&harness, "two");
    let other = other_listening.start_job();
    for (plan, id) in [(job.plan.as_str(), UNKNOWN), (UNKNOWN, job.id.as_str()), (&other.plan, &other.id)] {
        let mut body = job.ending("failed");
        body["planId"] = json!(plan);
        body["jobId"] = json!(id);
        for path in ["renewjob", "completejob"] {
            job.run_service(path, Some(&job.token), &body).error(RUN_SERVICE, 404);
        }
    }
    assert_eq!(harness.job_shown(second)["status"], "in_progress");
}

#[test]
fn every_conclusion_of_the_runner_becomes_one_of_the_api() {
    let harness = Harness::new();
    for (index, (posted, shown)) in [
        ("succeeded", "success"),
        ("succeededWithIssues", "success"),
        ("failed", "failure"),
        ("canceled", "cancelled"),
        ("skipped", "skipped"),
        ("abandoned", "failure"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = harness.job();
        let listening = Listening::new(&harness, &format!("runner-{index}"));
        let job = listening.start_job();
        assert_eq!(harness.job_shown(id)["status"], "in_progress");
        job.complete(posted).is_empty(204);
        let job = harness.job_shown(id);
        assert_eq!(json!([job["status"], job["conclusion"]]), json!(["completed", shown]), "{posted}");
    }
}

#[test]
fn a_completed_job_is_found_no_more() {
    let harness = Harness::new();
    let (id, _listening, job) = running(&harness);
    job.complete("succeeded").is_empty(204);
    job.complete("failed").error(RUN_SERVICE, 404);
    job.renew().error(RUN_SERVICE, 404);
    assert_eq!(harness.job_shown(id)["conclusion"], "success");
}

/// Seen with the official runner: the listener completes the job of a crashed worker without any step.
#[test]
fn an_ending_without_steps_and_outputs_is_accepted() {
    let harness = Harness::new();
    let (id, _listening, job) = running(&harness);
    let ending = json!({"planId": job.plan, "jobId": job.id, "conclusion": "failed", "outputs": null,
        "stepResults": null, "annotations": [{"level": "FAILURE", "message": "the worker crashed"}], "telemetry": null});
    job.complete_with(&ending).is_empty(204);
    assert_eq!(harness.job_shown(id)["conclusion"], "failure");
}

#[test]
fn outputs_and_results_reach_the_jobs_that_need_them() {
    let harness = Harness::new();
    harness.submit(
        "
on: push
jobs:
  first:
    runs-on: x
    outputs: {version: '${{ steps.v.outputs.version }}'}
    steps: [{id: v, run: echo}]
  second: {needs: first, runs-on: x, steps: [{run: echo}]}
",
    );
    let listening = Listening::new(&harness, "one");
    let job = listening.start_job();
    let mut ending = job.ending("succeeded");
    ending["outputs"] = json!({"version": {"value": "1.2", "isSecret": false}});
    ending["stepResults"] = json!([{"external_id": job.message["steps"][0]["id"], "number": 2, "name": "Run echo",
        "action_name": null, "ref": null, "type": null, "status": "completed", "conclusion": "succeeded",
        "started_at": "2026-11-28T20:47:08.1234567Z", "completed_at": "2026-11-28T20:47:09.1234567Z",
        "completed_log_url": null, "completed_log_lines": 3, "annotations": [
            {"level": "FAILURE", "message": "no such thing", "title": "Lint", "path": "src/a.rs", "startLine": 3,
             "endLine": 3, "startColumn": 0, "endColumn": 0, "stepNumber": 2}]}]);
    ending["annotations"] = json!([{"level": "WARNING", "message": "of the job"}]);
    job.complete_with(&ending).is_empty(204);
    let state = harness.state();
    let first = state["jobs"].as_array().unwrap().iter().find(|job| job["name"] == "first").unwrap();
    let messages: Vec<&Value> =
        first["annotations"].as_array().unwrap().iter().map(|one| &one["message"]).collect();
    assert_eq!(messages, ["no such thing", "of the job"]);
    let second = Listening::new(&harness, "two").start_job();
    let needs = context(&second.message["contextData"]["needs"]);
    assert_eq!(needs, json!({"first": {"result": "success", "outputs": {"version": "1.2"}}}));
}

#[test]
fn errors_of_the_run_service_have_the_form_that_the_runner_reads() {
    let harness = Harness::new();
    let (_, _listening, job) = running(&harness);
    for (call, status) in [("renew_job", 404), ("complete_job", 500)] {
        let fault =
            json!({"call": call, "status": status, "source": RUN_SERVICE, "message": "a text", "times": 1});
        harness.sim("faults", &json!({"runner": [fault]}));
        let answer = if call == "renew_job" { job.renew() } else { job.complete("succeeded") };
        answer.error(RUN_SERVICE, status);
        assert_eq!(answer.json(status)["errorMessage"], Value::from("a text"));
    }
}
