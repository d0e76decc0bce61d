//! The section `[runner]`: GitHub's runner, the users that runners have, and how tasks are confined.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use ecsrunner_agent::engine::{Addresses, AddressesError};
use serde::Deserialize;

use super::Reader;
use crate::{accounts, preflight};

/// The listener in an unpacked actions/runner.
pub(crate) const LISTENER: &str = "bin/Runner.Listener";

/// Above the ids that distributions give to people and services, below 65534 (nobody).
const FIRST_UID: u32 = 61_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunnerEntry {
    pub(super) dir: PathBuf,
    #[serde(default)]
    pub(super) env: Vec<String>,
    #[serde(default)]
    pub(super) users: Option<Vec<String>>,
    #[serde(default)]
    first_uid: Option<u32>,
    #[serde(default)]
    pub(super) tasks: TasksEntry,
    #[serde(default)]
    pub(super) docker: DockerEntry,
}

/// How the Docker engines of tasks are started: `[runner.docker]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DockerEntry {
    /// Further arguments of each `dockerd`.
    pub(crate) dockerd_args: Vec<String>,
    /// The addresses of containers; empty for the defaults of `dockerd`, which only one engine at once can have.
    pub(crate) addresses: String,
}

impl Default for DockerEntry {
    fn default() -> Self {
        Self { dockerd_args: Vec::new(), addresses: "10.201.0.0/16".to_owned() }
    }
}

impl DockerEntry {
    /// Returns the addresses, if engines take their networks from any.
    pub(crate) fn addresses(&self) -> Result<Option<Addresses>, AddressesError> {
        if self.addresses.is_empty() { Ok(None) } else { self.addresses.parse().map(Some) }
    }
}

/// How the tasks of this machine are confined: `[runner.tasks]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TasksEntry {
    /// Whether each task has its own `/tmp`, `/var/tmp` and `/dev/shm`, and can write nowhere else. By default it has,
    /// if the server is root and this machine allows it.
    pub(crate) private_files: Option<bool>,
    pub(crate) no_new_privileges: bool,
    /// Further directories that tasks can write to, and share.
    pub(crate) writable: Vec<PathBuf>,
    /// Processes and threads of one task.
    pub(crate) max_processes: u64,
    /// Open files of one process.
    pub(crate) max_files: u64,
    /// Memory of one process, in MiB.
    pub(crate) max_process_memory: Option<u64>,
}

impl Default for TasksEntry {
    fn default() -> Self {
        Self {
            private_files: None,
            no_new_privileges: true,
            writable: Vec::new(),
            max_processes: 4_096,
            max_files: 65_536,
            max_process_memory: None,
        }
    }
}

impl RunnerEntry {
    pub(super) fn first_uid(&self) -> u32 {
        self.first_uid.unwrap_or(FIRST_UID)
    }
}

impl Reader<'_> {
    pub(super) fn check_tasks(&mut self, tasks: &TasksEntry) {
        for (key, value, least) in [
            ("max_processes", Some(tasks.max_processes), 64),
            ("max_files", Some(tasks.max_files), 256),
            ("max_process_memory", tasks.max_process_memory, 256),
        ] {
            if let Some(value) = value.filter(|value| *value < least) {
                let what = format_args!(
                    "{value} is too few for the official runner itself: at least {least} is expected"
                );
                self.mistake(&format!("runner.tasks.{key}"), &what);
            }
        }
        for dir in &tasks.writable {
            if !dir.is_absolute() || !dir.is_dir() {
                let what =
                    format_args!("`{}` is not an existing directory with an absolute path", dir.display());
                self.mistake("runner.tasks.writable", &what);
            }
        }
    }

    pub(super) fn check_users(&mut self, runner: &RunnerEntry, max_runners: Option<u32>) {
        if runner.first_uid == Some(0) {
            self.mistake("runner.first_uid", &"0 is root: a user id above all accounts is expected");
        }
        let Some(users) = &runner.users else { return };
        if runner.first_uid.is_some() {
            self.mistake("runner", &"either `users` or `first_uid` is expected, not both");
        }
        let mut seen = HashSet::new();
        for name in users.iter().filter(|name| !seen.insert(name.as_str())) {
            self.mistake("runner.users", &format_args!("`{name}` is named twice"));
        }
        let named = u32::try_from(seen.len()).unwrap_or(u32::MAX);
        if let Some(needed) = max_runners.filter(|needed| named < *needed) {
            let s = if named == 1 { " is" } else { "s are" };
            let command = accounts::command(needed);
            let what = format_args!(
                "{named} account{s} named, but limits.max_runners is {needed}: name {needed} accounts (create \
                 them with `{command}`), or lower limits.max_runners"
            );
            self.mistake("runner.users", &what);
        }
    }

    pub(super) fn check_runner_dir(&mut self, dir: &Path) {
        preflight::check_characters("runner.dir", dir, &mut self.mistakes);
        let listener = dir.join(LISTENER);
        if !listener.is_file() {
            let what =
                format_args!("{} does not exist: an unpacked actions/runner is expected", listener.display());
            self.mistake("runner.dir", &what);
        } else if listener.canonicalize().ok() != dir.canonicalize().ok().map(|dir| dir.join(LISTENER)) {
            // The listener uses the directory above its executable as its root.
            let what = format_args!(
                "{} is behind a symbolic link, as after a self-update of the runner: a freshly unpacked \
                 actions/runner is expected",
                listener.display()
            );
            self.mistake("runner.dir", &what);
        }
    }
}
