//! Accounts, as anyone sees them.

use axum::extract::{Path, State as Extract};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::App;
use super::reply::{self, Refusal};
use crate::github::representation::seconds;

/// Answers anyone, but no credentials that are wrong.
pub(super) async fn get(
    Extract(shared): App,
    headers: HeaderMap,
    Path(login): Path<String>,
) -> Result<Response, Refusal> {
    let state = shared.state();
    if headers.contains_key("authorization") {
        state.authorize_any(&headers)?;
    }
    let login = state.account(&login).ok_or_else(Refusal::not_found)?;
    let mut user = state.user_json(&login);
    let at = json!(seconds(state.started));
    for (name, value) in [
        ("name", json!(login)),
        ("company", json!(null)),
        ("blog", json!("")),
        ("location", json!(null)),
        ("email", json!(null)),
        ("hireable", json!(null)),
        ("bio", json!(null)),
        ("public_repos", json!(0)),
        ("public_gists", json!(0)),
        ("followers", json!(0)),
        ("following", json!(0)),
        ("created_at", at.clone()),
        ("updated_at", at),
    ] {
        user[name] = value;
    }
    Ok(reply::json(StatusCode::OK, &user))
}
