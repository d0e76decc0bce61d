//! GitHub's web pages: those of runs and jobs, and those on which people register and install an App. One user is
//! logged in.
//!
//! A browser comes here from another site with a manifest. The App is made only when the person confirms it, and each
//! step needs the token of the page before, as at GitHub.

mod html;
mod run;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, Query, State as Extract};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use ecsrunner_core::id::Repository;
use serde::Deserialize;

use super::app_key::AppKey;
use super::apps::{AppRegistration, Installed, RegisteredApp, Selection};
use super::manifest::Manifest;
use super::state::{Shared, State};

type App = Extract<Arc<Shared>>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/favicon.ico", get(async || StatusCode::NO_CONTENT))
        .route("/settings/apps/new", get(without_manifest).post(confirm_own))
        .route("/organizations/{org}/settings/apps/new", get(without_manifest).post(confirm_for_organization))
        .route("/settings/apps/manifest", post(create))
        .route("/apps/{app_slug}/installations/new", get(installation).post(install))
        .route("/settings/installations/{installation_id}", get(installed))
        .route("/{owner}/{name}/actions/runs/{run_id}", get(run::run))
        .route("/{owner}/{name}/actions/runs/{run_id}/job/{job_id}", get(run::job))
        .with_state(shared)
}

#[derive(Deserialize)]
struct Brought {
    manifest: String,
}

#[derive(Deserialize)]
struct Told {
    state: Option<String>,
}

async fn without_manifest() -> Response {
    page(StatusCode::OK, html::without_manifest())
}

async fn confirm_own(shared: App, told: Query<Told>, form: Form<Brought>) -> Response {
    let owner = shared.state().signed_in();
    confirm(&shared, owner, told.0, &form.0)
}

async fn confirm_for_organization(
    shared: App,
    Path(organization): Path<String>,
    told: Query<Told>,
    form: Form<Brought>,
) -> Response {
    let owner = shared.state().organization(&organization);
    match owner {
        Some(owner) => confirm(&shared, owner, told.0, &form.0),
        None => page(StatusCode::NOT_FOUND, html::not_found()),
    }
}

/// Shows the App that the manifest describes, with a button that makes it.
fn confirm(shared: &Shared, owner: String, told: Told, brought: &Brought) -> Response {
    let manifest = match Manifest::parse(&brought.manifest) {
        Ok(manifest) => manifest,
        Err(faults) => return page(StatusCode::UNPROCESSABLE_ENTITY, html::invalid(&faults)),
    };
    let mut state = shared.state();
    let token = state.random.hex(32);
    let name = manifest.name.clone().unwrap_or_default();
    let text = html::confirmation(&owner, &name, &token, None);
    state.new_apps.waiting.insert(token, AppRegistration { manifest, owner, state: told.state });
    page(StatusCode::OK, text)
}

#[derive(Deserialize)]
struct Confirmed {
    token: String,
    name: String,
}

/// Makes the App, and sends the browser back with the code.
async fn create(Extract(shared): App, Form(form): Form<Confirmed>) -> Response {
    // A key takes a moment, and the state must not be locked meanwhile.
    let Ok(key) = tokio::task::spawn_blocking(AppKey::generate).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut state = shared.state();
    let Some(waiting) = state.new_apps.waiting.get(&form.token) else {
        return page(StatusCode::UNPROCESSABLE_ENTITY, html::not_found());
    };
    let name = form.name.trim().to_owned();
    if let Some(fault) = state.refused_name(&name) {
        let text = html::confirmation(&waiting.owner, &name, &form.token, Some(fault));
        return page(StatusCode::UNPROCESSABLE_ENTITY, text);
    }
    let Some(registration) = state.new_apps.waiting.remove(&form.token) else {
        return page(StatusCode::UNPROCESSABLE_ENTITY, html::not_found());
    };
    let (redirect, told) = (registration.manifest.redirect.clone(), registration.state.clone());
    let code = state.register(registration, &name, &key);
    let separator = if redirect.contains('?') { '&' } else { '?' };
    let mut location = format!("{redirect}{separator}code={code}");
    if let Some(told) = told {
        location += &format!("&state={}", html::url_encoded(&told));
    }
    to(&location)
}

async fn installation(Extract(shared): App, Path(slug): Path<String>) -> Response {
    let state = shared.state();
    let Some(app) = state.credentials.app_named(&slug) else {
        return page(StatusCode::NOT_FOUND, html::not_found());
    };
    let choices: Vec<(String, Vec<&Repository>)> = state
        .may_install(app)
        .into_iter()
        .map(|owner| {
            let mut names: Vec<&Repository> =
                state.repositories.keys().filter(|name| name.owner().eq_ignore_ascii_case(&owner)).collect();
            names.sort_by_key(|name| name.to_string());
            (owner, names)
        })
        .collect();
    page(StatusCode::OK, html::installation(&app.name, &slug, &app.permissions, &choices))
}

/// Installs the App. The form has `target`, `selection` and, for `selected`, each `repository`.
async fn install(
    Extract(shared): App,
    Path(slug): Path<String>,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let mut state = shared.state();
    let Some(app) = state.credentials.app_named(&slug).cloned() else {
        return page(StatusCode::NOT_FOUND, html::not_found());
    };
    let value = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let owner = value("target").unwrap_or_default();
    if !state.may_install(&app).iter().any(|may| may.eq_ignore_ascii_case(&owner)) {
        return page(StatusCode::NOT_FOUND, html::not_found());
    }
    let selection = match value("selection").as_deref() {
        Some("selected") => {
            let names = form.iter().filter(|(key, _)| key == "repository");
            let names = names.filter_map(|(_, name)| Repository::parse(name).ok());
            let names: BTreeSet<Repository> =
                names.filter(|name| name.owner().eq_ignore_ascii_case(&owner)).collect();
            if names.is_empty() || names.iter().any(|name| !state.repositories.contains_key(name)) {
                return page(StatusCode::UNPROCESSABLE_ENTITY, html::not_found());
            }
            Selection::Repositories(names)
        }
        _ => Selection::All,
    };
    let id = state.installation_id(&app, &owner);
    if let Some(app) = state.credentials.app_named_mut(&slug)
        && let Installed::On(accounts) = &mut app.installed
    {
        accounts.insert(owner.to_ascii_lowercase(), selection);
    }
    state.note_change();
    to(&format!("{}/settings/installations/{id}", state.base))
}

async fn installed(Extract(shared): App, Path(id): Path<u64>) -> Response {
    let state = shared.state();
    let mut apps = state.credentials.apps().iter();
    match apps.find_map(|app| Some((app, state.installed_on(app, id)?))) {
        Some((app, owner)) => page(StatusCode::OK, html::installed(&app.name, &owner)),
        None => page(StatusCode::NOT_FOUND, html::not_found()),
    }
}

impl State {
    /// Returns the accounts that the user may install an App on: only its owner, if it is private.
    fn may_install(&self, app: &RegisteredApp) -> Vec<String> {
        let mut owners = self.owners();
        owners.retain(|owner| app.public || owner.eq_ignore_ascii_case(&app.owner));
        owners
    }
}

fn page(status: StatusCode, text: String) -> Response {
    (status, Html(text)).into_response()
}

fn to(location: &str) -> Response {
    match HeaderValue::from_str(location) {
        Ok(location) => (StatusCode::FOUND, [(header::LOCATION, location)]).into_response(),
        Err(_) => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
    }
}
