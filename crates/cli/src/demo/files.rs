//! The files of a repository that a workflow uses: local actions and the workflows that it calls.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, anyhow};
use ecsrunner_demo::workflow::{Files, local_uses};

/// The largest file of a local action, in bytes.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Returns the directory above `.github`, or else the workflow's own.
pub(super) fn repository_root(workflow: &Path) -> PathBuf {
    let absolute = workflow.canonicalize().unwrap_or_else(|_| workflow.to_owned());
    let github = absolute.ancestors().find(|path| path.file_name().is_some_and(|name| name == ".github"));
    let root = github.unwrap_or(&absolute).parent();
    root.unwrap_or(Path::new("/")).to_owned()
}

/// Returns the workflow's path in its repository.
pub(super) fn path_in(root: &Path, workflow: &Path) -> String {
    let absolute = workflow.canonicalize().unwrap_or_else(|_| workflow.to_owned());
    absolute.strip_prefix(root).unwrap_or(&absolute).display().to_string()
}

/// Returns the files of all local actions and workflows that a workflow uses, directly or through others.
pub(super) fn used_by(root: &Path, text: &str) -> anyhow::Result<Files> {
    let mut files = Files::new();
    let mut open: Vec<String> = local_uses(text).into_iter().collect();
    let mut seen = BTreeSet::new();
    while let Some(path) = open.pop() {
        // What is outside of the repository, or not there, is reported where it is used.
        let is_inside = Path::new(&path).components().all(|part| matches!(part, Component::Normal(_)));
        if !is_inside || !seen.insert(path.clone()) {
            continue;
        }
        let at = root.join(&path);
        if at.is_file() {
            let text = fs::read_to_string(&at).with_context(|| format!("{} cannot be read", at.display()))?;
            open.extend(local_uses(&text));
            files.insert(path, text);
        } else if at.is_dir() {
            add_folder(root, &path, &mut files)?;
            for name in ["action.yml", "action.yaml"] {
                let text = files.get(&below(&path, name));
                open.extend(text.into_iter().flat_map(|text| local_uses(text)));
            }
        }
    }
    Ok(files)
}

/// Joins a folder and a name. The repository's root is the empty folder.
fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn add_folder(root: &Path, folder: &str, files: &mut Files) -> anyhow::Result<()> {
    let at = root.join(folder);
    let failed = |path: &Path| format!("{} of a local action cannot be read", path.display());
    for entry in fs::read_dir(&at).with_context(|| failed(&at))? {
        let entry = entry.with_context(|| failed(&at))?;
        let path = entry.path();
        let name = entry.file_name().into_string().map_err(|_| anyhow!(failed(&path)))?;
        let kind = entry.file_type().with_context(|| failed(&path))?;
        if kind.is_dir() && name != "node_modules" && name != ".git" {
            add_folder(root, &below(folder, &name), files)?;
        } else if kind.is_file() && entry.metadata().is_ok_and(|found| found.len() <= MAX_FILE_BYTES) {
            match fs::read_to_string(&path) {
                Ok(text) => drop(files.insert(below(folder, &name), text)),
                // A binary file, such as an image. Scripts do not need it here.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(error) => return Err(anyhow::Error::from(error).context(failed(&path))),
            }
        }
    }
    Ok(())
}
