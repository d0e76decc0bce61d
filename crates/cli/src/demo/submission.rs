//! The workflow or the jobs that the demo runs.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, anyhow};
use ecsrunner_core::id::RunId;
use ecsrunner_demo::testbed::{REPOSITORY, Service};
use ecsrunner_demo::workflow::{Executor, Files, local_actions};
use serde::Deserialize;
use serde_json::json;

use crate::arguments::{DemoOptions, GivenAction};
use crate::exit::Failure;

const WORKFLOW: &str = include_str!("workflow.yml");

/// The largest file of a local action, in bytes.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Debug)]
pub(super) enum Submission {
    /// A workflow file, the files of its local actions, and actions of other repositories.
    Workflow { file: String, text: String, files: Files, actions: Vec<GivenAction>, executor: Executor },
    /// The number of short jobs.
    Jobs(u32),
}

impl Submission {
    pub(super) fn of(options: &DemoOptions) -> Result<Self, Failure> {
        if let Some(count) = options.jobs {
            return Ok(Self::Jobs(count));
        }
        let executor = if options.runner_dir.is_some() { Executor::Official } else { Executor::StandIn };
        let Some(path) = &options.workflow else {
            return Ok(Self::Workflow {
                file: ".github/workflows/demo.yml".to_owned(),
                text: WORKFLOW.to_owned(),
                files: BTreeMap::new(),
                actions: Vec::new(),
                executor,
            });
        };
        let text = fs::read_to_string(path)
            .with_context(|| format!("the workflow file {} cannot be read", path.display()))
            .map_err(Failure::usage)?;
        let files = local_files(path, &text).map_err(Failure::usage)?;
        let mut actions = options.action.clone();
        for given in &mut actions {
            let directory = given.directory.canonicalize();
            given.directory = directory
                .with_context(|| {
                    format!(
                        "the directory {} of `{}` cannot be read",
                        given.directory.display(),
                        given.action
                    )
                })
                .map_err(Failure::usage)?;
        }
        Ok(Self::Workflow { file: path.display().to_string(), text, files, actions, executor })
    }

    /// Submits it to the fake GitHub.
    pub(super) async fn submit(&self, github: &Service) -> Result<RunId, Failure> {
        let (path, body) = match self {
            Self::Workflow { file, text, files, actions, executor } => {
                for given in actions {
                    let body = json!({"action": given.action, "directory": given.directory});
                    let answer = github.post("/_sim/actions", &body).await?;
                    if answer.status() == reqwest::StatusCode::UNPROCESSABLE_ENTITY {
                        let Fault { message } = answer.json().await?;
                        return Err(Failure::usage(anyhow!(message)));
                    }
                    answer.error_for_status()?;
                }
                let body = json!({
                    "repository": REPOSITORY, "file": file, "text": text, "actions": files, "executor": executor,
                });
                ("/_sim/workflows", body)
            }
            Self::Jobs(count) => (
                "/_sim/jobs",
                json!({"repository": REPOSITORY, "labels": ["self-hosted", "class:small"], "count": count,
                    "name": "job", "work": {"sleep_ms": 200}}),
            ),
        };
        let answer = github.post(path, &body).await?;
        if answer.status() == reqwest::StatusCode::UNPROCESSABLE_ENTITY {
            let Problems { messages } = answer.json().await?;
            let hint = match self {
                Self::Workflow { executor: Executor::StandIn, .. } => {
                    "the stand-in runner supports `run:`, `env`, `needs`, a static `matrix` and JavaScript actions; \
                     use `--runner-dir DIR` to execute the steps with the official runner"
                }
                _ => "the demo supports jobs with `needs`, a static `matrix` and steps",
            };
            return Err(Failure::usage(Refused { messages }).hint(hint));
        }
        let Submitted { run_id } = answer.error_for_status()?.json().await?;
        Ok(run_id)
    }
}

/// Returns the files of all local actions that a workflow uses, directly or through other local actions.
fn local_files(workflow: &Path, text: &str) -> anyhow::Result<Files> {
    let root = repository_root(workflow);
    let mut files = Files::new();
    let mut open: Vec<String> = local_actions(text).into_iter().collect();
    let mut seen = Vec::new();
    while let Some(folder) = open.pop() {
        let is_inside = Path::new(&folder).components().all(|part| matches!(part, Component::Normal(_)));
        anyhow::ensure!(
            is_inside,
            "the local action `./{folder}` is not in the repository {}",
            root.display()
        );
        if seen.contains(&folder) {
            continue;
        }
        // The workflow parser reports a missing action.
        if root.join(&folder).is_dir() {
            add_folder(&root, &folder, &mut files)?;
        }
        for name in ["action.yml", "action.yaml"] {
            let text = files.get(&below(&folder, name));
            open.extend(text.into_iter().flat_map(|text| local_actions(text)));
        }
        seen.push(folder);
    }
    Ok(files)
}

/// Joins a folder and a name. The repository's root is the empty folder.
fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Returns the directory above `.github`, or else the workflow's own.
fn repository_root(workflow: &Path) -> PathBuf {
    let absolute = workflow.canonicalize().unwrap_or_else(|_| workflow.to_owned());
    let github = absolute.ancestors().find(|path| path.file_name().is_some_and(|name| name == ".github"));
    let root = github.unwrap_or(&absolute).parent();
    root.unwrap_or(Path::new("/")).to_owned()
}

fn add_folder(root: &Path, folder: &str, files: &mut Files) -> anyhow::Result<()> {
    let at = root.join(folder);
    let failed = |path: &Path| format!("{} of a local action cannot be read", path.display());
    for entry in fs::read_dir(&at).with_context(|| failed(&at))? {
        let entry = entry.with_context(|| failed(&at))?;
        let path = entry.path();
        let name = entry.file_name().into_string().map_err(|_| anyhow!(failed(&path)))?;
        let kind = entry.file_type().with_context(|| failed(&path))?;
        if kind.is_dir() && name != "node_modules" && name != ".git" {
            add_folder(root, &below(folder, &name), files)?;
        } else if kind.is_file() && entry.metadata().is_ok_and(|found| found.len() <= MAX_FILE_BYTES) {
            match fs::read_to_string(&path) {
                Ok(text) => drop(files.insert(below(folder, &name), text)),
                // A binary file, such as an image. Scripts do not need it here.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(error) => return Err(anyhow::Error::from(error).context(failed(&path))),
            }
        }
    }
    Ok(())
}

/// The fake GitHub's refusal of a workflow.
#[derive(Debug, thiserror::Error)]
#[error("the demo cannot run this workflow:\n  {}", messages.join("\n  "))]
struct Refused {
    messages: Vec<String>,
}

/// A refusal in GitHub's format.
#[derive(Deserialize)]
struct Fault {
    message: String,
}

#[derive(Deserialize)]
struct Problems {
    messages: Vec<String>,
}

#[derive(Deserialize)]
struct Submitted {
    run_id: RunId,
}
