//! The services for runners, in GitHub's own protocol (V2): tokens, the broker
//! with its sessions and messages, the run service, downloads of actions, and
//! results with logs.
//!
//! The form of each message comes from the source of the official runner 2.336
//! and from observed runs.

mod broker;
mod feed;
mod launch;
pub(super) mod paths;
mod reply;
mod results;
mod run;
mod token;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request, State as Extract};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use futures::stream;
use serde::Deserialize;

pub(super) use launch::download;
pub(super) use reply::BROKER as BROKER_SERVICE;
pub(super) use results::Blob;
pub(super) use token::Token;

use super::faults::{RunnerCall, RunnerFault};
use super::state::{SessionId, Shared};

/// The state that every handler takes.
type App = Extract<Arc<Shared>>;

/// The size limit of a request. The largest is a job's whole log.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let broker = Router::new()
        .route("/session", post(broker::create_session).delete(broker::delete_session))
        .route("/message", get(broker::next_message))
        .route("/acknowledge", post(broker::acknowledge));
    let run = Router::new()
        .route("/acquirejob", post(run::acquire))
        .route("/renewjob", post(run::renew))
        .route("/completejob", post(run::complete));
    Router::new()
        .route(paths::TOKEN, post(token::token))
        .nest(paths::BROKER, broker)
        .nest(paths::RUN, run)
        .route(paths::RESOLVE_ACTIONS, post(launch::resolve))
        .route(paths::ARCHIVE, get(launch::archive))
        .route(paths::RESULTS, post(results::call))
        .route(paths::BLOB, put(results::upload).get(results::download))
        .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), around))
        .route(paths::FEED, get(feed::feed))
        .with_state(shared)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CallParameters {
    session_id: Option<String>,
    status: Option<String>,
}

/// Applies the fault that is set for a call.
async fn around(Extract(shared): App, request: Request, next: Next) -> Response {
    let call = RunnerCall::of(request.method(), request.uri().path());
    let parameters = Query::<CallParameters>::try_from_uri(request.uri()).map(|query| query.0);
    let parameters = parameters.unwrap_or_default();
    let fault = {
        let mut state = shared.state();
        let busy = parameters.status.as_deref() == Some("Busy");
        let fault = state.faults.runner_fault(call, busy);
        // A listener that calls is connected, even if the answer is an error.
        if let Some(id) = parameters.session_id.filter(|_| fault.is_some())
            && let Some(session) = state.sessions.get_mut(&SessionId(id))
        {
            session.last_seen = Instant::now();
        }
        fault
    };
    match fault {
        None => next.run(request).await,
        Some(fault) => fail(&fault, request, next).await,
    }
}

async fn fail(fault: &RunnerFault, request: Request, next: Next) -> Response {
    let answers_itself = fault.status.is_none() && !fault.breaks_off;
    let effect = match answers_itself || fault.after_effect {
        true => Some(next.run(request).await),
        false => None,
    };
    if fault.hang_secs > 0.0 {
        tokio::time::sleep(Duration::try_from_secs_f64(fault.hang_secs).unwrap_or_default()).await;
    }
    if fault.breaks_off {
        // The connection ends before the announced end of the body.
        let broken = stream::once(async { Err::<String, _>(std::io::Error::other("broken off")) });
        return ([("content-length", "10")], Body::from_stream(broken)).into_response();
    }
    let status = fault.status.and_then(|status| StatusCode::from_u16(status).ok());
    match (status, effect) {
        (None, Some(response)) => response,
        (status, _) => {
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            match &fault.body {
                Some(body) => reply::json(status, body),
                None => reply::ServiceError::new(
                    &fault.source,
                    status,
                    fault.error_kind.as_deref(),
                    fault.message.as_deref().unwrap_or("a fault that was asked for"),
                )
                .into_response(),
            }
        }
    }
}
