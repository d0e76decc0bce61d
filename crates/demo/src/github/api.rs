//! The REST API for runners, jobs, Apps and deliveries.

mod app;
mod app_manifest;
mod deliveries;
mod hook_config;
mod meta;
mod reply;
mod repositories;
mod runner_groups;
mod runners;
mod runs;
mod users;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Query, Request, State as Extract};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

pub(super) use reply::Refusal;

use super::faults::RestFault;
use super::state::Shared;

/// Where GitHub Enterprise Server serves the API.
const ENTERPRISE_PREFIX: &str = "/api/v3";

/// GitHub's hourly limit of calls for an App's installation in a large organization.
const CORE_LIMIT: u64 = 12_500;

/// GitHub's hourly limit of runner registrations.
const REGISTRATION_LIMIT: u64 = 10_000;

const HOUR_SECS: i64 = 3_600;

/// The state that every handler takes.
pub(super) type App = Extract<Arc<Shared>>;

/// A query's parameters by name.
pub(super) type Parameters = Query<HashMap<String, String>>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let operations = Router::new()
        .route("/app", get(app::app))
        .route("/apps/{app_slug}", get(app::by_slug))
        .route("/app/installations", get(app::installations))
        .route("/app/installations/{installation_id}", get(app::installation))
        .route("/app/installations/{installation_id}/access_tokens", post(app::create_token))
        .route("/app/hook/config", get(hook_config::get).patch(hook_config::update))
        .route("/app-manifests/{code}/conversions", post(app_manifest::convert))
        .route("/app/hook/deliveries", get(deliveries::list))
        .route("/app/hook/deliveries/{delivery_id}", get(deliveries::get))
        .route("/app/hook/deliveries/{delivery_id}/attempts", post(deliveries::redeliver))
        .route("/installation/repositories", get(repositories::of_installation))
        .route("/users/{username}", get(users::get))
        .route("/user/repos", get(repositories::of_user))
        .route("/meta", get(meta::meta))
        .route("/orgs/{org}/installation", get(app::organization_installation))
        .route("/orgs/{org}/actions/runner-groups", get(runner_groups::list))
        .route("/orgs/{org}/actions/runners", get(runners::list_of_organization))
        .route("/orgs/{org}/actions/runners/generate-jitconfig", post(runners::jit_of_organization))
        .route(
            "/orgs/{org}/actions/runners/{runner_id}",
            get(runners::get_of_organization).delete(runners::delete_of_organization),
        )
        .route("/repos/{owner}/{repo}", get(runs::repository))
        .route("/repos/{owner}/{repo}/installation", get(app::repository_installation))
        .route("/repos/{owner}/{repo}/actions/runners", get(runners::list_of_repository))
        .route("/repos/{owner}/{repo}/actions/runners/generate-jitconfig", post(runners::jit_of_repository))
        .route(
            "/repos/{owner}/{repo}/actions/runners/{runner_id}",
            get(runners::get_of_repository).delete(runners::delete_of_repository),
        )
        .route("/repos/{owner}/{repo}/actions/runs", get(runs::list))
        .route("/repos/{owner}/{repo}/actions/runs/{run_id}", get(runs::run))
        .route("/repos/{owner}/{repo}/actions/runs/{run_id}/jobs", get(runs::jobs))
        .route(
            "/repos/{owner}/{repo}/actions/runs/{run_id}/attempts/{attempt_number}/jobs",
            get(runs::attempt_jobs),
        )
        .route("/repos/{owner}/{repo}/actions/jobs/{job_id}", get(runs::job))
        .route("/repos/{owner}/{repo}/actions/jobs/{job_id}/logs", get(runs::job_log))
        .route("/repos/{owner}/{repo}/actions/jobs/{job_id}/rerun", post(runs::rerun))
        .route("/rate_limit", get(rate_limit));
    Router::new()
        .nest(ENTERPRISE_PREFIX, operations.clone())
        .merge(operations)
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), around))
        .fallback(unknown)
        .with_state(shared)
}

async fn unknown() -> Refusal {
    Refusal::not_found()
}

/// Counts a call, applies the fault that is set for it, and adds the rate headers.
async fn around(Extract(shared): App, request: Request, next: Next) -> Response {
    let method = request.method().to_string();
    let path = request.uri().path();
    let path = path.strip_prefix(ENTERPRISE_PREFIX).unwrap_or(path).to_owned();
    let operation = request.extensions().get::<MatchedPath>().map_or(path.as_str(), MatchedPath::as_str);
    let operation = operation.strip_prefix(ENTERPRISE_PREFIX).unwrap_or(operation);
    let registers = operation.ends_with("/generate-jitconfig");
    let fault = {
        let mut state = shared.state();
        *state.calls.entry(format!("{method} {operation}")).or_default() += 1;
        let used = if registers { &mut state.used.1 } else { &mut state.used.0 };
        *used += 1;
        state.faults.rest_fault(&method, &path)
    };
    let mut response = match fault {
        None => next.run(request).await,
        Some(fault) => fail(&fault, request, next).await,
    };
    let rates = rate_headers(&shared, registers);
    response.headers_mut().extend(rates);
    response
}

async fn fail(fault: &RestFault, request: Request, next: Next) -> Response {
    let effect = match fault.status {
        Some(_) if !fault.after_effect => None,
        _ => Some(next.run(request).await),
    };
    if fault.hang_secs > 0.0 {
        tokio::time::sleep(Duration::try_from_secs_f64(fault.hang_secs).unwrap_or_default()).await;
    }
    match (fault.status, effect) {
        (None, Some(response)) => response,
        (status, _) => {
            let status = status
                .and_then(|status| StatusCode::from_u16(status).ok())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let message = fault.message.as_deref().unwrap_or("a fault that was asked for");
            let mut response = Refusal::new(status, message).into_response();
            if let Some(secs) = fault.retry_after_secs {
                response.headers_mut().insert("retry-after", HeaderValue::from(secs));
            }
            response
        }
    }
}

fn rate_headers(shared: &Shared, registers: bool) -> HeaderMap {
    let state = shared.state();
    let (resource, limit, used) = if registers {
        ("actions_runner_registration", REGISTRATION_LIMIT, state.used.1)
    } else {
        ("core", CORE_LIMIT, state.used.0)
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-ratelimit-limit", HeaderValue::from(limit));
    headers.insert("x-ratelimit-remaining", HeaderValue::from(limit.saturating_sub(used)));
    headers.insert("x-ratelimit-reset", HeaderValue::from(state.started.as_second() + HOUR_SECS));
    headers.insert("x-ratelimit-used", HeaderValue::from(used));
    headers.insert("x-ratelimit-resource", HeaderValue::from_static(resource));
    headers
}

async fn rate_limit(Extract(shared): App, headers: HeaderMap) -> Result<Response, Refusal> {
    let state = shared.state();
    state.authorize_any(&headers)?;
    let reset = state.started.as_second() + HOUR_SECS;
    let rate = |limit: u64, used: u64| json!({"limit": limit, "used": used, "remaining": limit.saturating_sub(used), "reset": reset});
    let core = rate(CORE_LIMIT, state.used.0);
    Ok(reply::json(
        StatusCode::OK,
        &json!({
            "resources": {
                "core": core,
                "search": rate(30, 0),
                "actions_runner_registration": rate(REGISTRATION_LIMIT, state.used.1),
            },
            "rate": core,
        }),
    ))
}
