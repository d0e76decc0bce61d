//! `GET /api/v1/…`: what is open first, then what was, the latest first.

use std::collections::{BTreeMap, HashSet};

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ecsrunner_core::id::{JobId, Repository, RunnerName};
use ecsrunner_engine::ports::Clock;
use ecsrunner_engine::ports::store::{History, Listed, Page, Store, StoreError};
use ecsrunner_engine::view::{ClassView, JobView, RunnerView};
use serde::{Deserialize, Serialize};
use tracing::error;

use super::App;

const DEFAULT_LIMIT: u32 = 100;
const MOST: u32 = 500;

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
            limit: self.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MOST),
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
        self.admits(&job.repository, job.class.as_deref(), &job.state)
    }

    fn admits_runner(&self, runner: &RunnerView) -> bool {
        self.admits(&runner.repository, Some(&runner.class), &runner.state)
    }
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
}

pub(super) async fn health() -> Response {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") }).into_response()
}

#[derive(Serialize)]
struct Jobs {
    jobs: Vec<JobView>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Runners {
    runners: Vec<RunnerView>,
    next: Option<String>,
}

pub(super) async fn jobs(State(app): State<App>, Query(filter): Query<Filter>) -> Response {
    answer(list_jobs(&app, &filter).await)
}

async fn list_jobs(app: &App, filter: &Filter) -> Result<Jobs, StoreError> {
    // What is open belongs to the first page.
    let open = if filter.cursor.is_none() { app.store().open().await?.jobs } else { BTreeMap::new() };
    let Listed { items, next } = app.store().jobs(&filter.page()).await?;
    // One that ended between the two reads is listed once, as it is now.
    let ended: HashSet<JobId> = items.iter().map(|job| job.facts.id).collect();
    let open = open.values().filter(|job| !ended.contains(&job.id())).map(JobView::open);
    let jobs = open.chain(items.iter().map(JobView::ended)).filter(|job| filter.admits_job(job)).collect();
    Ok(Jobs { jobs, next })
}

pub(super) async fn runners(State(app): State<App>, Query(filter): Query<Filter>) -> Response {
    answer(list_runners(&app, &filter).await)
}

async fn list_runners(app: &App, filter: &Filter) -> Result<Runners, StoreError> {
    let open = if filter.cursor.is_none() { app.store().open().await?.runners } else { BTreeMap::new() };
    let now = app.engine.ports().clock.now();
    let Listed { items, next } = app.store().runners(&filter.page()).await?;
    let gone: HashSet<&RunnerName> = items.iter().map(|runner| &runner.facts.name).collect();
    let open = open.values().filter(|runner| !gone.contains(runner.name()));
    let views = open.map(|runner| RunnerView::open(runner, now)).chain(items.iter().map(RunnerView::gone));
    let runners = views.filter(|runner| filter.admits_runner(runner)).collect();
    Ok(Runners { runners, next })
}

#[derive(Serialize)]
struct Classes {
    classes: Vec<ClassView>,
}

pub(super) async fn classes(State(app): State<App>) -> Response {
    Json(Classes { classes: ClassView::all(&app.engine.rules().catalogue) }).into_response()
}

#[derive(Serialize)]
struct Counts {
    webhooks: BTreeMap<&'static str, u64>,
}

/// How often each reason was given since the server began.
pub(super) async fn counts(State(app): State<App>) -> Response {
    let webhooks = app.engine.counts().given().into_iter().map(|(code, count)| (code.as_str(), count));
    Json(Counts { webhooks: webhooks.collect() }).into_response()
}

#[derive(Serialize)]
pub(super) struct Fault {
    pub(super) message: String,
}

pub(super) fn answer<T: Serialize>(answer: Result<T, StoreError>) -> Response {
    match answer {
        Ok(answer) => Json(answer).into_response(),
        // What the store refuses is a cursor that nobody gave out.
        Err(fault @ StoreError::Refused { .. }) => {
            (StatusCode::BAD_REQUEST, Json(Fault { message: fault.to_string() })).into_response()
        }
        Err(fault) => {
            error!(error = %fault, "the API could not read the store");
            (StatusCode::SERVICE_UNAVAILABLE, Json(Fault { message: fault.to_string() })).into_response()
        }
    }
}
