//! `GET /api/v1/…`: single records, classes, and the state of the deployment.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use ecsrunner_api::class::ClassView;
use ecsrunner_api::job::JobView;
use ecsrunner_api::list::ClassList;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_api::status::StatusView;
use ecsrunner_core::id::{JobId, TaskName};
use ecsrunner_core::records::job::JobRecord;
use ecsrunner_core::wire::event::Keys;
use ecsrunner_engine::ports::store::{History, Store, StoreError};
use jiff::Timestamp;

use crate::backend::{About, Refusal, Source};

/// One job, open or ended.
pub(crate) async fn job<B: Source>(
    State(backend): State<Arc<B>>,
    Path(id): Path<u64>,
) -> Result<Json<JobView>, Refusal> {
    find_job(&*backend, JobId::new(id)).await.map(Json)
}

/// Returns one job, with its reason to wait from a plan.
pub(crate) async fn find_job<B: Source>(backend: &B, id: JobId) -> Result<JobView, Refusal> {
    let store = backend.store();
    match store.job(id).await.map_err(|fault| backend.refusal(fault))? {
        Some(JobRecord::Open(job)) => {
            let open = store.open().await.map_err(|fault| backend.refusal(fault))?;
            let rules = backend.rules().await?;
            let reasons = backend.reasons_to_wait(&open, &rules);
            Ok(JobView::planned(&job, &open, &reasons, &rules.catalogue))
        }
        Some(JobRecord::Ended(job)) => Ok(JobView::ended(&job)),
        None => Err(Refusal::not_found(format!("there is no record of job {id}"))),
    }
}

/// One runner, open or gone.
pub(crate) async fn runner<B: Source>(
    State(backend): State<Arc<B>>,
    Path(name): Path<String>,
) -> Result<Json<RunnerView>, Refusal> {
    let Ok(name) = TaskName::parse(&name) else {
        return Err(Refusal::not_found(format!("`{name}` is not a valid runner name")));
    };
    let found = find_runner(&*backend, &name).await.map_err(|fault| backend.refusal(fault))?;
    found.map(Json).ok_or_else(|| Refusal::not_found(format!("there is no record of runner {name}")))
}

/// Reads one runner or warm task, open or gone.
///
/// # Errors
///
/// The store cannot be read.
pub async fn find_runner<B: Source>(backend: &B, name: &TaskName) -> Result<Option<RunnerView>, StoreError> {
    let open = backend.store().load(&Keys::of_task(name)).await?;
    if let Some(view) = RunnerView::of(&open, Timestamp::now()) {
        return Ok(Some(view));
    }
    Ok(backend.store().gone(name).await?.as_ref().map(RunnerView::past))
}

pub(crate) async fn classes<B: Source>(State(backend): State<Arc<B>>) -> Result<Json<ClassList>, Refusal> {
    Ok(Json(ClassList { classes: ClassView::all(&backend.rules().await?.catalogue) }))
}

/// Returns the state of the deployment.
pub(crate) async fn status<B: Source>(State(backend): State<Arc<B>>) -> Result<Json<StatusView>, Refusal> {
    let About { kind, region, logs, github } = backend.about();
    let rules = backend.rules().await?;
    Ok(Json(StatusView { kind, region, logs, github, ..StatusView::of(&rules.settings) }))
}
