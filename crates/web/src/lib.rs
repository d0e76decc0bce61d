//! The page and its API over HTTP: what a local server and `ecsrunner ui` have in common.
//!
//! Both serve the records of a [`Source`] and pass an operator's requests to its [`Control`]. Who may ask is decided in
//! `guard`. Webhooks, and what a deployment is made of, do not belong here.

pub mod connections;
pub mod poll;
mod form;
mod backend;
mod guard;
mod page;
mod single;
mod lists;
mod budgets;
mod costs;
mod deployment;
mod control;
mod events;
mod log;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use ecsrunner_api::status::{Fault, Health};

pub use backend::{About, Backend, Control, LogFailure, Refusal, Source};
pub use budgets::read_budgets;
pub use guard::Access;
pub use single::find_runner;

/// How long a request may take, its body included. A job's log has a limit of its own.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the routes of the page and of its API. `extra` are further routes of the API, which need the token too.
pub fn router<B: Backend>(backend: Arc<B>, access: Access, extra: Router<Arc<B>>) -> Router {
    let access = Arc::new(access);
    let api = Router::new()
        .route("/api/v1/jobs", get(lists::jobs::<B>))
        .route("/api/v1/jobs/{id}", get(single::job::<B>))
        .route("/api/v1/runners", get(lists::runners::<B>))
        .route("/api/v1/runners/{name}", get(single::runner::<B>))
        .route("/api/v1/classes", get(single::classes::<B>))
        .route("/api/v1/status", get(single::status::<B>))
        .route("/api/v1/budgets", get(budgets::budgets::<B>))
        .route("/api/v1/deployment", get(deployment::deployment::<B>))
        .route("/api/v1/pause", post(control::pause::<B>))
        .route("/api/v1/runners/{name}/stop", post(control::stop::<B>))
        .route("/api/v1/jobs/{id}/retry", post(control::retry::<B>))
        .merge(extra)
        .layer(from_fn(limit_time))
        // These take as long as they need. Their numbers are bounded.
        .route("/api/v1/costs", get(costs::costs::<B>).layer(Extension(Arc::new(costs::Kept::default()))))
        .route("/api/v1/events", get(events::events::<B>).layer(Extension(events::Streams::default())))
        .route("/api/v1/jobs/{id}/log", get(log::log::<B>).layer(Extension(Arc::new(log::Reads::default()))))
        .route_layer(from_fn_with_state(Arc::clone(&access), guard::token));
    Router::new()
        .merge(page::router())
        .merge(api)
        .layer(from_fn_with_state(access, guard::host))
        .route("/healthz", get(health))
        .with_state(backend)
}

async fn health() -> Response {
    Json(Health { status: "ok".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }).into_response()
}

/// Answers 408 to a request that is not complete within 30 seconds.
pub async fn limit_time(request: Request, next: Next) -> Response {
    tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await.unwrap_or_else(|_| {
        let message = format!("the request was not complete within {} s", REQUEST_TIMEOUT.as_secs());
        (StatusCode::REQUEST_TIMEOUT, [(header::CONNECTION, "close")], Json(Fault { message }))
            .into_response()
    })
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
