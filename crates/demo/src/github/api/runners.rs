//! Self-hosted runners of repositories and organizations.

use axum::body::Bytes;
use axum::extract::{OriginalUri, Path, Query, State as Extract};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ecsrunner_core::id::{Organization, Repository, RunnerGroupId, RunnerId};
use ecsrunner_core::rules::pool::Scope;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::reply::{Page, Refusal, json as reply, read};
use super::{App, Parameters};
use crate::github::auth::{Level, Target};
use crate::github::lifecycle::Deletion;
use crate::github::runner_key;
use crate::github::state::{Registration, Shared, State};

/// GitHub's limits for a runner's labels and name.
const MAX_LABELS: usize = 100;
const MAX_NAME_CHARS: usize = 64;

/// The body of `generate-jitconfig`.
#[derive(Deserialize)]
pub(super) struct JitRequest {
    name: String,
    runner_group_id: u64,
    labels: Vec<String>,
    work_folder: Option<String>,
}

/// The repository or organization whose runners a call is about.
enum RegistrationScope {
    Repository(Repository),
    Organization(Organization),
}

impl RegistrationScope {
    fn repository(owner: &str, name: &str) -> Result<Self, Refusal> {
        Repository::parse(&format!("{owner}/{name}")).map(Self::Repository).map_err(|_| Refusal::not_found())
    }

    fn organization(login: &str) -> Result<Self, Refusal> {
        Organization::parse(login).map(Self::Organization).map_err(|_| Refusal::not_found())
    }

    fn authorize(&self, state: &State, headers: &HeaderMap, level: Level) -> Result<(), Refusal> {
        match self {
            Self::Repository(repository) => {
                state.authorize(headers, Target::Repository(repository), "administration", level)
            }
            Self::Organization(login) => {
                let target = Target::Organization(login.as_str());
                state.authorize(headers, target, "organization_self_hosted_runners", level)
            }
        }
    }

    fn holds(&self, registration: &Registration) -> bool {
        match (self, &registration.scope) {
            (Self::Repository(own), Scope::Repository(repository)) => own == repository,
            (Self::Organization(own), Scope::Organization { organization, .. }) => {
                own.as_str().eq_ignore_ascii_case(organization.as_str())
            }
            _ => false,
        }
    }

    fn jit(self, shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Result<Response, Refusal> {
        // Makes the keys before the state is locked, unless they exist.
        runner_key::prepare();
        let mut state = shared.state();
        self.authorize(&state, headers, Level::Write)?;
        let request: JitRequest = read(body)?;
        if request.name.is_empty() || request.name.chars().count() > MAX_NAME_CHARS {
            return Err(Refusal::invalid("Runner name must be between 1 and 64 characters"));
        }
        if request.labels.is_empty() || request.labels.len() > MAX_LABELS {
            return Err(Refusal::invalid("Runner must have between 1 and 100 labels"));
        }
        let group = request.runner_group_id;
        let scope = match self {
            Self::Repository(_) if group != 1 => return Err(Refusal::not_found()),
            Self::Organization(_) if !state.runner_groups.contains_key(&group) => {
                return Err(Refusal::not_found());
            }
            Self::Repository(repository) => Scope::Repository(repository),
            Self::Organization(organization) => {
                Scope::Organization { organization, group: RunnerGroupId::new(group) }
            }
        };
        let work_folder = request.work_folder.as_deref().unwrap_or("_work");
        let (id, encoded) =
            state.generate_jitconfig(scope, &request.name, &request.labels, work_folder).map_err(|_| {
                Refusal::new(StatusCode::CONFLICT, "Already exists - A runner with this name exists")
            })?;
        let runner = state.registrations.get(&id).map(|registration| state.runner_json(registration));
        let body = json!({"runner": runner, "encoded_jit_config": encoded.expose_secret()});
        Ok(reply(StatusCode::CREATED, &body))
    }

    fn list(
        &self,
        shared: &Shared,
        headers: &HeaderMap,
        uri: &Uri,
        Query(parameters): &Parameters,
    ) -> Result<Response, Refusal> {
        let state = shared.state();
        self.authorize(&state, headers, Level::Read)?;
        let name = parameters.get("name");
        let found: Vec<&Registration> = state
            .registrations
            .values()
            .filter(|registration| self.holds(registration))
            .filter(|registration| name.is_none_or(|name| registration.name == *name))
            .collect();
        let (page, total) = (Page::asked(parameters), found.len());
        let runners: Vec<Value> =
            page.of(found).into_iter().map(|registration| state.runner_json(registration)).collect();
        let body = json!({"total_count": total, "runners": runners});
        Ok(page.reply(&body, total, &state.base, uri))
    }

    fn get(&self, shared: &Shared, headers: &HeaderMap, id: u64) -> Result<Response, Refusal> {
        let state = shared.state();
        self.authorize(&state, headers, Level::Read)?;
        match state.registrations.get(&RunnerId::new(id)).filter(|found| self.holds(found)) {
            Some(registration) => Ok(reply(StatusCode::OK, &state.runner_json(registration))),
            None => Err(Refusal::not_found()),
        }
    }

    fn delete(&self, shared: &Shared, headers: &HeaderMap, id: u64) -> Result<Response, Refusal> {
        let mut state = shared.state();
        self.authorize(&state, headers, Level::Write)?;
        let id = RunnerId::new(id);
        if !state.registrations.get(&id).is_some_and(|found| self.holds(found)) {
            return Err(Refusal::not_found());
        }
        match state.delete_registration(id) {
            Deletion::Done => {
                state.assign();
                Ok(StatusCode::NO_CONTENT.into_response())
            }
            Deletion::Absent => Err(Refusal::not_found()),
            Deletion::Busy => {
                Err(Refusal::invalid("Bad request - the runner is running a job and cannot be deleted"))
            }
        }
    }
}

pub(super) async fn jit_of_repository(
    Extract(shared): App,
    headers: HeaderMap,
    Path((owner, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Refusal> {
    RegistrationScope::repository(&owner, &name)?.jit(&shared, &headers, &body)
}

pub(super) async fn jit_of_organization(
    Extract(shared): App,
    headers: HeaderMap,
    Path(login): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    RegistrationScope::organization(&login)?.jit(&shared, &headers, &body)
}

pub(super) async fn list_of_repository(
    Extract(shared): App,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    Path((owner, name)): Path<(String, String)>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    RegistrationScope::repository(&owner, &name)?.list(&shared, &headers, &uri, &parameters)
}

pub(super) async fn list_of_organization(
    Extract(shared): App,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    Path(login): Path<String>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    RegistrationScope::organization(&login)?.list(&shared, &headers, &uri, &parameters)
}

pub(super) async fn get_of_repository(
    Extract(shared): App,
    headers: HeaderMap,
    Path((owner, name, id)): Path<(String, String, u64)>,
) -> Result<Response, Refusal> {
    RegistrationScope::repository(&owner, &name)?.get(&shared, &headers, id)
}

pub(super) async fn get_of_organization(
    Extract(shared): App,
    headers: HeaderMap,
    Path((login, id)): Path<(String, u64)>,
) -> Result<Response, Refusal> {
    RegistrationScope::organization(&login)?.get(&shared, &headers, id)
}

pub(super) async fn delete_of_repository(
    Extract(shared): App,
    headers: HeaderMap,
    Path((owner, name, id)): Path<(String, String, u64)>,
) -> Result<Response, Refusal> {
    RegistrationScope::repository(&owner, &name)?.delete(&shared, &headers, id)
}

pub(super) async fn delete_of_organization(
    Extract(shared): App,
    headers: HeaderMap,
    Path((login, id)): Path<(String, u64)>,
) -> Result<Response, Refusal> {
    RegistrationScope::organization(&login)?.delete(&shared, &headers, id)
}
