//! `GET /api/v1/deployment`: what holds launches back, and the deployment's own image.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ecsrunner_api::deployment::DeploymentView;
use ecsrunner_engine::ports::store::Store;

use crate::backend::{Refusal, Source};

pub(crate) async fn deployment<B: Source>(
    State(backend): State<Arc<B>>,
) -> Result<Json<DeploymentView>, Refusal> {
    let open = backend.store().open().await.map_err(|fault| backend.refusal(fault))?;
    let rules = backend.rules().await?;
    let reasons = backend.reasons_to_wait(&open, &rules);
    Ok(Json(DeploymentView::of(&open, &reasons, &rules.catalogue)))
}
