//! The HTTP server of the local mode: webhook, API, events and page.

pub(crate) mod connections;
mod guard;
mod api;
mod lists;
mod control;
mod events;
mod log;
mod page;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use ecsrunner_api::status::Fault;
use ecsrunner_aws::store::DynamoStore;
use ecsrunner_core::wire::webhook::MAX_BODY_BYTES;
use ecsrunner_engine::ports::images::NoImages;
use ecsrunner_engine::{Engine, World};
use ecsrunner_github::Client;
use secrecy::SecretString;

use crate::brake::Brake;
use crate::compute::Processes;
use crate::machine::{NoQueue, OsRandomness, SystemClock};

/// The adapters of one machine.
#[derive(Debug)]
pub(crate) struct Local;

impl World for Local {
    type Store = DynamoStore;
    type Compute = Processes;
    type GitHub = Client;
    type Images = NoImages;
    type Queue = NoQueue;
    type Rulebook = Brake;
    type Clock = SystemClock;
    type Randomness = OsRandomness;
}

/// State that all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) engine: Engine<Local>,
    pub(crate) secrets: Vec<SecretString>,
    /// Required for every request of the API.
    pub(crate) token: SecretString,
    /// Names other than this machine's own under which the API may be reached.
    pub(crate) hosts: Vec<String>,
}

impl Shared {
    pub(crate) fn store(&self) -> &DynamoStore {
        &self.engine.ports().store
    }
}

pub(crate) type App = Arc<Shared>;

/// How long a request may take, its body included. A job's log comes from GitHub and has a limit of its own.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) fn router(app: App) -> Router {
    // Reads a little beyond the limit, so that a body that is too large gets an answer that names the limit.
    let body_limit = DefaultBodyLimit::max(MAX_BODY_BYTES + 1024);
    let api = Router::new()
        .route("/api/v1/jobs", get(lists::jobs))
        .route("/api/v1/jobs/{id}", get(api::job))
        .route("/api/v1/runners", get(lists::runners))
        .route("/api/v1/runners/{name}", get(api::runner))
        .route("/api/v1/classes", get(api::classes))
        .route("/api/v1/status", get(control::status))
        .route("/api/v1/counts", get(api::counts))
        .route("/api/v1/pause", post(control::pause))
        .route("/api/v1/runners/{name}/stop", post(control::stop))
        .route("/api/v1/jobs/{id}/retry", post(control::retry))
        .layer(from_fn(limit_time))
        // These take as long as they need. Their numbers are bounded.
        .route("/api/v1/events", get(events::events).layer(Extension(events::Streams::default())))
        .route("/api/v1/jobs/{id}/log", get(log::log).layer(Extension(Arc::new(log::Reads::default()))))
        .route_layer(from_fn_with_state(app.clone(), guard::token));
    Router::new()
        .merge(page::router())
        .merge(api)
        .layer(from_fn_with_state(app.clone(), guard::host))
        // GitHub's requests come through proxies under any name, and their signature proves where they are from.
        .route("/webhook", post(webhook::receive).layer(body_limit).layer(from_fn(limit_time)))
        .route("/healthz", get(api::health))
        .with_state(app)
}

pub(crate) async fn limit_time(request: Request, next: Next) -> Response {
    tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await.unwrap_or_else(|_| {
        let message = format!("the request was not complete within {} s", REQUEST_TIMEOUT.as_secs());
        (StatusCode::REQUEST_TIMEOUT, [(header::CONNECTION, "close")], Json(Fault { message }))
            .into_response()
    })
}
