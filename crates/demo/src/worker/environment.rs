//! The environment of a step: folders, variables, the event file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::order::Order;

/// Keys of the context `github` that become `GITHUB_*` variables.
const GITHUB_VARIABLES: [&str; 27] = [
    "actor",
    "actor_id",
    "api_url",
    "base_ref",
    "event_name",
    "graphql_url",
    "head_ref",
    "job",
    "ref",
    "ref_name",
    "ref_protected",
    "ref_type",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "retention_days",
    "run_attempt",
    "run_id",
    "run_number",
    "server_url",
    "sha",
    "triggering_actor",
    "workflow",
    "workflow_ref",
    "workflow_sha",
    "action",
];

/// The folders of a job, all below the runner's work folder.
#[derive(Clone, Debug)]
pub(super) struct Folders {
    pub(super) work: PathBuf,
    pub(super) workspace: PathBuf,
    pub(super) temp: PathBuf,
}

impl Folders {
    /// Returns the folders of a job of a repository, without creating them.
    pub(super) fn of(work_folder: &Path, repository: &str) -> io::Result<Self> {
        let work = std::env::current_dir()?.join(work_folder);
        let name = repository.rsplit('/').next().unwrap_or_default();
        Ok(Self { workspace: work.join(name).join(name), temp: work.join("_temp"), work })
    }

    pub(super) fn create(order: &Order) -> io::Result<Self> {
        let folders = Self::of(&order.work_folder, &order.github("repository"))?;
        for folder in [&folders.workspace, &folders.temp, &folders.temp.join("_runner_file_commands")] {
            fs::create_dir_all(folder)?;
        }
        // The official runner also has its diagnostics beside its work folder.
        fs::create_dir_all(folders.work.with_file_name("_diag"))?;
        Ok(folders)
    }

    pub(super) fn event_file(&self) -> PathBuf {
        self.temp.join("_github_workflow").join("event.json")
    }
}

/// Writes the payload of the event that started the run.
pub(super) fn write_event(folders: &Folders, order: &Order) -> io::Result<()> {
    let file = folders.event_file();
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    let event = order.github.get("event").unwrap_or(&Value::Null);
    fs::write(file, event.to_string())
}

/// Returns the variables of every step and hook: those of the listener, then GitHub's.
pub(super) fn variables(folders: &Folders, order: &Order, tracking_id: &str) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    for key in GITHUB_VARIABLES {
        variables.insert(format!("GITHUB_{}", key.to_uppercase()), order.github(key));
    }
    let repository = order.github("repository");
    let name = repository.rsplit('/').next().unwrap_or_default();
    let own = [
        ("CI", "true".to_owned()),
        ("GITHUB_ACTIONS", "true".to_owned()),
        ("GITHUB_EVENT_PATH", folders.event_file().display().to_string()),
        ("GITHUB_WORKSPACE", folders.workspace.display().to_string()),
        ("RUNNER_ARCH", if cfg!(target_arch = "aarch64") { "ARM64" } else { "X64" }.to_owned()),
        ("RUNNER_ENVIRONMENT", "self-hosted".to_owned()),
        ("RUNNER_NAME", order.runner_name.clone()),
        ("RUNNER_OS", "Linux".to_owned()),
        ("RUNNER_TEMP", folders.temp.display().to_string()),
        ("RUNNER_TRACKING_ID", tracking_id.to_owned()),
        ("RUNNER_WORKSPACE", folders.work.join(name).display().to_string()),
    ];
    variables.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value)));
    variables
}
