//! The HTTP server of the local mode: webhook, API, events and page.

mod api;
mod control;
mod events;
mod log;
mod page;
mod webhook;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use axum::{Extension, Router};
use ecsrunner_aws::store::DynamoStore;
use ecsrunner_core::wire::webhook::MAX_BODY_BYTES;
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
    /// Required for requests that change something or read a job's log.
    pub(crate) token: SecretString,
}

impl Shared {
    pub(crate) fn store(&self) -> &DynamoStore {
        &self.engine.ports().store
    }
}

pub(crate) type App = Arc<Shared>;

pub(crate) fn router(app: App) -> Router {
    // Reads beyond the limit, so that a body that is too large gets an answer that names the limit.
    let body_limit = DefaultBodyLimit::max(2 * MAX_BODY_BYTES);
    let guarded = Router::new()
        .route("/api/v1/pause", post(control::pause))
        .route("/api/v1/runners/{name}/stop", post(control::stop))
        .route("/api/v1/jobs/{id}/retry", post(control::retry))
        .route("/api/v1/jobs/{id}/log", get(log::log).layer(Extension(Arc::new(log::Reads::default()))))
        .route_layer(from_fn_with_state(app.clone(), control::guard));
    Router::new()
        .route("/webhook", post(webhook::receive).layer(body_limit))
        .route("/healthz", get(api::health))
        .route("/api/v1/jobs", get(api::jobs))
        .route("/api/v1/jobs/{id}", get(api::job))
        .route("/api/v1/runners", get(api::runners))
        .route("/api/v1/runners/{name}", get(api::runner))
        .route("/api/v1/classes", get(api::classes))
        .route("/api/v1/status", get(control::status))
        .route("/api/v1/counts", get(api::counts))
        .route("/api/v1/events", get(events::events))
        .merge(page::router())
        .merge(guarded)
        .with_state(app)
}
