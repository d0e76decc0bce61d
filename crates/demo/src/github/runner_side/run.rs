//! The run service: acquires jobs, renews their locks, and takes reports of their end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ecsrunner_core::id::JobId;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::reply::{ServiceError, json as reply};
use super::token::Bearer;
use crate::github::job::{JobState, StepReport};
use crate::github::lifecycle::Completion;
use crate::github::representation::seconds;
use crate::github::state::State;
use crate::protocol::Conclusion;

/// How long a runner keeps a job without a renewal.
const LOCK: SignedDuration = SignedDuration::from_mins(10);
/// Longer than any job may run.
const TOKEN_LIFETIME: Duration = Duration::from_secs(6 * 24 * 3600);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Acquire {
    job_message_id: String,
}

/// Acquires a job. Answers 404 if it is not assigned to this runner, and 409 if it was
/// acquired before.
pub(super) async fn acquire(
    Extract(shared): App,
    headers: HeaderMap,
    Json(request): Json<Acquire>,
) -> Result<Response, ServiceError> {
    let mut state = shared.state();
    let runner = state.calling_runner(&headers)?;
    let session = state.session_of(runner).map(|(id, session)| (id.clone(), session.job));
    let missing = || ServiceError::run(StatusCode::NOT_FOUND, "the job is not this runner's");
    let Some((session, Some(job))) = session else { return Err(missing()) };
    if state.jobs.get(&job).is_none_or(|job| job.request != request.job_message_id) {
        return Err(missing());
    }
    if matches!(state.jobs.get(&job).map(|job| &job.state), Some(JobState::InProgress { .. })) {
        return Err(ServiceError::run(StatusCode::CONFLICT, "the job was acquired before"));
    }
    if !state.start_job(job, &session) {
        if let Some(open) = state.sessions.get_mut(&session) {
            open.job = None;
        }
        state.assign();
        return Err(missing());
    }
    let token = state.job_token(job).ok_or_else(missing)?;
    state.give_token(&token, Bearer::Job(job), TOKEN_LIFETIME);
    state.job_message(job, &token).map(|message| reply(StatusCode::OK, &message)).ok_or_else(missing)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Renew {
    plan_id: String,
    job_id: String,
}

pub(super) async fn renew(
    Extract(shared): App,
    headers: HeaderMap,
    Json(request): Json<Renew>,
) -> Result<Response, ServiceError> {
    let mut state = shared.state();
    let job = state.job_at_work(&headers, &request.plan_id, &request.job_id)?;
    if let Some(JobState::InProgress { taker, .. }) = state.jobs.get(&job).map(|job| &job.state) {
        let session = taker.session.clone();
        if let Some(session) = state.sessions.get_mut(&session) {
            session.last_seen = Instant::now();
        }
    }
    let until = Timestamp::now().saturating_add(LOCK).unwrap_or(Timestamp::MAX);
    Ok(reply(StatusCode::OK, &json!({"lockedUntil": seconds(until)})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Complete {
    plan_id: String,
    job_id: String,
    conclusion: String,
    #[serde(default)]
    outputs: Option<BTreeMap<String, Output>>,
    #[serde(default)]
    step_results: Option<Vec<StepResult>>,
    #[serde(default)]
    annotations: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Output {
    #[serde(default)]
    value: Option<String>,
}

/// A step's result. Its names are in snake case.
#[derive(Deserialize)]
struct StepResult {
    #[serde(default)]
    external_id: String,
    #[serde(default)]
    number: u64,
    name: String,
    #[serde(default)]
    conclusion: Option<String>,
    #[serde(default)]
    started_at: Option<Timestamp>,
    #[serde(default)]
    completed_at: Option<Timestamp>,
    /// What the step's commands and its failure told, such as `::error file=…::`.
    #[serde(default)]
    annotations: Option<Vec<Value>>,
}

pub(super) async fn complete(
    Extract(shared): App,
    headers: HeaderMap,
    Json(request): Json<Complete>,
) -> Result<StatusCode, ServiceError> {
    let mut state = shared.state();
    let job = state.job_at_work(&headers, &request.plan_id, &request.job_id)?;
    let conclusion = concluded(&request.conclusion).ok_or_else(|| {
        let message = format!("`{}` is not a conclusion", request.conclusion);
        ServiceError::run(StatusCode::BAD_REQUEST, &message)
    })?;
    let mut steps = request.step_results.unwrap_or_default();
    // The steps' come first, in the order of the steps.
    steps.sort_by_key(|step| step.number);
    let of_steps = steps.iter_mut().flat_map(|step| step.annotations.take().unwrap_or_default());
    let annotations = of_steps.chain(request.annotations.unwrap_or_default()).collect();
    let steps = steps.into_iter().map(StepResult::report).collect();
    let outputs = request.outputs.unwrap_or_default();
    let completion = Completion {
        conclusion,
        steps,
        outputs: outputs.into_iter().map(|(name, output)| (name, output.value.unwrap_or_default())).collect(),
        annotations,
    };
    state.finish_job(job, completion);
    state.assign();
    Ok(StatusCode::NO_CONTENT)
}

impl StepResult {
    fn report(self) -> StepReport {
        let now = Timestamp::now();
        StepReport {
            id: self.external_id,
            number: self.number,
            name: self.name,
            conclusion: self.conclusion.as_deref().and_then(concluded),
            started_at: self.started_at.or(Some(now)),
            completed_at: self.completed_at.or(Some(now)),
        }
    }
}

/// Parses a conclusion that a runner posts.
fn concluded(word: &str) -> Option<Conclusion> {
    match word.to_ascii_lowercase().as_str() {
        "succeeded" | "succeededwithissues" => Some(Conclusion::Success),
        "failed" | "abandoned" => Some(Conclusion::Failure),
        "canceled" => Some(Conclusion::Cancelled),
        "skipped" => Some(Conclusion::Skipped),
        _ => None,
    }
}

impl State {
    /// Returns the job in progress that matches the caller's token and ids.
    fn job_at_work(&self, headers: &HeaderMap, plan_id: &str, job_id: &str) -> Result<JobId, ServiceError> {
        let id = self.calling_job(headers)?;
        let missing = || ServiceError::run(StatusCode::NOT_FOUND, "the job is not found, or not in progress");
        let job = self.jobs.get(&id).ok_or_else(missing)?;
        let plan = self.run_of(job).map(|run| run.plan.as_str());
        let is_meant = job.guid == job_id && plan == Some(plan_id);
        if is_meant && matches!(job.state, JobState::InProgress { .. }) { Ok(id) } else { Err(missing()) }
    }
}
