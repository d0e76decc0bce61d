//! The control API below `/_sim/` for tests. It needs no credentials.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::shared::Shared;
use ecsrunner_world::ecs::ControlError;
use ecsrunner_world::ecs::Faults;
use ecsrunner_world::ecs::TaskView;

type App = Extract<Arc<Shared>>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let routes = Router::new()
        .route("/tasks", get(tasks))
        .route("/tasks/{task}/exit", post(exit))
        .route("/tasks/{task}/interrupt", post(interrupt))
        .route("/tasks/{task}/fail", post(fail))
        .route("/events", get(events))
        .route("/target", post(set_target))
        .route("/calls", get(calls))
        .route("/faults", get(faults).post(set_faults));
    Router::new().nest("/_sim", routes).with_state(shared)
}

/// An operation that the task's state does not allow.
struct Refused(ControlError);

impl From<ControlError> for Refused {
    fn from(error: ControlError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self.0 {
            ControlError::Unknown(_) => StatusCode::NOT_FOUND,
            ControlError::Status { .. } | ControlError::NotSpot(_) => StatusCode::CONFLICT,
        };
        (status, Json(json!({"message": self.0.to_string()}))).into_response()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Returns only tasks that are not STOPPED.
    #[serde(default)]
    alive: bool,
}

async fn tasks(Extract(shared): App, Query(which): Query<Which>) -> Json<Value> {
    let tasks: Vec<TaskView> =
        shared.with(|ecs, _| ecs.tasks().filter(|task| !which.alive || task.stopped_at.is_none()).collect());
    Json(json!({"tasks": tasks}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    code: i32,
}

async fn exit(
    Extract(shared): App,
    Path(task): Path<String>,
    Json(Code { code }): Json<Code>,
) -> Result<StatusCode, Refused> {
    shared.with(|ecs, now| ecs.exit(&task, code, now))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn interrupt(Extract(shared): App, Path(task): Path<String>) -> Result<StatusCode, Refused> {
    shared.with(|ecs, now| ecs.interrupt(&task, now))?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    reason: String,
}

async fn fail(
    Extract(shared): App,
    Path(task): Path<String>,
    Json(Failure { reason }): Json<Failure>,
) -> Result<StatusCode, Refused> {
    shared.with(|ecs, now| ecs.fail_to_start(&task, &reason, now))?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    /// How many of the delivered events the caller has already.
    #[serde(default)]
    after: usize,
    /// How long to wait for another event, in milliseconds.
    #[serde(default)]
    wait_ms: u64,
}

async fn events(Extract(shared): App, Query(asked): Query<After>) -> Json<Value> {
    let mut delivered = shared.delivered.subscribe();
    let wait = delivered.wait_for(|all| all.len() > asked.after);
    // After the time limit, the answer has no event.
    drop(tokio::time::timeout(Duration::from_millis(asked.wait_ms), wait).await);
    let delivered = shared.delivered.borrow();
    let events = delivered.get(asked.after..).unwrap_or_default();
    Json(json!({"events": events, "next": delivered.len()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    url: Option<String>,
}

async fn set_target(Extract(shared): App, Json(Target { url }): Json<Target>) -> StatusCode {
    *shared.target() = url;
    StatusCode::NO_CONTENT
}

async fn calls(Extract(shared): App) -> Json<Value> {
    Json(shared.with(|ecs, _| json!(ecs.calls())))
}

async fn faults(Extract(shared): App) -> Json<Faults> {
    Json(shared.with(|ecs, _| ecs.faults().clone()))
}

/// Replaces the faults of each given key. Other keys keep their faults.
async fn set_faults(
    Extract(shared): App,
    Json(changes): Json<Map<String, Value>>,
) -> Result<Json<Faults>, (StatusCode, Json<Value>)> {
    shared.with(|ecs, _| {
        let mut all = json!(ecs.faults());
        for (key, value) in changes {
            all[key] = value;
        }
        let faults: Faults = serde_json::from_value(all).map_err(|error| {
            (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"message": error.to_string()})))
        })?;
        *ecs.faults_mut() = faults.clone();
        Ok(Json(faults))
    })
}
