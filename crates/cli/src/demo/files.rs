//! The files of a repository that a workflow uses: local actions and the workflows that it calls.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, anyhow};
use ecsrunner_demo::workflow::{self, Files, local_uses, scripts_of};

use super::repository;

/// The largest file of a local action, in bytes.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Returns the directory above `.github`, or else the workflow's own.
pub(super) fn repository_root(workflow: &Path) -> PathBuf {
    let absolute = workflow.canonicalize().unwrap_or_else(|_| workflow.to_owned());
    workflow::repository_root(&absolute).to_owned()
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
            add_action(root, &path, &mut files)?;
            let texts: Vec<String> = ["action.yml", "action.yaml"]
                .into_iter()
                .filter_map(|name| files.get(&below(&path, name)).cloned())
                .collect();
            for text in texts {
                open.extend(local_uses(&text));
                // A script may be outside of the action's folder.
                for script in scripts_of(&path, &text) {
                    if !files.contains_key(&script) && root.join(&script).is_file() {
                        add_file(root, script, &mut files)?;
                    }
                }
            }
        }
    }
    Ok(files)
}

/// Joins a folder and a name. The repository's root is the empty folder.
fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Adds the files of a local action. Those that Git ignores, such as what was built, are not in a checkout either.
fn add_action(root: &Path, folder: &str, files: &mut Files) -> anyhow::Result<()> {
    match repository::files_of(root, folder) {
        Some(paths) => paths.into_iter().try_for_each(|path| add_file(root, path, files)),
        None => add_folder(root, folder, files),
    }
}

fn add_folder(root: &Path, folder: &str, files: &mut Files) -> anyhow::Result<()> {
    let at = root.join(folder);
    for entry in fs::read_dir(&at).with_context(|| unreadable(&at))? {
        let entry = entry.with_context(|| unreadable(&at))?;
        let path = entry.path();
        let name = entry.file_name().into_string().map_err(|_| anyhow!(unreadable(&path)))?;
        let kind = entry.file_type().with_context(|| unreadable(&path))?;
        if kind.is_dir() && name != "node_modules" && name != ".git" {
            add_folder(root, &below(folder, &name), files)?;
        } else if kind.is_file() {
            add_file(root, below(folder, &name), files)?;
        }
    }
    Ok(())
}

/// Adds a file unless it is large or binary, such as an image. Scripts do not need it here.
fn add_file(root: &Path, path: String, files: &mut Files) -> anyhow::Result<()> {
    let at = root.join(&path);
    let is_small =
        fs::symlink_metadata(&at).is_ok_and(|found| found.is_file() && found.len() <= MAX_FILE_BYTES);
    if is_small {
        match fs::read_to_string(&at) {
            Ok(text) => drop(files.insert(path, text)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            Err(error) => return Err(anyhow::Error::from(error).context(unreadable(&at))),
        }
    }
    Ok(())
}

fn unreadable(path: &Path) -> String {
    format!("{} of a local action cannot be read", path.display())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_script_outside_of_its_actions_folder_comes_along() {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("act/action.yml", "runs: {using: node20, main: ../dist/i.js, post: ./p.js}"),
            ("act/p.js", ""),
            ("dist/i.js", ""),
            ("dist/other.js", ""),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let files = used_by(root.path(), "uses: ./act/../act").unwrap();
        assert_eq!(files.into_keys().collect::<Vec<_>>(), ["act/action.yml", "act/p.js", "dist/i.js"]);
    }

    #[test]
    fn an_action_at_the_top_of_a_repository_comes_without_what_git_ignores() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("action.yml", "runs: {using: composite, steps: [{uses: ./inner}]}");
        write("inner/action.yml", "runs: {using: node20, main: main.js}");
        write("target/built.txt", "built");
        write(".gitignore", "target/\n");
        let names = || used_by(root.path(), "uses: ./").unwrap().into_keys().collect::<Vec<_>>();
        assert_eq!(names(), [".gitignore", "action.yml", "inner/action.yml", "target/built.txt"]);
        let made = Command::new("git").args(["init", "--quiet"]).current_dir(root.path()).status();
        assert!(made.unwrap().success());
        assert_eq!(names(), [".gitignore", "action.yml", "inner/action.yml"]);
    }
}
