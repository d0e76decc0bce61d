//! The cgroups of an engine's containers, which outlast containers that were killed.

use std::fs;
use std::path::{Path, PathBuf};

const CGROUPS: &str = "/sys/fs/cgroup";
/// How deep containers nest their cgroups.
const MAX_DEPTH: u32 = 8;

/// Removes a cgroup and all below it, from each hierarchy. Returns whether it is gone: one with processes stays.
pub(super) fn remove(name: &str) -> bool {
    remove_from(Path::new(CGROUPS), name)
}

fn remove_from(root: &Path, name: &str) -> bool {
    // Version 2 has one hierarchy, version 1 has one for each controller.
    let each = directories(root).into_iter().map(|hierarchy| hierarchy.join(name));
    let all: Vec<PathBuf> = each.chain([root.join(name)]).collect();
    all.iter().for_each(|cgroup| remove_at(cgroup, MAX_DEPTH));
    !all.iter().any(|cgroup| cgroup.exists())
}

fn remove_at(cgroup: &Path, depth: u32) {
    if depth > 0 {
        directories(cgroup).iter().for_each(|below| remove_at(below, depth - 1));
    }
    // Its files go with it. It may not be there.
    let _gone = fs::remove_dir(cgroup);
}

fn directories(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroups_of_one_engine_are_removed_from_each_hierarchy() {
        let root = tempfile::tempdir().unwrap();
        for path in ["memory/ours/a/b", "pids/ours", "ours/a", "memory/other", "other"] {
            fs::create_dir_all(root.path().join(path)).unwrap();
        }
        fs::write(root.path().join("pids/ours/in-use"), "").unwrap();
        assert!(!remove_from(root.path(), "ours"));
        fs::remove_file(root.path().join("pids/ours/in-use")).unwrap();
        assert!(remove_from(root.path(), "ours"));
        let is_there = |path: &str| root.path().join(path).exists();
        for path in ["memory/ours", "pids/ours", "ours"] {
            assert!(!is_there(path), "{path}");
        }
        assert!(is_there("memory/other") && is_there("other"));
    }
}
