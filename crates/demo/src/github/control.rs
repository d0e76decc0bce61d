//! The control API below `/_sim/` for tests, the demo and benchmarks. It needs no credentials.

pub(super) mod action;
mod submit;
mod view;
mod wait;

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ecsrunner_core::id::{JobId, Repository, RunnerId};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::protocol::Conclusion;

use super::api::Refusal;
use super::faults::Faults;
use super::job::JobState;
use super::options::{Hook, RepositoryOptions};
use super::state::Shared;

type App = Extract<Arc<Shared>>;

const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let routes = Router::new()
        .route("/workflows", post(submit::workflow))
        .route("/jobs", post(submit::jobs))
        .route("/jobs/{job}/cancel", post(cancel))
        .route("/jobs/{job}/approve", post(approve))
        .route("/jobs/{job}/complete", post(complete))
        .route("/jobs/{job}/log", get(view::log))
        .route("/jobs/{job}/lines", get(view::lines))
        .route("/repositories", post(put_repository))
        .route("/actions", post(action::put))
        .route("/git", post(put_git))
        .route("/upstream", post(put_upstream))
        .route("/registrations/{runner}/forget", post(forget_registration))
        .route("/polls/end", post(end_polls))
        .route("/sessions/forget", post(forget_sessions))
        .route("/hook", post(set_hook))
        .route("/faults", get(faults).post(set_faults))
        .route("/tokens/expire", post(expire_tokens))
        .route("/webhooks/release", post(release))
        .route("/webhooks/ping", post(ping))
        .route("/deliveries", get(view::deliveries))
        .route("/state", get(view::state))
        .route("/wait", get(wait::wait));
    // A submission holds the files of its local actions.
    let routes = routes.layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    Router::new().nest("/_sim", routes).with_state(shared)
}

async fn cancel(Extract(shared): App, Path(job): Path<JobId>) -> Result<StatusCode, Refusal> {
    let mut state = shared.state();
    if !state.jobs.contains_key(&job) {
        return Err(Refusal::not_found());
    }
    state.cancel_job(job);
    state.assign();
    Ok(StatusCode::NO_CONTENT)
}

/// Approves a waiting job.
async fn approve(Extract(shared): App, Path(job): Path<JobId>) -> Result<StatusCode, Refusal> {
    let mut state = shared.state();
    if !matches!(state.jobs.get(&job).map(|job| &job.state), Some(JobState::Waiting)) {
        return Err(Refusal::not_found());
    }
    state.queue_job(job);
    state.assign();
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a job as GitHub itself does, for example one that was queued for a day.
async fn complete(
    Extract(shared): App,
    Path(job): Path<JobId>,
    Json(conclusion): Json<Conclusion>,
) -> Result<StatusCode, Refusal> {
    let mut state = shared.state();
    match state.jobs.get(&job).map(|job| &job.state) {
        Some(JobState::Completed { .. }) | None => Err(Refusal::not_found()),
        Some(_) => {
            state.requeue_job(job);
            state.complete_job(job, conclusion);
            state.assign();
            Ok(StatusCode::NO_CONTENT)
        }
    }
}

/// Deletes a registration, even of a runner that executes a job.
async fn forget_registration(
    Extract(shared): App,
    Path(runner): Path<RunnerId>,
) -> Result<StatusCode, Refusal> {
    if shared.state().forget_registration(runner) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Refusal::not_found())
    }
}

/// Answers every open poll without a message, as after its 50 s.
async fn end_polls(Extract(shared): App) -> StatusCode {
    for session in shared.state().sessions.values_mut() {
        session.poll_ends = true;
        session.wake.notify_one();
    }
    StatusCode::NO_CONTENT
}

/// Loses every session, as GitHub does some time after a listener's last call.
async fn forget_sessions(Extract(shared): App) -> StatusCode {
    let mut state = shared.state();
    let sessions: Vec<_> = state.sessions.keys().cloned().collect();
    sessions.iter().for_each(|session| state.lose_session(session));
    StatusCode::NO_CONTENT
}

async fn put_repository(Extract(shared): App, Json(repository): Json<RepositoryOptions>) -> StatusCode {
    shared.state().put_repository(repository);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GitDirectory {
    repository: Repository,
    directory: PathBuf,
}

/// Gives a repository the commits of a local Git directory.
async fn put_git(Extract(shared): App, Json(git): Json<GitDirectory>) -> StatusCode {
    shared.state().git.insert(git.repository, git.directory);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Upstream {
    /// The API of the GitHub that has other actions.
    url: String,
}

async fn put_upstream(Extract(shared): App, Json(upstream): Json<Upstream>) -> StatusCode {
    shared.state().upstream = Some(upstream.url.trim_end_matches('/').to_owned());
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewHook {
    url: String,
    secret: SecretText,
}

/// A secret from a request, which is never printed.
struct SecretText(SecretString);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

async fn set_hook(Extract(shared): App, Json(hook): Json<NewHook>) -> StatusCode {
    shared.state().hook = Some(Hook { url: hook.url, secret: hook.secret.0 });
    StatusCode::NO_CONTENT
}

async fn faults(Extract(shared): App) -> Json<Faults> {
    Json(shared.state().faults.clone())
}

/// Replaces the faults of each given key. Other keys keep their faults.
async fn set_faults(
    Extract(shared): App,
    Json(changes): Json<Map<String, Value>>,
) -> Result<Json<Faults>, Refusal> {
    let mut state = shared.state();
    let mut all = json!(state.faults);
    for (key, value) in changes {
        all[key] = value;
    }
    state.faults = serde_json::from_value(all).map_err(|error| Refusal::invalid(&error.to_string()))?;
    state.assign();
    Ok(Json(state.faults.clone()))
}

async fn expire_tokens(Extract(shared): App) -> StatusCode {
    shared.state().credentials.expire_all();
    StatusCode::NO_CONTENT
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Release {
    count: Option<usize>,
    shuffle: bool,
}

async fn release(Extract(shared): App, body: Option<Json<Release>>) -> Response {
    let asked = body.map(|Json(asked)| asked).unwrap_or_default();
    let released = shared.state().release_held(asked.count, asked.shuffle);
    Json(json!({"released": released})).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ping {
    repository: Repository,
}

async fn ping(Extract(shared): App, Json(ping): Json<Ping>) -> StatusCode {
    let mut state = shared.state();
    let repository = state.repository_or_new(&ping.repository, true, false);
    state.emit_ping(&repository);
    StatusCode::ACCEPTED
}
