//! Changes by an operator: `POST /api/v1/…`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use ecsrunner_api::reason::OutcomeView;
use ecsrunner_api::status::Paused;
use ecsrunner_core::id::{JobId, TaskName};
use serde::Deserialize;
use tracing::info;

use crate::backend::{Control, Refusal};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pause {
    paused: bool,
}

pub(crate) async fn pause<B: Control>(
    State(backend): State<Arc<B>>,
    Json(asked): Json<Pause>,
) -> Result<Json<Paused>, Refusal> {
    let paused = backend.pause(asked.paused).await?;
    info!(paused, "an operator paused or resumed launches");
    Ok(Json(Paused { paused }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stop {
    force: bool,
}

pub(crate) async fn stop<B: Control>(
    State(backend): State<Arc<B>>,
    Path(runner): Path<String>,
    Json(asked): Json<Stop>,
) -> Result<Json<OutcomeView>, Refusal> {
    let runner = match TaskName::parse(&runner) {
        Ok(TaskName::Runner(runner)) => runner,
        Ok(TaskName::Warm(warm)) => {
            let message = format!(
                "`{warm}` is a warm task and has no job: to end warm tasks, lower `warm.count` of their class, or pause \
                 the deployment"
            );
            return Err(Refusal::new(StatusCode::BAD_REQUEST, message));
        }
        Err(_) => return Err(Refusal::not_found(format!("`{runner}` is not a valid runner name"))),
    };
    info!(%runner, force = asked.force, "an operator is stopping a runner");
    backend.stop(runner, asked.force).await.map(Json)
}

pub(crate) async fn retry<B: Control>(
    State(backend): State<Arc<B>>,
    Path(job): Path<u64>,
) -> Result<Json<OutcomeView>, Refusal> {
    info!(job_id = job, "an operator has a job judged again");
    backend.retry(JobId::new(job)).await.map(Json)
}
