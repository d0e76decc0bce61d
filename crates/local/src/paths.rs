//! Resolves paths as the official runner sees them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// Returns the absolute path. In its existing part, symbolic links are resolved.
pub(crate) fn resolve(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let resolved = path.ancestors().find_map(|existing| {
        let rest = path.strip_prefix(existing).ok()?;
        // Joining an empty path would add a slash.
        let found = existing.canonicalize().ok()?;
        Some(if rest.as_os_str().is_empty() { found } else { found.join(rest) })
    });
    resolved.unwrap_or(path)
}

/// Returns every directory in which a component of `path` is looked up, including
/// those behind symbolic links. Write access to any of them is enough to replace
/// the file at `path`.
pub(crate) fn passed(path: &Path) -> BTreeSet<PathBuf> {
    way(path).directories
}

/// What a path is looked up by.
#[derive(Clone, Default, Debug)]
pub(crate) struct Way {
    pub(crate) directories: BTreeSet<PathBuf>,
    /// The symbolic links that are followed. The owner of one can replace it also in a directory with the sticky bit.
    pub(crate) links: BTreeSet<PathBuf>,
}

/// Returns the existing directories and the links by which `path` is looked up.
pub(crate) fn way(path: &Path) -> Way {
    // The limit of Linux.
    const MAX_LINKS: u32 = 40;
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut rest = names(&path);
    let (mut at, mut way, mut links) = (PathBuf::from("/"), Way::default(), 0);
    while let Some(name) = rest.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        way.directories.insert(at.clone());
        let next = at.join(&name);
        match std::fs::read_link(&next) {
            Ok(target) if links < MAX_LINKS => {
                links += 1;
                way.links.insert(next);
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                rest.extend(names(&target));
            }
            _ => at = next,
        }
    }
    way.directories.retain(|dir| dir.is_dir());
    way
}

/// Returns the names of a path, the last one first.
fn names(path: &Path) -> Vec<OsString> {
    let names =
        path.components().rev().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    names.map(|part| part.as_os_str().to_owned()).collect()
}

/// Returns the existing directories from the root down to `path`.
pub(crate) fn existing(path: &Path) -> Vec<PathBuf> {
    let mut chain: Vec<PathBuf> =
        path.ancestors().filter(|ancestor| ancestor.is_dir()).map(Path::to_owned).collect();
    chain.reverse();
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_resolved_as_far_as_it_exists() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("real")).unwrap();
        std::os::unix::fs::symlink("real", real.join("link")).unwrap();
        assert_eq!(resolve(&real.join("link")), real.join("real"));
        assert_eq!(resolve(&real.join("link/new/state")), real.join("real/new/state"));
        assert_eq!(existing(&real.join("real/new/state")).last(), Some(&real.join("real")));
    }

    #[test]
    fn each_directory_on_the_way_of_a_path_is_passed_also_behind_links() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        for sub in ["a", "b", "c/d/runner"] {
            std::fs::create_dir_all(real.join(sub)).unwrap();
        }
        std::os::unix::fs::symlink("../b/link", real.join("a/link")).unwrap();
        std::os::unix::fs::symlink(real.join("c/d"), real.join("b/link")).unwrap();
        std::os::unix::fs::symlink("loop", real.join("loop")).unwrap();
        let passed_below = |path: &str| {
            let passed = passed(&real.join(path)).into_iter();
            let below = passed.filter_map(|dir| Some(dir.strip_prefix(&real).ok()?.display().to_string()));
            below.collect::<Vec<_>>()
        };
        assert_eq!(passed_below("a/link/runner"), ["", "a", "b", "c", "c/d"]);
        assert_eq!(passed_below("loop/x"), [""]);
        let links = way(&real.join("a/link/runner")).links;
        assert_eq!(links, [real.join("a/link"), real.join("b/link")].into());
    }
}
