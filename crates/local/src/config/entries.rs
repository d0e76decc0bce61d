//! The sections of the file, as they are written.

use std::path::PathBuf;

use ecsrunner_agent::engine::{Addresses, AddressesError};
use serde::Deserialize;
use toml::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GitHubEntry {
    #[serde(default)]
    pub(super) api_url: Option<String>,
    #[serde(default)]
    pub(super) token_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) app: Option<AppEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AppEntry {
    pub(super) id: Value,
    pub(super) private_key_file: PathBuf,
    #[serde(default)]
    pub(super) installation: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WebhookEntry {
    pub(super) secret_files: Vec<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServerEntry {
    pub(super) hosts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunnerEntry {
    pub(super) dir: PathBuf,
    #[serde(default)]
    pub(super) env: Vec<String>,
    #[serde(default)]
    pub(super) users: Option<Vec<String>>,
    #[serde(default)]
    pub(super) first_uid: Option<u32>,
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
    /// Whether a task as a whole has no more memory than its class. By default it has not, if the server is root and
    /// this machine has cgroups that it may use.
    pub(crate) limit_memory: Option<bool>,
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
            limit_memory: None,
            max_processes: 4_096,
            max_files: 65_536,
            max_process_memory: None,
        }
    }
}
