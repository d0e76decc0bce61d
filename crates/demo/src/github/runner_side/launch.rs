//! Actions: resolution of `owner/name@ref`, and downloads of their files.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ecsrunner_core::id::Repository;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::process::Command;
use tracing::warn;

use super::App;
use super::reply::{ServiceError, json as reply};
use crate::github::control::action::{checkout, sha};
use crate::github::state::{Action, Shared};
use crate::workflow::{CHECKOUT, action_key};

/// How long a request to GitHub may take, the download of an action included.
const UPSTREAM_LIMIT: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
pub(super) struct Resolve {
    actions: Vec<Wanted>,
}

#[derive(Deserialize)]
struct Wanted {
    action: String,
    version: String,
}

/// Where an action's files are.
struct Resolved {
    sha: String,
    url: String,
}

/// Resolves actions, or answers 422 if one is not known.
pub(super) async fn resolve(
    Extract(shared): App,
    headers: HeaderMap,
    Json(request): Json<Resolve>,
) -> Result<Response, ServiceError> {
    let repository = {
        let state = shared.state();
        let job = state.calling_job(&headers)?;
        state.jobs.get(&job).and_then(|job| state.run_of(job)).map(|run| run.repository.clone())
    };
    let (mut resolved, mut errors) = (Map::new(), Map::new());
    for Wanted { action, version } in request.actions {
        let key = format!("{action}@{version}");
        match find(&shared, repository.as_ref(), &action, &version).await {
            None => {
                let message = format!("Unable to resolve action `{key}`, repository not found");
                errors.insert(key, json!({"message": message}));
            }
            Some(found) => {
                let entry = json!({
                    "name": action,
                    "resolved_name": action,
                    "resolved_sha": found.sha,
                    "version": version,
                    "tar_url": found.url,
                    "zip_url": found.url,
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

/// Finds an action: one that was given, one of the run's own repository, one of GitHub, or the demo's own checkout.
async fn find(
    shared: &Shared,
    repository: Option<&Repository>,
    action: &str,
    version: &str,
) -> Option<Resolved> {
    let key = action_key(action, version);
    let (known, git, upstream, base) = {
        let state = shared.state();
        let git = repository.and_then(|repository| state.git.get(repository)).cloned();
        (state.actions.get(&key).cloned(), git, state.upstream.clone(), state.base.clone())
    };
    let here = |found: &Action| Resolved {
        sha: found.sha.clone(),
        url: format!("{base}/_services/archives/{action}/{}", found.sha),
    };
    if let Some(known) = known {
        return Some(here(&known));
    }
    let is_own = repository.is_some_and(|repository| repository.as_str().eq_ignore_ascii_case(action));
    let made = match git {
        Some(git) if is_own => archive_of(git, version).await,
        Some(_) if upstream.is_none() && action.eq_ignore_ascii_case(CHECKOUT) => checkout().ok(),
        _ => None,
    };
    if let Some(made) = made {
        let found = here(&made);
        shared.state().actions.insert(key, made);
        return Some(found);
    }
    match from_upstream(&upstream?, action, version).await {
        Ok(found) => Some(found),
        Err(error) => {
            warn!(
                action,
                version,
                error = format!("{error:#}"),
                "the action could not be looked up at GitHub"
            );
            None
        }
    }
}

/// Packs a commit of the run's own repository.
async fn archive_of(git: PathBuf, version: &str) -> Option<Action> {
    let mut command = Command::new("git");
    command.arg("--git-dir").arg(git).args(["-c", "safe.directory=*", "archive", "--format=tar.gz"]);
    command.args(["--prefix=repository/", "--end-of-options", version]);
    let output = command.kill_on_drop(true).output().await.ok()?;
    let archive: Bytes = output.stdout.into();
    output.status.success().then(|| Action { sha: sha(&archive), archive })
}

/// Asks GitHub for the commit of an action. The runner downloads it from there.
async fn from_upstream(upstream: &str, action: &str, version: &str) -> anyhow::Result<Resolved> {
    let url = format!("{upstream}/repos/{action}/commits/{version}");
    let asked = client()?.get(url).header("accept", "application/vnd.github.sha").send().await?;
    let sha = asked.error_for_status()?.text().await?.trim().to_owned();
    let is_sha = sha.len() == 40 && sha.bytes().all(|b| b.is_ascii_hexdigit());
    ensure!(is_sha, "{} characters came instead of the id of a commit", sha.len());
    Ok(Resolved { url: format!("{upstream}/repos/{action}/tarball/{sha}"), sha })
}

fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().user_agent("ecsrunner").timeout(UPSTREAM_LIMIT).build()
}

/// Downloads the files of a repository from GitHub.
///
/// # Errors
///
/// GitHub cannot be reached, or has no such repository or version.
pub(in crate::github) async fn download(
    upstream: &str,
    repository: &str,
    version: &str,
) -> anyhow::Result<Action> {
    let found = from_upstream(upstream, repository, version).await?;
    let answer = client()?.get(found.url).send().await?.error_for_status()?;
    Ok(Action { archive: answer.bytes().await?, sha: found.sha })
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
