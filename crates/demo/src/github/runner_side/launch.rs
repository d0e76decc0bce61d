//! Actions: resolution of `owner/name@ref`, and downloads of their files.

use axum::Json;
use axum::extract::{Path, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::App;
use super::reply::{ServiceError, json as reply};

#[derive(Deserialize)]
pub(super) struct Resolve {
    actions: Vec<Wanted>,
}

#[derive(Deserialize)]
struct Wanted {
    action: String,
    version: String,
}

/// Resolves actions, or answers 422 if one is not known.
pub(super) async fn resolve(
    Extract(shared): App,
    headers: HeaderMap,
    Json(request): Json<Resolve>,
) -> Result<Response, ServiceError> {
    let state = shared.state();
    state.calling_job(&headers)?;
    let (mut resolved, mut errors) = (Map::new(), Map::new());
    for Wanted { action, version } in request.actions {
        let key = format!("{action}@{version}");
        match state.actions.get(&key) {
            None => {
                let message = format!("Unable to resolve action `{key}`, repository not found");
                errors.insert(key, json!({"message": message}));
            }
            Some(found) => {
                let url = format!("{}/_services/archives/{action}/{}", state.base, found.sha);
                let entry = json!({
                    "name": action,
                    "resolved_name": action,
                    "resolved_sha": found.sha,
                    "version": version,
                    "tar_url": url,
                    "zip_url": url,
                });
                resolved.insert(key, entry);
            }
        }
    }
    if errors.is_empty() {
        Ok(reply(StatusCode::OK, &json!({"actions": Value::Object(resolved)})))
    } else {
        Ok(reply(StatusCode::UNPROCESSABLE_ENTITY, &json!({"errors": Value::Object(errors)})))
    }
}

/// Sends an action as a gzipped tar with one top folder.
pub(super) async fn archive(
    Extract(shared): App,
    Path((_owner, _name, sha)): Path<(String, String, String)>,
) -> Response {
    let state = shared.state();
    match state.actions.values().find(|action| action.sha == sha) {
        Some(action) => {
            ([(header::CONTENT_TYPE, "application/x-gzip")], action.archive.clone()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
