//! The actions of a directory: `OWNER/NAME@REF` as a directory or an archive.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The endings of archives.
const ENDINGS: [&str; 2] = [".tar.gz", ".tgz"];

/// An action, and where its files are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Found {
    /// `owner/name@ref`
    pub(super) action: String,
    pub(super) at: Place,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Place {
    Directory(PathBuf),
    /// A gzipped tar with one top folder.
    Archive(PathBuf),
}

/// Returns all actions below a directory. An archive may also be named as in a runner's own cache:
/// `OWNER_NAME/COMMIT.tar.gz`.
pub(super) fn list(directory: &Path) -> anyhow::Result<Vec<Found>> {
    let mut found = Vec::new();
    collect(directory, "", &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, name: &str, found: &mut Vec<Found>) -> anyhow::Result<()> {
    let failed = || format!("the directory {} cannot be read", folder.display());
    for entry in fs::read_dir(folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        let Some(own) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let inside = if name.is_empty() { own.to_owned() } else { format!("{name}/{own}") };
        if path.is_dir() {
            // A reference may have slashes: what has files of its own is the action.
            if is_action(&inside) && has_files(&path) {
                found.push(Found { action: inside, at: Place::Directory(path) });
            } else {
                collect(&path, &inside, found)?;
            }
        } else if let Some(bare) = ENDINGS.iter().find_map(|ending| inside.strip_suffix(ending)) {
            let action = if is_action(bare) { Some(bare.to_owned()) } else { cached(bare) };
            found.extend(action.map(|action| Found { action, at: Place::Archive(path) }));
        }
    }
    Ok(())
}

fn is_action(name: &str) -> bool {
    name.split_once('@').is_some_and(|(repository, version)| {
        let parts: Vec<&str> = repository.split('/').collect();
        parts.len() == 2 && !parts.contains(&"") && !version.is_empty()
    })
}

fn has_files(folder: &Path) -> bool {
    let is_file = |entry: fs::DirEntry| {
        let is_archive = ENDINGS.iter().any(|ending| entry.file_name().to_string_lossy().ends_with(ending));
        entry.file_type().is_ok_and(|kind| kind.is_file()) && !is_archive
    };
    fs::read_dir(folder).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(is_file)))
}

/// Reads `OWNER_NAME/COMMIT`.
fn cached(name: &str) -> Option<String> {
    let (repository, commit) = name.rsplit_once('/')?;
    let (owner, name) = repository.split_once('_')?;
    let is_plain = !repository.contains('/') && commit.bytes().all(|b| b.is_ascii_hexdigit());
    is_plain.then(|| format!("{owner}/{name}@{commit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_directories_and_archives_named_by_repository_and_reference() {
        let directory = tempfile::tempdir().unwrap();
        let file = |path: &str| {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        };
        file("actions/checkout@v4/action.yml");
        file("pypa/gh-action@release/v1/action.yml");
        file("actions/cache@v4.tar.gz");
        file("o/n@release/v2.tgz");
        file("actions_setup-node/0123abc.tar.gz");
        file("notes.txt");
        let names: Vec<String> =
            list(directory.path()).unwrap().into_iter().map(|found| found.action).collect();
        assert_eq!(
            names,
            [
                "actions/cache@v4",
                "actions/checkout@v4",
                "actions/setup-node@0123abc",
                "o/n@release/v2",
                "pypa/gh-action@release/v1"
            ]
        );
    }
}
