//! What GitHub says about itself.

use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::App;
use super::reply::{self, Refusal};

/// Answers anyone, but no credentials that are wrong.
pub(super) async fn meta(Extract(shared): App, headers: HeaderMap) -> Result<Response, Refusal> {
    let state = shared.state();
    if headers.contains_key("authorization") {
        state.authorize_any(&headers)?;
    }
    let mut body = json!({"verifiable_password_authentication": false});
    if !state.webhook_ranges.is_empty() {
        body["hooks"] = json!(state.webhook_ranges);
    }
    Ok(reply::json(StatusCode::OK, &body))
}
