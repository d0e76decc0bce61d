//! Git over HTTP, so that a job can check out the repository of its workflow.
//!
//! `git upload-pack` does the work. Pushes are not served.

use std::io::Read;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State as Extract};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ecsrunner_core::id::Repository;
use flate2::read::GzDecoder;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::api::Refusal;
use super::auth::{Level, Target};
use super::state::Shared;

type App = Extract<Arc<Shared>>;

/// The largest request: a fetch names the commits that it has.
const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/{owner}/{name}/info/refs", get(refs))
        .route("/{owner}/{name}/git-upload-pack", post(upload_pack))
        .layer(axum::extract::DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .with_state(shared)
}

#[derive(Deserialize)]
struct Service {
    service: Option<String>,
}

async fn refs(
    Extract(shared): App,
    headers: HeaderMap,
    Path((owner, name)): Path<(String, String)>,
    Query(asked): Query<Service>,
) -> Response {
    if asked.service.as_deref() != Some("git-upload-pack") {
        return (StatusCode::FORBIDDEN, "only git-upload-pack is served\n").into_response();
    }
    let directory = match directory(&shared, &headers, &owner, &name) {
        Ok(directory) => directory,
        Err(refused) => return *refused,
    };
    let answer = run(&directory, &["--advertise-refs"], &headers, Bytes::new()).await;
    answer.map_or_else(IntoResponse::into_response, |refs| {
        let mut body = b"001e# service=git-upload-pack\n0000".to_vec();
        body.extend(refs);
        answered("application/x-git-upload-pack-advertisement", body)
    })
}

async fn upload_pack(
    Extract(shared): App,
    headers: HeaderMap,
    Path((owner, name)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let directory = match directory(&shared, &headers, &owner, &name) {
        Ok(directory) => directory,
        Err(refused) => return *refused,
    };
    let body = match unpacked(&headers, body) {
        Ok(body) => body,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let answer = run(&directory, &[], &headers, body).await;
    answer.map_or_else(IntoResponse::into_response, |pack| {
        answered("application/x-git-upload-pack-result", pack)
    })
}

fn answered(kind: &'static str, body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], body).into_response()
}

/// Returns the Git directory of a repository that the caller's token may read.
fn directory(
    shared: &Shared,
    headers: &HeaderMap,
    owner: &str,
    name: &str,
) -> Result<PathBuf, Box<Response>> {
    let name = name.strip_suffix(".git").unwrap_or(name);
    let missing = || Box::new((StatusCode::NOT_FOUND, "Repository not found.\n").into_response());
    let repository = Repository::parse(&format!("{owner}/{name}")).map_err(|_| missing())?;
    let state = shared.state();
    let checked = with_token(headers).ok_or_else(|| Refusal::unauthorized("Requires authentication"));
    let allowed = checked.and_then(|headers| {
        state.authorize(&headers, Target::Repository(&repository), "contents", Level::Read)
    });
    if allowed.as_ref().is_err_and(|refusal| refusal.status() == StatusCode::FORBIDDEN) {
        // As on GitHub, a token does not learn that the repository exists. Git shows this text.
        let text = "Repository not found: the token has no `contents: read`, which the job's `permissions` must give.\n";
        return Err(Box::new((StatusCode::NOT_FOUND, text).into_response()));
    }
    if allowed.is_err() {
        let realm = [(header::WWW_AUTHENTICATE, "Basic realm=\"GitHub\"")];
        let refused = (StatusCode::UNAUTHORIZED, realm, "Requires authentication\n");
        return Err(Box::new(refused.into_response()));
    }
    state.git.get(&repository).cloned().ok_or_else(missing)
}

/// Turns Git's Basic authentication, whose password is the token, into a Bearer token.
fn with_token(headers: &HeaderMap) -> Option<HeaderMap> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    let token = if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
        decoded.split_once(':')?.1.to_owned()
    } else {
        rest.trim().to_owned()
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).ok()?);
    Some(headers)
}

fn unpacked(headers: &HeaderMap, body: Bytes) -> std::io::Result<Bytes> {
    let is_packed = headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding == "gzip");
    if !is_packed {
        return Ok(body);
    }
    let mut whole = Vec::new();
    let limit = u64::try_from(MAX_REQUEST_BYTES).unwrap_or(u64::MAX);
    GzDecoder::new(body.as_ref()).take(limit).read_to_end(&mut whole)?;
    Ok(whole.into())
}

/// Runs `git upload-pack` for one request.
async fn run(
    directory: &std::path::Path,
    flags: &[&str],
    headers: &HeaderMap,
    input: Bytes,
) -> Result<Vec<u8>, (StatusCode, String)> {
    let failed = |error: std::io::Error| (StatusCode::INTERNAL_SERVER_ERROR, format!("git: {error}\n"));
    let mut command = Command::new("git");
    // A checkout asks for one commit by its id.
    command.args(["-c", "uploadpack.allowAnySHA1InWant=true", "-c", "safe.directory=*"]);
    command.args(["upload-pack", "--strict", "--stateless-rpc"]).args(flags).arg(directory);
    command.env_remove("GIT_DIR");
    if let Some(protocol) = headers.get("git-protocol").and_then(|value| value.to_str().ok()) {
        command.env("GIT_PROTOCOL", protocol);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(failed)?;
    let stdin = child.stdin.take();
    let write = async move {
        if let Some(mut stdin) = stdin {
            // Git may answer before it has read everything.
            let _ = stdin.write_all(&input).await;
        }
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), write);
    let output = output.map_err(failed)?;
    // It also fails when a client goes away in the middle of an answer.
    if !output.status.success() && output.stdout.is_empty() {
        return Err((StatusCode::INTERNAL_SERVER_ERROR, format!("git upload-pack: {}\n", output.status)));
    }
    Ok(output.stdout)
}
