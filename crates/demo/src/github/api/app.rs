//! The App: itself, its installations and their tokens.

use std::collections::{BTreeMap, HashSet};

use axum::body::Bytes;
use axum::extract::{OriginalUri, Path, Query, State as Extract};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ecsrunner_core::id::Repository;
use serde::Deserialize;
use serde_json::{Value, json};

use super::reply::{Page, Refusal, json as reply, read};
use super::{App, Parameters};
use crate::github::App as AppOptions;
use crate::github::auth::Grant;
use crate::github::representation::seconds;
use crate::github::state::State;

/// The App's name in URLs.
const SLUG: &str = "ecsrunner";

pub(super) async fn app(Extract(shared): App, headers: HeaderMap) -> Result<Response, Refusal> {
    let state = shared.state();
    let app = state.authorize_app(&headers)?;
    Ok(reply(StatusCode::OK, &state.app_json(app)))
}

/// Shows an App to anyone if it is public, and else to callers with a token.
pub(super) async fn by_slug(
    Extract(shared): App,
    headers: HeaderMap,
    Path(slug): Path<String>,
) -> Result<Response, Refusal> {
    let state = shared.state();
    let app = state.credentials.app().filter(|_| slug == SLUG).ok_or_else(Refusal::not_found)?;
    if !app.public && (!headers.contains_key("authorization") || state.authorize_any(&headers).is_err()) {
        return Err(Refusal::not_found());
    }
    Ok(reply(StatusCode::OK, &state.app_json(app)))
}

pub(super) async fn hook_config(Extract(shared): App, headers: HeaderMap) -> Result<Response, Refusal> {
    let state = shared.state();
    state.authorize_app(&headers)?;
    let body = json!({
        "content_type": "json",
        "insecure_ssl": "0",
        "secret": "********",
        "url": state.hook.as_ref().map(|hook| hook.url.clone()).unwrap_or_default(),
    });
    Ok(reply(StatusCode::OK, &body))
}

pub(super) async fn installations(
    Extract(shared): App,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    Query(parameters): Parameters,
) -> Result<Response, Refusal> {
    let state = shared.state();
    state.authorize_app(&headers)?;
    let owners = state.owners();
    let (page, total) = (Page::asked(&parameters), owners.len());
    let body = page
        .of(owners)
        .iter()
        .map(|owner| {
            let mut installation = state.installation_json(owner);
            // GitHub's schema of this list requires the fields of a user and of an enterprise.
            installation["account"]["name"] = json!(owner);
            installation["account"]["slug"] = json!(owner);
            installation["account"]["created_at"] = json!(seconds(state.started));
            installation["account"]["updated_at"] = json!(seconds(state.started));
            installation
        })
        .collect();
    Ok(page.reply(&Value::Array(body), total, &state.base, &uri))
}

pub(super) async fn installation(
    Extract(shared): App,
    headers: HeaderMap,
    Path(id): Path<u64>,
) -> Result<Response, Refusal> {
    let state = shared.state();
    state.authorize_app(&headers)?;
    let owner = state.installed_on(id).ok_or_else(Refusal::not_found)?;
    Ok(reply(StatusCode::OK, &state.installation_json(&owner)))
}

pub(super) async fn repository_installation(
    Extract(shared): App,
    headers: HeaderMap,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let state = shared.state();
    state.authorize_app(&headers)?;
    let known = Repository::parse(&format!("{owner}/{name}"))
        .is_ok_and(|repository| state.repositories.contains_key(&repository));
    if known {
        Ok(reply(StatusCode::OK, &state.installation_json(&owner)))
    } else {
        Err(Refusal::not_found())
    }
}

pub(super) async fn organization_installation(
    Extract(shared): App,
    headers: HeaderMap,
    Path(login): Path<String>,
) -> Result<Response, Refusal> {
    let state = shared.state();
    state.authorize_app(&headers)?;
    let owner = state.owners().into_iter().find(|owner| owner.eq_ignore_ascii_case(&login));
    match owner.filter(|owner| !state.is_user(owner)) {
        Some(owner) => Ok(reply(StatusCode::OK, &state.installation_json(&owner))),
        None => Err(Refusal::not_found()),
    }
}

/// The requested scope of a token. An empty request gives everything that the installation has.
#[derive(Default, Deserialize)]
pub(super) struct TokenRequest {
    repositories: Option<Vec<String>>,
    repository_ids: Option<Vec<u64>>,
    permissions: Option<BTreeMap<String, String>>,
}

pub(super) async fn create_token(
    Extract(shared): App,
    headers: HeaderMap,
    Path(id): Path<u64>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let mut state = shared.state();
    let held = state.authorize_app(&headers)?.permissions.clone();
    let owner = state.installed_on(id).ok_or_else(Refusal::not_found)?;
    let request: TokenRequest = if body.is_empty() { TokenRequest::default() } else { read(&body)? };
    let permissions = match request.permissions {
        None => held,
        Some(asked) if asked.iter().all(|(name, level)| is_within(level, held.get(name))) => asked,
        Some(_) => {
            return Err(Refusal::invalid("The permissions requested are not granted to this installation."));
        }
    };
    let repositories = state.asked_repositories(&owner, request.repositories, request.repository_ids)?;
    let token = format!("ghs_{}", state.random.hex(36));
    let expires_at = state.token_end();
    let mut reply_body = json!({
        "token": token,
        "expires_at": seconds(expires_at),
        "permissions": permissions,
        "repository_selection": if repositories.is_some() { "selected" } else { "all" },
    });
    if let Some(names) = &repositories {
        let records = names.iter().filter_map(|name| state.repositories.get(name));
        reply_body["repositories"] = records.map(|record| state.repository_json(record)).collect();
    }
    state.credentials.keep(&token, Grant { owner, repositories, permissions, expires_at });
    Ok(reply(StatusCode::CREATED, &reply_body))
}

fn is_within(asked: &str, held: Option<&String>) -> bool {
    match held.map(String::as_str) {
        Some("write" | "admin") => matches!(asked, "read" | "write"),
        Some(level) => level == asked,
        None => false,
    }
}

impl State {
    fn app_json(&self, app: &AppOptions) -> Value {
        let at = seconds(self.started);
        json!({
            "id": app.id,
            "slug": SLUG,
            "node_id": format!("A_{}", app.id),
            "client_id": app.client_id,
            "owner": self.user_json("octocat"),
            "name": "ecsrunner",
            "description": "",
            "external_url": self.base,
            "html_url": format!("{}/apps/ecsrunner", self.base),
            "created_at": at,
            "updated_at": at,
            "permissions": app.permissions,
            "events": ["workflow_job"],
            "installations_count": self.owners().len(),
        })
    }

    /// Returns every account with a repository. The App is installed on all of them.
    fn owners(&self) -> Vec<String> {
        let mut owners: Vec<String> = self.repositories.keys().map(|name| name.owner().to_owned()).collect();
        owners.sort_by_key(|owner| owner.to_ascii_lowercase());
        owners.dedup_by(|one, other| one.eq_ignore_ascii_case(other));
        owners
    }

    fn installed_on(&self, installation: u64) -> Option<String> {
        self.owners().into_iter().find(|owner| self.installation_id(owner) == installation)
    }

    fn asked_repositories(
        &self,
        owner: &str,
        names: Option<Vec<String>>,
        ids: Option<Vec<u64>>,
    ) -> Result<Option<HashSet<Repository>>, Refusal> {
        if names.is_none() && ids.is_none() {
            return Ok(None);
        }
        let missing = || {
            Refusal::invalid(
                "There is at least one repository that does not exist or is not accessible to the parent installation.",
            )
        };
        let mut asked = HashSet::new();
        for name in names.unwrap_or_default() {
            let name = Repository::parse(&format!("{owner}/{name}")).map_err(|_| missing())?;
            asked.insert(self.repositories.get(&name).ok_or_else(missing)?.name.clone());
        }
        for id in ids.unwrap_or_default() {
            let record = self
                .repositories
                .values()
                .find(|record| record.id == id && record.name.owner().eq_ignore_ascii_case(owner));
            asked.insert(record.ok_or_else(missing)?.name.clone());
        }
        Ok(Some(asked))
    }

    fn installation_json(&self, owner: &str) -> Value {
        let id = self.installation_id(owner);
        let at = seconds(self.started);
        let account = self.user_json(owner);
        let (app_id, permissions) =
            self.credentials.app().map(|app| (app.id, app.permissions.clone())).unwrap_or_default();
        json!({
            "id": id,
            "target_id": account["id"],
            "target_type": account["type"],
            "account": account,
            "repository_selection": "all",
            "access_tokens_url": format!("{}/app/installations/{id}/access_tokens", self.base),
            "repositories_url": format!("{}/installation/repositories", self.base),
            "html_url": format!("{}/settings/installations/{id}", self.base),
            "app_id": app_id,
            "app_slug": "ecsrunner",
            "permissions": permissions,
            "events": ["workflow_job"],
            "created_at": at,
            "updated_at": at,
            "single_file_name": null,
            "suspended_by": null,
            "suspended_at": null,
        })
    }
}
