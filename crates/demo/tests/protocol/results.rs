//! §7.2: states of steps, logs and summaries.

use serde_json::{Value, json};

use crate::client::{Answer, Body, resolve, send};
use crate::harness::Harness;
use crate::runner::{Listening, RunningJob};

const RECEIVER: &str = "/twirp/results.services.receiver.Receiver";
const STEPS_UPDATE: &str =
    "/twirp/github.actions.results.api.v1.WorkflowStepUpdateService/WorkflowStepsUpdate";
const NOW: &str = "2026-11-28T20:56:33.296Z";

/// A log as the runner writes one: a byte order mark, and a time of seven decimals in each line.
const LOG: &str =
    "\u{feff}2026-11-28T20:56:33.2965012Z ##[group]Run echo hi\r\n2026-11-28T20:56:33.3965012Z hi\n";

pub(crate) fn call(job: &RunningJob, path: &str, more: &Value) -> Answer {
    call_as(job, Some(&job.token), path, more)
}

fn call_as(job: &RunningJob, token: Option<&str>, path: &str, more: &Value) -> Answer {
    let mut body = json!({"workflow_run_backend_id": job.plan, "workflow_job_run_backend_id": job.id});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let url = resolve(job.variable("system.github.results_endpoint"), path);
    send("POST", &url, token, Body::Json(&body))
}

/// Requests a URL, and uploads to it as its kind of storage requires.
#[track_caller]
fn upload(job: &RunningJob, method: &str, more: &Value, key: &str, bytes: &[u8]) -> Value {
    let upload_target = call(job, &format!("{RECEIVER}/{method}"), more).json(200);
    let url = upload_target[key].as_str().unwrap();
    let headers: &[(&str, &str)] = match upload_target["blob_storage_type"].as_str() {
        Some("BLOB_STORAGE_TYPE_UNSPECIFIED") => &[],
        Some("BLOB_STORAGE_TYPE_AZURE") => {
            assert!(url.contains('?'), "{url}");
            &[("x-ms-blob-type", "BlockBlob")]
        }
        other => panic!("{other:?}"),
    };
    let answer = send("PUT", url, None, Body::Blob(bytes, headers));
    assert_eq!(answer.status, 201, "{}", answer.text());
    upload_target
}

/// Uploads the whole log of a job.
#[track_caller]
pub(crate) fn send_job_log(job: &RunningJob, log: &str) {
    upload(job, "GetJobLogsSignedBlobURL", &json!({}), "logs_url", log.as_bytes());
    end_job_log(job, log.lines().count());
}

/// Uploads a block of a job's log, or creates the log that blocks are appended to.
#[track_caller]
pub(crate) fn send_job_block(job: &RunningJob, block: Option<&str>) {
    let upload_target = call(job, &format!("{RECEIVER}/GetJobLogsSignedBlobURL"), &json!({})).json(200);
    let mut url = upload_target["logs_url"].as_str().unwrap().to_owned();
    if block.is_some() {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str("comp=appendblock");
    }
    let append: &[(&str, &str)] = &[("x-ms-blob-type", "AppendBlob")];
    let answer = send("PUT", &url, None, Body::Blob(block.unwrap_or_default().as_bytes(), append));
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// Tells that the log of a job has ended.
#[track_caller]
pub(crate) fn end_job_log(job: &RunningJob, lines: usize) {
    let metadata = json!({"uploaded_at": NOW, "line_count": lines});
    let answer = call(job, &format!("{RECEIVER}/CreateJobLogsMetadata"), &metadata).json(200);
    assert_eq!(answer, json!({"ok": true}));
}

/// Uploads the log of a step.
#[track_caller]
pub(crate) fn send_step_log(job: &RunningJob, step: &Value, log: &str) {
    let which = json!({"step_backend_id": step});
    let upload_target = upload(job, "GetStepLogsSignedBlobURL", &which, "logs_url", log.as_bytes());
    assert_eq!(upload_target["soft_size_limit"], "10485760");
    let metadata = json!({"step_backend_id": step, "uploaded_at": NOW, "line_count": log.lines().count()});
    let answer = call(job, &format!("{RECEIVER}/CreateStepLogsMetadata"), &metadata).json(200);
    assert_eq!(answer, json!({"ok": true}));
}

/// Reports the state of one step.
#[track_caller]
pub(crate) fn update_step(job: &RunningJob, order: u64, step: &Value) {
    let update = json!({"change_order": order, "steps": [step]});
    assert_eq!(call(job, STEPS_UPDATE, &update).json(200), json!({"ok": true}));
}

fn running(harness: &Harness) -> (u64, RunningJob) {
    let id = harness.job();
    (id, Listening::new(harness, "one").start_job())
}

/// Returns the log of a job by the REST API, which redirects to it.
#[track_caller]
pub(crate) fn shown_log(harness: &Harness, id: u64) -> String {
    let answer = harness.rest("GET", &format!("/repos/acme/app/actions/jobs/{id}/logs"), None);
    assert_eq!(answer.status, 302, "{}", answer.text());
    let log = send("GET", answer.location.as_deref().unwrap(), None, Body::None);
    assert_eq!(log.status, 200);
    log.text()
}

#[test]
fn the_log_of_a_job_is_what_the_rest_api_leads_to() {
    let harness = Harness::new();
    let (id, job) = running(&harness);
    send_job_log(&job, LOG);
    job.complete("succeeded").is_empty(204);
    assert_eq!(shown_log(&harness, id), LOG);
}

#[test]
fn a_log_of_many_megabytes_comes_as_one_upload() {
    let harness = Harness::new();
    let (id, job) = running(&harness);
    let log =
        "2026-11-28T20:56:33.2965012Z a line of a long log, which goes on for a while\n".repeat(160_000);
    assert!(log.len() > 12_000_000);
    send_job_log(&job, &log);
    job.complete("succeeded").is_empty(204);
    assert!(shown_log(&harness, id) == log);
}

/// The runner writes a long log in blocks of 2 MB, and uploads each block separately.
#[test]
fn blocks_that_are_appended_make_one_log() {
    let harness = Harness::new();
    let (id, job) = running(&harness);
    let block = |text: &str| format!("\u{feff}2026-11-28T20:56:33.2965012Z {text}\n");
    send_job_block(&job, None);
    for text in ["one", "two", "three"] {
        send_job_block(&job, Some(&block(text)));
    }
    end_job_log(&job, 3);
    job.complete("succeeded").is_empty(204);
    assert_eq!(shown_log(&harness, id), ["one", "two", "three"].map(block).concat());
}

#[test]
fn the_logs_of_steps_and_their_summaries_are_taken() {
    let harness = Harness::new();
    let (id, job) = running(&harness);
    let step = &job.message["steps"][0]["id"];
    update_step(
        &job,
        1,
        &json!({"external_id": step, "number": 2, "name": "Run it", "status": 3, "started_at": NOW, "conclusion": 0}),
    );
    send_step_log(&job, step, LOG);
    let which = json!({"step_backend_id": step});
    let upload_target = upload(&job, "GetStepSummarySignedBlobURL", &which, "summary_url", b"# Summary");
    assert!(upload_target["soft_size_limit"].is_string(), "{upload_target}");
    let metadata = json!({"step_backend_id": step, "size": 9, "uploaded_at": NOW});
    let answer = call(&job, &format!("{RECEIVER}/CreateStepSummaryMetadata"), &metadata).json(200);
    assert_eq!(answer, json!({"ok": true}));
    let state = harness.state();
    let jobs = state["jobs"].as_array().unwrap();
    let shown = jobs.iter().find(|job| job["id"] == id).unwrap();
    assert_eq!(shown["summaries"], json!([{"step": "Run it", "text": "# Summary"}]));
    upload(&job, "GetJobDiagLogsSignedBlobURL", &json!({}), "diag_logs_url", b"diagnosis");
}

#[test]
fn steps_are_shown_in_the_states_that_the_worker_tells() {
    let harness = Harness::new();
    let (id, job) = running(&harness);
    let step = |number: u64, status: u64, conclusion: u64| {
        json!({"external_id": format!("5f0c5bd1-6e0f-4c5e-9f0c-00000000000{number}"), "number": number,
            "name": format!("Step {number}"), "status": status,
            "started_at": if status == 5 { Value::Null } else { json!(NOW) },
            "completed_at": if status == 6 { json!(NOW) } else { Value::Null }, "conclusion": conclusion})
    };
    update_step(&job, 1, &step(1, 3, 0));
    let shown = &harness.job_shown(id)["steps"][0];
    assert_eq!(json!([shown["name"], shown["status"], shown["number"]]), json!(["Step 1", "in_progress", 1]));
    for (number, conclusion) in [(1, 2), (2, 3), (3, 4), (4, 7)] {
        update_step(&job, 1 + number, &step(number, 6, conclusion));
    }
    update_step(&job, 6, &step(5, 5, 0));
    let shown = harness.job_shown(id);
    let seen: Vec<Value> = shown["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| json!([step["name"], step["status"], step["conclusion"]]))
        .collect();
    assert_eq!(
        seen,
        [
            json!(["Step 1", "completed", "success"]),
            json!(["Step 2", "completed", "failure"]),
            json!(["Step 3", "completed", "cancelled"]),
            json!(["Step 4", "completed", "skipped"]),
            // The API's word for a pending step.
            json!(["Step 5", "queued", null]),
        ]
    );
}

#[test]
fn results_are_taken_only_with_the_jobs_token() {
    let harness = Harness::new();
    let (_, job) = running(&harness);
    let step = json!({"step_backend_id": job.message["steps"][0]["id"]});
    for path in ["GetJobLogsSignedBlobURL", "CreateJobLogsMetadata", "GetStepLogsSignedBlobURL"] {
        for token in [None, Some("another token")] {
            let answer = call_as(&job, token, &format!("{RECEIVER}/{path}"), &step);
            assert_eq!(answer.status, 401, "{path}");
        }
    }
    for token in [None, Some("another token")] {
        let update = json!({"change_order": 1, "steps": []});
        assert_eq!(call_as(&job, token, STEPS_UPDATE, &update).status, 401);
    }
}
