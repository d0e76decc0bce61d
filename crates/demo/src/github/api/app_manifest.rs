//! Hands a new App's credentials over, once.

use std::time::Instant;

use axum::extract::{Path, State as Extract};
use axum::http::StatusCode;
use axum::response::Response;
use secrecy::ExposeSecret;
use serde_json::json;

use super::App;
use super::reply::{Refusal, json as reply};

/// Needs no credentials: the code is one.
pub(super) async fn convert(Extract(shared): App, Path(code): Path<String>) -> Result<Response, Refusal> {
    let mut state = shared.state();
    let handover = state.new_apps.codes.remove(&code);
    let handover = handover.filter(|it| it.ends > Instant::now()).ok_or_else(Refusal::not_found)?;
    let app = state.credentials.apps().iter().find(|app| app.id == handover.app);
    let mut body = state.app_json(app.ok_or_else(Refusal::not_found)?);
    body["pem"] = json!(handover.private_key.expose_secret());
    body["client_secret"] = json!(handover.client_secret.expose_secret());
    body["webhook_secret"] = json!(handover.webhook_secret.as_ref().map(ExposeSecret::expose_secret));
    Ok(reply(StatusCode::CREATED, &body))
}
