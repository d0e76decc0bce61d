//! `GET /api/v1/…`: single records, classes and counts.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ecsrunner_api::class::ClassView;
use ecsrunner_api::job::JobView;
use ecsrunner_api::list::ClassList;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_api::status::{Fault, Health};
use ecsrunner_core::id::{JobId, TaskName};
use ecsrunner_core::records::job::JobRecord;
use ecsrunner_core::wire::event::Keys;
use ecsrunner_engine::ports::Clock;
use ecsrunner_engine::ports::store::{History, Store, StoreError};
use serde::Serialize;
use tracing::error;

use super::App;
use super::control::not_found;

pub(super) async fn health() -> Response {
    Json(Health { status: "ok".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }).into_response()
}

/// One job, open or ended.
pub(super) async fn job(State(app): State<App>, Path(id): Path<u64>) -> Response {
    match app.store().job(JobId::new(id)).await {
        Ok(Some(JobRecord::Open(job))) => match app.store().open().await {
            Ok(open) => Json(JobView::planned(&job, &app.engine.reasons_to_wait(&open))).into_response(),
            Err(fault) => answer::<JobView>(Err(fault)),
        },
        Ok(Some(JobRecord::Ended(job))) => Json(JobView::ended(&job)).into_response(),
        Ok(None) => not_found(format!("there is no record of job {id}")),
        Err(fault) => answer::<JobView>(Err(fault)),
    }
}

/// One runner, open or gone.
pub(super) async fn runner(State(app): State<App>, Path(name): Path<String>) -> Response {
    let Ok(name) = TaskName::parse(&name) else {
        return not_found(format!("`{name}` is not a valid runner name"));
    };
    match find_runner(&app, &name).await {
        Ok(Some(runner)) => Json(runner).into_response(),
        Ok(None) => not_found(format!("there is no record of runner {name}")),
        Err(fault) => answer::<RunnerView>(Err(fault)),
    }
}

async fn find_runner(app: &App, name: &TaskName) -> Result<Option<RunnerView>, StoreError> {
    let open = app.store().load(&Keys::of_task(name)).await?;
    if let Some(view) = RunnerView::of(&open, app.engine.ports().clock.now()) {
        return Ok(Some(view));
    }
    Ok(app.store().gone(name).await?.as_ref().map(RunnerView::past))
}

pub(super) async fn classes(State(app): State<App>) -> Response {
    Json(ClassList { classes: ClassView::all(&app.engine.rules().catalogue) }).into_response()
}

#[derive(Serialize)]
struct Counts {
    webhooks: BTreeMap<&'static str, u64>,
}

/// Returns how often each reason was given since the server started.
pub(super) async fn counts(State(app): State<App>) -> Response {
    let webhooks = app.engine.counts().given().into_iter().map(|(code, count)| (code.as_str(), count));
    Json(Counts { webhooks: webhooks.collect() }).into_response()
}

pub(super) fn answer<T: Serialize>(answer: Result<T, StoreError>) -> Response {
    match answer {
        Ok(answer) => Json(answer).into_response(),
        // The store refuses only cursors that it did not issue.
        Err(fault @ StoreError::Refused { .. }) => {
            (StatusCode::BAD_REQUEST, Json(Fault { message: fault.to_string() })).into_response()
        }
        Err(fault) => {
            error!(error = %fault, "the API could not read the store");
            (StatusCode::SERVICE_UNAVAILABLE, Json(Fault { message: fault.to_string() })).into_response()
        }
    }
}
