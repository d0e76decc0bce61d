//! Where a path leads, as the official runner sees it.

use std::path::{Path, PathBuf};

/// Returns the absolute path without symbolic links, as far as it exists.
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
}
