//! What a step finds around it: folders, variables, the event file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};

use crate::protocol::{JobSpec, RepositoryFacts};
use crate::workflow::Files;

use super::jit::Config;

/// Variables of the listener's own that no step sees.
const HIDDEN_PREFIX: &str = "ACTIONS_RUNNER_INPUT_";

/// Where a job works, all below the runner's work folder.
#[derive(Clone, Debug)]
pub(super) struct Folders {
    pub work: PathBuf,
    pub workspace: PathBuf,
    pub temp: PathBuf,
}

impl Folders {
    pub(super) fn create(config: &Config, spec: &JobSpec) -> io::Result<Self> {
        let work = std::env::current_dir()?.join(&config.runner.work_folder);
        let name = spec.repository.full_name.name();
        let folders =
            Self { workspace: work.join(name).join(name), temp: work.join("_temp"), work: work.clone() };
        for folder in [&folders.workspace, &folders.temp, &folders.temp.join("_runner_file_commands")] {
            fs::create_dir_all(folder)?;
        }
        Ok(folders)
    }

    pub(super) fn event_file(&self) -> PathBuf {
        self.temp.join("_github_workflow").join("event.json")
    }

    /// Puts the files that came with the workflow where a checkout would put them.
    pub(super) fn write_files(&self, files: &Files) -> io::Result<()> {
        for (path, text) in files {
            let relative = Path::new(path);
            if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("`{path}` leaves the workspace"),
                ));
            }
            let target = self.workspace.join(relative);
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(target, text)?;
        }
        Ok(())
    }
}

/// Writes what GitHub would tell of the event that started the run.
pub(super) fn write_event(folders: &Folders, spec: &JobSpec) -> io::Result<()> {
    let file = folders.event_file();
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut event = json!({"repository": repository(&spec.repository)});
    if spec.event.starts_with("pull_request") {
        event["number"] = json!(1);
        event["pull_request"] = json!({
            "number": 1,
            "head": {"ref": spec.head_branch, "sha": spec.head_sha, "repo": repository(&spec.head_repository)},
            "base": {"ref": "main", "repo": repository(&spec.repository)},
        });
    } else {
        event["ref"] = json!(format!("refs/heads/{}", spec.head_branch));
        event["after"] = json!(spec.head_sha);
    }
    fs::write(file, event.to_string())
}

fn repository(facts: &RepositoryFacts) -> Value {
    json!({
        "id": facts.id,
        "name": facts.full_name.name(),
        "full_name": facts.full_name,
        "owner": {"login": facts.full_name.owner()},
        "private": facts.private,
        "fork": facts.fork,
    })
}

/// The variables of every step and hook: the listener's own, then GitHub's.
pub(super) fn variables(config: &Config, folders: &Folders, spec: &JobSpec) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !name.starts_with(HIDDEN_PREFIX))
        .collect();
    let server = &config.runner.server_url;
    let own = [
        ("CI", "true".to_owned()),
        ("GITHUB_ACTIONS", "true".to_owned()),
        ("GITHUB_ACTOR", "octocat".to_owned()),
        ("GITHUB_API_URL", server.clone()),
        ("GITHUB_EVENT_NAME", spec.event.clone()),
        ("GITHUB_EVENT_PATH", folders.event_file().display().to_string()),
        ("GITHUB_JOB", spec.key.clone()),
        ("GITHUB_REF", format!("refs/heads/{}", spec.head_branch)),
        ("GITHUB_REF_NAME", spec.head_branch.clone()),
        ("GITHUB_REPOSITORY", spec.repository.full_name.to_string()),
        ("GITHUB_REPOSITORY_ID", spec.repository.id.to_string()),
        ("GITHUB_REPOSITORY_OWNER", spec.repository.full_name.owner().to_owned()),
        ("GITHUB_RUN_ATTEMPT", spec.run_attempt.to_string()),
        ("GITHUB_RUN_ID", spec.run.to_string()),
        ("GITHUB_RUN_NUMBER", spec.run_number.to_string()),
        ("GITHUB_SERVER_URL", server.clone()),
        ("GITHUB_SHA", spec.head_sha.clone()),
        ("GITHUB_WORKFLOW", spec.workflow.clone()),
        ("GITHUB_WORKSPACE", folders.workspace.display().to_string()),
        ("RUNNER_ARCH", if cfg!(target_arch = "aarch64") { "ARM64" } else { "X64" }.to_owned()),
        ("RUNNER_ENVIRONMENT", "self-hosted".to_owned()),
        ("RUNNER_NAME", config.runner.agent_name.clone()),
        ("RUNNER_OS", "Linux".to_owned()),
        ("RUNNER_TEMP", folders.temp.display().to_string()),
        ("RUNNER_WORKSPACE", folders.work.join(spec.repository.full_name.name()).display().to_string()),
    ];
    variables.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value)));
    variables
}
