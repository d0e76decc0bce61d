//! Actions of repositories, read from local directories.

use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::App;
use crate::github::api::Refusal;
use crate::github::state::Action;
use crate::workflow::{Files, action_key};

/// The top folder of an archive.
const TOP: &str = "action";
/// The repository of the action that puts files into the workspace.
const FILES_ACTION: &str = "ecsrunner/files";
/// Copies `files` into the workspace.
const PUT_FILES: &str = "require('fs').cpSync(__dirname + '/files', process.env.GITHUB_WORKSPACE, \
                         {recursive: true});\n";

/// The inputs that the stand-in for `actions/checkout` knows. Others have no effect.
const CHECKOUT_ACTION: &str = "name: checkout
inputs:
  repository: {default: '${{ github.repository }}'}
  ref: {default: ''}
  token: {default: '${{ github.token }}'}
  path: {default: ''}
  clean: {default: 'true'}
  fetch-depth: {default: '1'}
  fetch-tags: {default: 'false'}
  persist-credentials: {default: 'true'}
  set-safe-directory: {default: 'true'}
  show-progress: {default: 'true'}
  sparse-checkout: {default: ''}
  sparse-checkout-cone-mode: {default: 'true'}
  filter: {default: ''}
  submodules: {default: 'false'}
  lfs: {default: 'false'}
  ssh-key: {default: ''}
  ssh-known-hosts: {default: ''}
  ssh-strict: {default: 'true'}
  ssh-user: {default: git}
  github-server-url: {default: ''}
  allow-unsafe-pr-checkout: {default: 'false'}
outputs:
  ref: {description: the reference}
  commit: {description: the commit}
runs: {using: node20, main: main.js}
";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAction {
    /// `owner/name@ref`.
    action: String,
    /// The directory with its `action.yml`.
    directory: Option<PathBuf>,
    /// Or a gzipped tar with one top folder.
    archive: Option<PathBuf>,
}

/// Adds or replaces an action.
pub(super) async fn put(Extract(shared): App, Json(new): Json<NewAction>) -> Result<StatusCode, Refusal> {
    let named = new.action.split_once('@').filter(|(name, version)| {
        name.split('/').count() == 2 && !name.split('/').any(str::is_empty) && !version.is_empty()
    });
    let Some((name, version)) = named else {
        return Err(Refusal::invalid(&format!(
            "`{}` is not an action: owner/name@ref is expected",
            new.action
        )));
    };
    let key = action_key(name, version);
    let path = new.directory.clone().or_else(|| new.archive.clone());
    let path = path.ok_or_else(|| Refusal::invalid("`directory` or `archive` is missing"))?;
    let (read, is_directory) = (path.clone(), new.directory.is_some());
    let packed = tokio::task::spawn_blocking(move || {
        if is_directory { pack(&read) } else { fs::read(&read).map(Bytes::from) }
    });
    let archive = packed.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
        let kind = if is_directory { "directory" } else { "archive" };
        Refusal::invalid(&format!("the {kind} {} cannot be read: {error}", path.display()))
    })?;
    let sha = sha(&archive);
    shared.state().actions.insert(key, Action { sha, archive });
    Ok(StatusCode::NO_CONTENT)
}

impl Action {
    /// Returns the text of a file of the action's repository.
    pub(in crate::github) fn file(&self, path: &str) -> Option<String> {
        let mut archive = tar::Archive::new(GzDecoder::new(self.archive.as_ref()));
        for entry in archive.entries().ok()? {
            let mut entry = entry.ok()?;
            let name = entry.path().ok()?.components().skip(1).collect::<PathBuf>();
            if name == Path::new(path) {
                let mut text = String::new();
                return entry.read_to_string(&mut text).ok().map(|_| text);
            }
        }
        None
    }
}

/// Packs a directory as GitHub does: a gzipped tar with one top folder.
fn pack(directory: &Path) -> io::Result<Bytes> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    archive.follow_symlinks(false);
    archive.append_dir(TOP, directory)?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        // A checkout's history is not part of an action.
        if name == ".git" {
            continue;
        }
        let inside = Path::new(TOP).join(&name);
        if entry.file_type()?.is_dir() {
            archive.append_dir_all(inside, entry.path())?;
        } else {
            archive.append_path_with_name(entry.path(), inside)?;
        }
    }
    Ok(archive.into_inner()?.finish()?.into())
}

/// Makes an action that puts a repository's files into the workspace, in place of
/// a checkout. Returns its name and the action.
pub(super) fn of_files(files: &Files) -> io::Result<(String, Action)> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut add = |path: &str, text: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(if text.starts_with("#!") { 0o755 } else { 0o644 });
        archive.append_data(&mut header, format!("{TOP}/{path}"), text.as_bytes())
    };
    add("action.yml", "name: files\nruns: {using: node20, main: main.js}\n")?;
    add("main.js", PUT_FILES)?;
    for (path, text) in files {
        let is_inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if !is_inside {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{path}` leaves the workspace"),
            ));
        }
        add(&format!("files/{path}"), text)?;
    }
    let archive: Bytes = archive.into_inner()?.finish()?.into();
    let sha = sha(&archive);
    Ok((format!("{FILES_ACTION}@{sha}"), Action { sha, archive }))
}

/// Makes the action that stands in for `actions/checkout`.
pub(in crate::github) fn checkout() -> io::Result<Action> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, text) in [("action.yml", CHECKOUT_ACTION), ("main.js", include_str!("../checkout.js"))] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("{TOP}/{name}"), text.as_bytes())?;
    }
    let archive: Bytes = archive.into_inner()?.finish()?.into();
    Ok(Action { sha: sha(&archive), archive })
}

/// Returns a text with the form of a commit id.
pub(in crate::github) fn sha(archive: &[u8]) -> String {
    Sha256::digest(archive).iter().take(20).map(|byte| format!("{byte:02x}")).collect()
}
