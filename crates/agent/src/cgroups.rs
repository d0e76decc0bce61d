//! Cgroups on one machine: one for each task, which bounds the task as a whole, and within it one for the containers of
//! its Docker engine.
//!
//! They are at the top of the kernel's tree, not in the cgroup of the server: with version 2 a cgroup that has
//! processes of its own, such as that of a systemd service, cannot limit cgroups below it.

mod task;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::mounts::make_new;
pub use task::{TaskCgroup, TaskCgroupLimits};

/// The variable that gives an agent the name of its task's cgroup.
pub const CGROUP: &str = "ECSRUNNER_CGROUP";

/// Where the kernel mounts its cgroups.
pub(crate) const CGROUPS: &str = "/sys/fs/cgroup";
/// How deep containers nest their cgroups.
const MAX_DEPTH: u32 = 8;

/// How often processes are moved before they are too many. Each round finds those that others have started meanwhile.
const MAX_ROUNDS: u32 = 50;

/// Lets cgroups have limits where this process is in a container with cgroups of its own
/// (version 2): the kernel allows controllers below a cgroup only if no process is directly in
/// it. Docker's own image for an engine in a container does the same.
///
/// Only a process of the container's own namespace of processes can do it: the kernel shows
/// others the id 0, which means the process that writes it.
pub(crate) fn delegate() -> io::Result<()> {
    delegate_below(Path::new(CGROUPS))
}

fn delegate_below(root: &Path) -> io::Result<()> {
    // A machine's own topmost cgroup has no type, and no such rule.
    if !root.join("cgroup.type").exists() {
        return Ok(());
    }
    let Ok(controllers) = fs::read_to_string(root.join("cgroup.controllers")) else { return Ok(()) };
    let controllers: Vec<String> = controllers.split_whitespace().map(|name| format!("+{name}")).collect();
    delegate_in(root, || fs::write(root.join("cgroup.subtree_control"), controllers.join(" ")))
}

/// `enable` fails with `EBUSY` as long as processes are directly in `root`.
fn delegate_in(root: &Path, mut enable: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let leaf = root.join("ecsrunner-processes");
    for _ in 0..MAX_ROUNDS {
        match enable() {
            Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) => {}
            done => return done,
        }
        make_new(&leaf, 0o755)?;
        let processes = fs::read_to_string(root.join("cgroup.procs"))?;
        for process in processes.lines().filter(|process| *process != "0") {
            // It may have ended meanwhile.
            let _gone = fs::write(leaf.join("cgroup.procs"), process);
        }
    }
    enable()
}

/// Removes a cgroup and all below it, from each hierarchy. Returns whether it is gone: one with processes stays.
pub(crate) fn remove(name: &str) -> bool {
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
    fn processes_are_moved_until_controllers_can_be_given() {
        let root = tempfile::tempdir().unwrap();
        let list = |processes: &str| fs::write(root.path().join("cgroup.procs"), processes).unwrap();
        list("0\n12\n");
        let mut rounds = 0;
        delegate_in(root.path(), || {
            rounds += 1;
            if rounds == 3 {
                return Ok(());
            }
            // Another process has been started.
            list(&format!("0\n{}\n", 12 + rounds));
            Err(Errno::EBUSY.into())
        })
        .unwrap();
        assert_eq!(fs::read_to_string(root.path().join("ecsrunner-processes/cgroup.procs")).unwrap(), "14");
        let error = delegate_in(root.path(), || Err(Errno::EBUSY.into())).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::EBUSY as i32));
    }

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
