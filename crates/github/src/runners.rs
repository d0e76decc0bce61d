//! Registers, finds and deletes self-hosted runners.

use std::fmt;

use ecsrunner_core::id::{RunnerId, RunnerName};
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_engine::ports::github::{Deletion, GitHubError, JitConfig, Registration, RegistrationPage};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use crate::auth::Grant;
use crate::client::Client;
use crate::http::Call;
use crate::reply::Fault;

/// A repository has no runner groups; GitHub expects the id of the default group.
const REPOSITORY_GROUP: u64 = 1;
/// The jobs' work folder below the runner's directory: the official runner's default.
const WORK_FOLDER: &str = "_work";
const PAGE: usize = 100;
/// The most pages of a scope's runners that a search reads.
const PAGES_LIMIT: usize = 100;

/// Registers a runner and returns its configuration.
pub(crate) async fn generate_jitconfig(
    client: &Client,
    scope: &Scope,
    runner: &RunnerName,
    labels: &[String],
) -> Result<JitConfig, GitHubError> {
    #[derive(Deserialize)]
    struct Generated {
        runner: GeneratedRunner,
        encoded_jit_config: String,
    }
    #[derive(Deserialize)]
    struct GeneratedRunner {
        id: u64,
    }
    let group = match scope {
        Scope::Repository(_) => REPOSITORY_GROUP,
        Scope::Organization { group, .. } => group.get(),
    };
    let body = json!({
        "name": runner,
        "runner_group_id": group,
        "labels": labels,
        "work_folder": WORK_FOLDER,
    });
    let call =
        Call::post("generate-jitconfig", scope, format!("{}/generate-jitconfig", runners_of(scope)), body);
    let reply = client.ask(&Grant::runners(scope), &call).await?;
    if reply.status() == 409 {
        return Err(GitHubError::NameTaken);
    }
    let generated: Generated = reply.json()?;
    Ok(JitConfig {
        runner_id: RunnerId::new(generated.runner.id),
        encoded: SecretString::from(generated.encoded_jit_config),
    })
}

/// Returns the runner of exactly that name. If the list does not contain it, the
/// list itself is the control read.
///
/// Servers that do not know the `name` filter return all runners. Those are read
/// page by page.
pub(crate) async fn by_name(
    client: &Client,
    scope: &Scope,
    runner: &RunnerName,
) -> Result<Option<Registration>, Fault> {
    let mut first_total = None;
    for page in 1..=PAGES_LIMIT {
        let call = list(scope).query("name", runner).query("per_page", PAGE).query("page", page);
        let found: RunnerPage = client.ask(&Grant::runners(scope), &call).await?.json()?;
        if let Some(found) = found.runners.iter().find(|found| found.name == runner.as_str()) {
            return Ok(Some(found.registration()));
        }
        let total = *first_total.get_or_insert(found.total_count);
        if total != found.total_count {
            // If a runner was removed from an earlier page, others have moved up and were skipped.
            return Err(Fault::unreachable(call.name(), SearchError::Moved));
        }
        if found.runners.len() < PAGE {
            return Ok(None);
        }
    }
    Err(Fault::unreachable(list(scope).name(), SearchError::TooMany))
}

/// Lists a page of the scope's registrations.
pub(crate) async fn page(client: &Client, scope: &Scope, page: u32) -> Result<RegistrationPage, Fault> {
    let call = list(scope).query("per_page", PAGE).query("page", page);
    let found: RunnerPage = client.ask(&Grant::runners(scope), &call).await?.json()?;
    let more = found.runners.len() >= PAGE;
    let runners = found.runners.into_iter().map(|runner| {
        let registration = runner.registration();
        (runner.name, registration)
    });
    Ok(RegistrationPage { runners: runners.collect(), more })
}

/// Deletes a registration. A 404 counts only if the scope's runners can be read.
pub(crate) async fn delete(client: &Client, scope: &Scope, id: RunnerId) -> Result<Deletion, Fault> {
    let grant = Grant::runners(scope);
    let path = format!("{}/{id}", runners_of(scope));
    let reply = client.ask(&grant, &Call::delete("delete-runner", format!("{id} in {scope}"), path)).await?;
    match reply.status() {
        204 => Ok(Deletion::Deleted),
        422 => Ok(Deletion::Busy),
        404 => {
            let control = client.ask(&grant, &list(scope).query("per_page", 1)).await?;
            control.json::<RunnerPage>().map(|_| Deletion::Absent)
        }
        _ => Err(reply.fault()),
    }
}

fn list(scope: &Scope) -> Call {
    Call::get("list-runners", scope, runners_of(scope))
}

fn runners_of(scope: &Scope) -> String {
    match scope {
        Scope::Repository(repository) => format!("repos/{repository}/actions/runners"),
        Scope::Organization { organization, .. } => format!("orgs/{organization}/actions/runners"),
    }
}

#[derive(Deserialize)]
struct RunnerPage {
    total_count: u64,
    runners: Vec<Runner>,
}

#[derive(Deserialize)]
struct Runner {
    id: u64,
    name: String,
    status: String,
    busy: bool,
}

impl Runner {
    fn registration(&self) -> Registration {
        Registration { id: RunnerId::new(self.id), busy: self.busy, online: self.status == "online" }
    }
}

/// Why a list does not prove that a name is absent.
#[derive(Debug)]
enum SearchError {
    Moved,
    TooMany,
}

impl fmt::Display for SearchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved => f.write_str("the list of runners changed while it was read"),
            Self::TooMany => write!(f, "there are more than {} runners", PAGE * PAGES_LIMIT),
        }
    }
}

impl std::error::Error for SearchError {}
