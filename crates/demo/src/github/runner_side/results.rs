//! The results service: the state of steps, and logs as blobs.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ecsrunner_core::id::JobId;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::paths::blob_url;
use super::reply::{ServiceError, json as reply};
use crate::github::job::StepReport;
use crate::github::state::State;
use crate::protocol::Conclusion;

const STEPS: &str = "github.actions.results.api.v1.WorkflowStepUpdateService";
const RECEIVER: &str = "results.services.receiver.Receiver";

/// The storage type for uploads by plain PUT.
const STORAGE: &str = "BLOB_STORAGE_TYPE_UNSPECIFIED";
/// The size of a log in bytes after which a runner uploads no more of it.
const SOFT_SIZE_LIMIT: &str = "10485760";

/// The kind of an uploaded text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::github) enum Blob {
    /// The log of a step, by the step's id.
    StepLog(JobId, String),
    /// The whole log of a job.
    JobLog(JobId),
    /// The summary of a step, by the step's id.
    StepSummary(JobId, String),
    /// Diagnostics, which the fake does not show.
    Other,
}

#[derive(Deserialize)]
struct StepsUpdate {
    steps: Vec<StepUpdate>,
}

#[derive(Deserialize)]
struct StepUpdate {
    external_id: String,
    number: u64,
    name: String,
    status: Value,
    #[serde(default)]
    conclusion: Value,
    #[serde(default)]
    started_at: Option<Timestamp>,
    #[serde(default)]
    completed_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct OfStep {
    #[serde(default)]
    step_backend_id: String,
}

/// Every method except uploads: `POST /twirp/{service}/{method}`.
pub(super) async fn call(
    Extract(shared): App,
    headers: HeaderMap,
    Path((service, method)): Path<(String, String)>,
    Json(request): Json<Value>,
) -> Result<Response, ServiceError> {
    let mut state = shared.state();
    let job = state.calling_job(&headers)?;
    let step = OfStep::deserialize(&request).map(|of| of.step_backend_id).unwrap_or_default();
    let answer = match (service.as_str(), method.as_str()) {
        (STEPS, "WorkflowStepsUpdate") => {
            let update = StepsUpdate::deserialize(&request).map_err(|error| malformed(&error))?;
            state.update_steps(job, update);
            json!({"ok": true})
        }
        (RECEIVER, "GetStepLogsSignedBlobURL") => {
            let url = state.new_blob(Blob::StepLog(job, step));
            json!({"logs_url": url, "blob_storage_type": STORAGE, "soft_size_limit": SOFT_SIZE_LIMIT})
        }
        (RECEIVER, "GetJobLogsSignedBlobURL") => {
            json!({"logs_url": state.new_blob(Blob::JobLog(job)), "blob_storage_type": STORAGE})
        }
        (RECEIVER, "GetStepSummarySignedBlobURL") => {
            let url = state.new_blob(Blob::StepSummary(job, step));
            json!({"summary_url": url, "blob_storage_type": STORAGE, "soft_size_limit": SOFT_SIZE_LIMIT})
        }
        (RECEIVER, "GetJobDiagLogsSignedBlobURL") => {
            json!({"diag_logs_url": state.new_blob(Blob::Other), "blob_storage_type": STORAGE})
        }
        (RECEIVER, "CreateJobLogsMetadata") => {
            // The official runner sends this only after the last block.
            if let Some(job) = state.jobs.get_mut(&job) {
                job.log.end_whole();
            }
            state.note_change();
            json!({"ok": true})
        }
        (RECEIVER, "CreateStepLogsMetadata") => {
            if let Some(job) = state.jobs.get_mut(&job) {
                job.log.end_step(&step);
            }
            json!({"ok": true})
        }
        (RECEIVER, "CreateStepSummaryMetadata") => json!({"ok": true}),
        _ => {
            let message = format!("no method {service}/{method}");
            return Err(ServiceError::new("results", StatusCode::NOT_FOUND, Some("bad_route"), &message));
        }
    };
    Ok(reply(StatusCode::OK, &answer))
}

fn malformed(error: &dyn std::fmt::Display) -> ServiceError {
    ServiceError::new("results", StatusCode::BAD_REQUEST, Some("malformed"), &error.to_string())
}

#[derive(Deserialize)]
pub(super) struct UploadParameters {
    /// `appendblock` for a block that follows an earlier one of the same log.
    comp: Option<String>,
}

/// Stores an announced text. The secret URL is the permission.
pub(super) async fn upload(
    Extract(shared): App,
    Path(blob): Path<String>,
    Query(parameters): Query<UploadParameters>,
    body: Bytes,
) -> StatusCode {
    let text = String::from_utf8_lossy(&body).into_owned();
    let appends = parameters.comp.as_deref() == Some("appendblock");
    let mut state = shared.state();
    let Some(target) = state.blobs.get(&blob).cloned() else { return StatusCode::NOT_FOUND };
    match target {
        Blob::StepLog(job, step) => {
            if let Some(job) = state.jobs.get_mut(&job) {
                job.log.upload_step(&step, &text);
                state.note_change();
            }
        }
        Blob::JobLog(job) => {
            if let Some(job) = state.jobs.get_mut(&job) {
                job.log.upload_whole(&text, appends);
            }
        }
        Blob::StepSummary(job, step) => {
            if let Some(job) = state.jobs.get_mut(&job) {
                match job.summaries.iter_mut().find(|(known, _)| *known == step) {
                    Some((_, known)) if appends => known.push_str(&text),
                    Some((_, known)) => *known = text,
                    None => job.summaries.push((step, text)),
                }
                state.note_change();
            }
        }
        Blob::Other => {}
    }
    StatusCode::CREATED
}

/// Sends a job's log, to which the REST API redirects.
pub(super) async fn download(Extract(shared): App, Path(blob): Path<String>) -> Response {
    let state = shared.state();
    let log = match state.blobs.get(&blob) {
        Some(Blob::JobLog(job)) => state.jobs.get(job).and_then(|job| job.whole_log()),
        _ => None,
    };
    match log {
        Some(text) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

impl State {
    /// Returns the announced URL of a text, or a new one.
    pub(in crate::github) fn blob_for(&mut self, blob: Blob) -> String {
        match self.blobs.iter().find(|(_, known)| **known == blob) {
            Some((name, _)) => blob_url(&self.base, name),
            None => self.new_blob(blob),
        }
    }

    /// Adds a blob and returns its URL.
    fn new_blob(&mut self, blob: Blob) -> String {
        let name = self.random.hex(40);
        let url = blob_url(&self.base, &name);
        self.blobs.insert(name, blob);
        url
    }

    fn update_steps(&mut self, job: JobId, update: StepsUpdate) {
        let Some(job) = self.jobs.get_mut(&job) else { return };
        for step in update.steps {
            let report = StepReport {
                id: step.external_id,
                number: step.number,
                name: step.name,
                conclusion: (code(&step.status) == Some(6)).then(|| concluded(&step.conclusion)).flatten(),
                started_at: step.started_at,
                completed_at: step.completed_at,
            };
            match job.steps.iter_mut().find(|known| known.id == report.id) {
                Some(known) => *known = report,
                None => job.steps.push(report),
            }
        }
        job.steps.sort_by_key(|step| step.number);
        self.note_change();
    }
}

/// Returns the number of an enumeration's value, which may be sent as its name.
fn code(value: &Value) -> Option<u64> {
    let names = [
        ("STATUS_IN_PROGRESS", 3),
        ("STATUS_PENDING", 5),
        ("STATUS_COMPLETED", 6),
        ("CONCLUSION_SUCCESS", 2),
        ("CONCLUSION_FAILURE", 3),
        ("CONCLUSION_CANCELLED", 4),
        ("CONCLUSION_SKIPPED", 7),
    ];
    value.as_u64().or_else(|| {
        let text = value.as_str()?;
        names.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, code)| code)
    })
}

fn concluded(value: &Value) -> Option<Conclusion> {
    match code(value)? {
        2 => Some(Conclusion::Success),
        3 => Some(Conclusion::Failure),
        4 => Some(Conclusion::Cancelled),
        7 => Some(Conclusion::Skipped),
        _ => None,
    }
}
