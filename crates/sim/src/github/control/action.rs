//! Actions of repositories, taken from directories of this machine.

use std::io;
use std::path::{Path, PathBuf};

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::App;
use crate::github::api::Refusal;
use crate::github::state::Action;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAction {
    /// `owner/name@ref`.
    action: String,
    /// The directory with its `action.yml`.
    directory: PathBuf,
}

/// Makes an action known, or replaces one.
pub(super) async fn put(Extract(shared): App, Json(new): Json<NewAction>) -> Result<StatusCode, Refusal> {
    let is_named = new.action.split_once('@').is_some_and(|(name, version)| {
        name.split('/').count() == 2 && !name.split('/').any(str::is_empty) && !version.is_empty()
    });
    if !is_named {
        return Err(Refusal::invalid(&format!(
            "`{}` is not an action: owner/name@ref is expected",
            new.action
        )));
    }
    let directory = new.directory.clone();
    let packed = tokio::task::spawn_blocking(move || pack(&directory)).await;
    let archive = packed.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
        Refusal::invalid(&format!("the directory {} cannot be read: {error}", new.directory.display()))
    })?;
    let digest = Sha256::digest(&archive);
    let sha: String = digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
    shared.state().actions.insert(new.action, Action { sha, archive });
    Ok(StatusCode::NO_CONTENT)
}

/// A gzipped tar with one folder at its top, as GitHub sends them.
fn pack(directory: &Path) -> io::Result<Bytes> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    archive.follow_symlinks(false);
    archive.append_dir_all("action", directory)?;
    Ok(archive.into_inner()?.finish()?.into())
}
