//! The state of the deployment, and changes by an operator: `POST /api/v1/…`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ecsrunner_api::reason::OutcomeView;
use ecsrunner_api::status::{Fault, Paused, StatusView};
use ecsrunner_core::id::{JobId, RunnerName};
use ecsrunner_core::wire::event::{Event, RetryRequest, StopRequest};
use ecsrunner_engine::ports::Clock;
use serde::Deserialize;
use tracing::{error, info};

use super::App;
use super::api::answer;

/// Returns the state of the deployment.
pub(super) async fn status(State(app): State<App>) -> Response {
    Json(StatusView::of(&app.engine.ports().rulebook.rules().settings)).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pause {
    paused: bool,
}

pub(super) async fn pause(State(app): State<App>, Json(asked): Json<Pause>) -> Response {
    let paused = match app.engine.ports().rulebook.pull(asked.paused) {
        Ok(paused) => paused,
        Err(fault) => {
            error!(error = %fault, "the pause could not be stored");
            let message = format!("the pause could not be stored: {fault}");
            return (StatusCode::INTERNAL_SERVER_ERROR, Json(Fault { message })).into_response();
        }
    };
    info!(paused, "an operator paused or resumed launches");
    // The next round launches runners, or gives waiting jobs their new reason.
    answer(app.engine.kick().await.map(|()| Paused { paused }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stop {
    force: bool,
}

pub(super) async fn stop(
    State(app): State<App>,
    Path(runner): Path<String>,
    Json(asked): Json<Stop>,
) -> Response {
    let Ok(runner) = RunnerName::parse(&runner) else {
        return not_found(format!("`{runner}` is not a valid runner name"));
    };
    info!(%runner, force = asked.force, "an operator is stopping a runner");
    let at = app.engine.ports().clock.now();
    record(&app, Event::Stop(StopRequest { runner, force: asked.force, at })).await
}

pub(super) async fn retry(State(app): State<App>, Path(job): Path<u64>) -> Response {
    info!(job_id = job, "an operator has a job judged again");
    let at = app.engine.ports().clock.now();
    record(&app, Event::Retry(RetryRequest { job: JobId::new(job), at })).await
}

async fn record(app: &App, event: Event) -> Response {
    let recorded = app.engine.record(&event).await;
    answer(recorded.map(|recorded| OutcomeView::of(&recorded.outcome)))
}

pub(super) fn not_found(message: String) -> Response {
    (StatusCode::NOT_FOUND, Json(Fault { message })).into_response()
}
