//! Runner groups of organizations.

use axum::extract::{OriginalUri, Path, Query, State as Extract};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::reply::{Page, Refusal};
use super::{App, Parameters};
use crate::github::auth::{Level, Target};

pub(super) async fn list(
    Extract(shared): App,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    Path(login): Path<String>,
    Query(parameters): Parameters,
) -> Result<Response, Refusal> {
    let state = shared.state();
    let target = Target::Organization(&login);
    state.authorize(&headers, target, "organization_self_hosted_runners", Level::Read)?;
    let page = Page::asked(&parameters);
    let url = format!("{}/orgs/{login}/actions/runner-groups", state.base);
    let groups: Vec<Value> = state
        .runner_groups
        .iter()
        .map(|(id, group)| {
            json!({
                "id": id,
                "name": group.name,
                "visibility": group.visibility,
                "default": *id == 1,
                "runners_url": format!("{url}/{id}/runners"),
                "selected_repositories_url": format!("{url}/{id}/repositories"),
                "inherited": false,
                "allows_public_repositories": group.allows_public_repositories,
                "restricted_to_workflows": false,
                "selected_workflows": [],
                "workflow_restrictions_read_only": false,
            })
        })
        .collect();
    let total = groups.len();
    let body = json!({"total_count": total, "runner_groups": page.of(groups)});
    Ok(page.reply(&body, total, &state.base, &uri))
}
