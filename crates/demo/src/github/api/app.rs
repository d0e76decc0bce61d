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
use crate::github::apps::{RegisteredApp, Selection};
use crate::github::auth::Grant;
use crate::github::representation::seconds;
use crate::github::state::State;

const NOT_REACHED: &str =
    "There is at least one repository that does not exist or is not accessible to the parent installation.";

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
    let app = state.credentials.app_named(&slug).ok_or_else(Refusal::not_found)?;
    if !app.public && (!headers.contains_key("authorization") || state.authorize_any(&headers).is_err()) {
        return Err(Refusal::not_found());
    }
    Ok(reply(StatusCode::OK, &state.app_json(app)))
}

pub(super) async fn installations(
    Extract(shared): App,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    Query(parameters): Parameters,
) -> Result<Response, Refusal> {
    let state = shared.state();
    let app = state.authorize_app(&headers)?;
    let owners = state.accounts_of(app);
    let (page, total) = (Page::asked(&parameters), owners.len());
    let body = page
        .of(owners)
        .iter()
        .map(|owner| {
            let mut installation = state.installation_json(app, owner);
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
    let app = state.authorize_app(&headers)?;
    let owner = state.installed_on(app, id).ok_or_else(Refusal::not_found)?;
    Ok(reply(StatusCode::OK, &state.installation_json(app, &owner)))
}

pub(super) async fn repository_installation(
    Extract(shared): App,
    headers: HeaderMap,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let state = shared.state();
    let app = state.authorize_app(&headers)?;
    let known = Repository::parse(&format!("{owner}/{name}"))
        .is_ok_and(|name| state.repositories.contains_key(&name) && app.reaches(&name));
    if known {
        Ok(reply(StatusCode::OK, &state.installation_json(app, &owner)))
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
    let app = state.authorize_app(&headers)?;
    match state.organization(&login).filter(|owner| app.selection(owner).is_some()) {
        Some(owner) => Ok(reply(StatusCode::OK, &state.installation_json(app, &owner))),
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
    let app = state.authorize_app(&headers)?;
    let owner = state.installed_on(app, id).ok_or_else(Refusal::not_found)?;
    let held = app.permissions.clone();
    let selection = app.selection(&owner).cloned();
    let request: TokenRequest = if body.is_empty() { TokenRequest::default() } else { read(&body)? };
    let permissions = match request.permissions {
        None => held,
        Some(asked) if asked.iter().all(|(name, level)| is_within(level, held.get(name))) => asked,
        Some(_) => {
            return Err(Refusal::invalid("The permissions requested are not granted to this installation."));
        }
    };
    let asked = state.asked_repositories(&owner, request.repositories, request.repository_ids)?;
    let repositories = match (asked, selection) {
        (Some(asked), Some(Selection::Repositories(names)))
            if !asked.iter().all(|name| names.contains(name)) =>
        {
            return Err(Refusal::invalid(NOT_REACHED));
        }
        (None, Some(Selection::Repositories(names))) => Some(names.into_iter().collect()),
        (asked, _) => asked,
    };
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
    pub(super) fn app_json(&self, app: &RegisteredApp) -> Value {
        let at = seconds(app.created_at);
        json!({
            "id": app.id,
            "slug": app.slug,
            "node_id": format!("A_{}", app.id),
            "client_id": app.client_id,
            "owner": self.user_json(&app.owner),
            "name": app.name,
            "description": app.description,
            "external_url": app.homepage.as_ref().unwrap_or(&self.base),
            "html_url": format!("{}/apps/{}", self.base, app.slug),
            "created_at": at,
            "updated_at": at,
            "permissions": app.permissions,
            "events": app.events,
            "installations_count": app.number_of_installations(self.owners().len()),
        })
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
        let missing = || Refusal::invalid(NOT_REACHED);
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

    fn installation_json(&self, app: &RegisteredApp, owner: &str) -> Value {
        let id = self.installation_id(app, owner);
        let at = seconds(self.started);
        let account = self.user_json(owner);
        let selects = matches!(app.selection(owner), Some(Selection::Repositories(_)));
        json!({
            "id": id,
            "target_id": account["id"],
            "target_type": account["type"],
            "account": account,
            "repository_selection": if selects { "selected" } else { "all" },
            "access_tokens_url": format!("{}/app/installations/{id}/access_tokens", self.base),
            "repositories_url": format!("{}/installation/repositories", self.base),
            "html_url": format!("{}/settings/installations/{id}", self.base),
            "app_id": app.id,
            "app_slug": app.slug,
            "permissions": app.permissions,
            "events": app.events,
            "created_at": at,
            "updated_at": at,
            "single_file_name": null,
            "suspended_by": null,
            "suspended_at": null,
        })
    }
}
