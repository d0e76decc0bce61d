//! `GET /api/v1/…`: open records first, then history, the latest first.

use std::collections::{BTreeMap, HashSet};

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ecsrunner_api::class::ClassView;
use ecsrunner_api::job::JobView;
use ecsrunner_api::list::{ClassList, JobList, RunnerList};
use ecsrunner_api::runner::RunnerView;
use ecsrunner_api::status::{Fault, Health};
use ecsrunner_core::id::{JobId, Repository, RunnerName};
use ecsrunner_core::records::job::JobRecord;
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::shared_map::SharedMap;
use ecsrunner_core::wire::event::Keys;
use ecsrunner_engine::ports::Clock;
use ecsrunner_engine::ports::store::{History, Listed, Page, Store, StoreError};
use serde::{Deserialize, Serialize};
use tracing::error;

use super::App;
use super::control::not_found;

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    limit: Option<u32>,
    cursor: Option<String>,
    repository: Option<Repository>,
    class: Option<String>,
    state: Option<String>,
}

impl Filter {
    fn page(&self) -> Page {
        Page {
            repository: self.repository.clone(),
            limit: self.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT),
            after: self.cursor.clone(),
            ..Page::default()
        }
    }

    fn admits(&self, repository: &str, class: Option<&str>, state: &str) -> bool {
        let admits = |wanted: &Option<String>, have: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| have.is_some_and(|have| have.eq_ignore_ascii_case(wanted)))
        };
        self.repository.as_ref().is_none_or(|wanted| wanted.as_str().eq_ignore_ascii_case(repository))
            && admits(&self.class, class)
            && admits(&self.state, Some(state))
    }

    fn admits_job(&self, job: &JobView) -> bool {
        self.admits(&job.repository, job.class.as_deref(), job.state.as_str())
    }

    fn admits_runner(&self, runner: &RunnerView) -> bool {
        self.admits(&runner.repository, Some(&runner.class), runner.state.as_str())
    }
}

pub(super) async fn health() -> Response {
    Json(Health { status: "ok".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }).into_response()
}

pub(super) async fn jobs(State(app): State<App>, Query(filter): Query<Filter>) -> Response {
    answer(list_jobs(&app, &filter).await)
}

async fn list_jobs(app: &App, filter: &Filter) -> Result<JobList, StoreError> {
    // The first page starts with the open jobs.
    let open = if filter.cursor.is_none() { app.store().open().await? } else { Open::default() };
    let reasons = app.engine.reasons_to_wait(&open);
    let Listed { items, next } = app.store().jobs(&filter.page()).await?;
    // A job that ended between the two reads is listed once, as ended.
    let ended: HashSet<JobId> = items.iter().map(|job| job.facts.id).collect();
    let open = open.jobs.values().filter(|job| !ended.contains(&job.id()));
    let open = open.map(|job| JobView::planned(job, &reasons));
    let (refused, open): (Vec<_>, Vec<_>) = open.partition(JobView::is_past);
    let past = among(items.iter().map(JobView::ended).collect(), refused);
    let jobs = open.into_iter().chain(past).filter(|job| filter.admits_job(job)).collect();
    Ok(JobList { jobs, next })
}

/// Puts refused jobs that are still open among those of history, the latest first.
fn among(mut past: Vec<JobView>, refused: Vec<JobView>) -> Vec<JobView> {
    let key = |job: &JobView| (job.timeline.last().map(|stage| stage.at), job.id);
    for job in refused {
        let place = past.iter().position(|other| key(other) < key(&job)).unwrap_or(past.len());
        past.insert(place, job);
    }
    past
}

pub(super) async fn runners(State(app): State<App>, Query(filter): Query<Filter>) -> Response {
    answer(list_runners(&app, &filter).await)
}

async fn list_runners(app: &App, filter: &Filter) -> Result<RunnerList, StoreError> {
    let open = if filter.cursor.is_none() { app.store().open().await?.runners } else { SharedMap::default() };
    let now = app.engine.ports().clock.now();
    let Listed { items, next } = app.store().runners(&filter.page()).await?;
    let gone: HashSet<&RunnerName> = items.iter().map(|runner| &runner.facts.name).collect();
    let open = open.values().filter(|runner| !gone.contains(runner.name()));
    let views = open.map(|runner| RunnerView::open(runner, now)).chain(items.iter().map(RunnerView::gone));
    let runners = views.filter(|runner| filter.admits_runner(runner)).collect();
    Ok(RunnerList { runners, next })
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
    let Ok(name) = RunnerName::parse(&name) else {
        return not_found(format!("`{name}` is not a valid runner name"));
    };
    match find_runner(&app, &name).await {
        Ok(Some(runner)) => Json(runner).into_response(),
        Ok(None) => not_found(format!("there is no record of runner {name}")),
        Err(fault) => answer::<RunnerView>(Err(fault)),
    }
}

async fn find_runner(app: &App, name: &RunnerName) -> Result<Option<RunnerView>, StoreError> {
    let keys = Keys { job: None, runner: Some(name.clone()) };
    if let Some(runner) = app.store().load(&keys).await?.runner {
        return Ok(Some(RunnerView::open(&runner, app.engine.ports().clock.now())));
    }
    Ok(app.store().gone_runner(name).await?.as_ref().map(RunnerView::gone))
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
