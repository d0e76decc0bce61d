//! The workflow or the jobs that the demo runs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use ecsrunner_core::id::RunId;
use ecsrunner_demo::testbed::{REPOSITORY, Service};
use ecsrunner_demo::workflow::{CHECKOUT, Executor, Files, local_uses, remote_uses};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::actions::{self, Place};
use super::advice::advice;
use super::changes::Changes;
use super::files;
use super::progress::Progress;
use super::repository::{self, Checkout};
use crate::arguments::{DemoOptions, Pair};
use crate::exit::Failure;

const WORKFLOW: &str = include_str!("workflow.yml");
/// The API that has the actions of `--online`.
const GITHUB: &str = "https://api.github.com";

#[derive(Debug)]
pub(super) enum Submission {
    Workflow(Box<Workflow>),
    /// The number of short jobs.
    Jobs(u32),
}

/// A workflow file with everything that it uses.
#[derive(Debug)]
pub(super) struct Workflow {
    file: String,
    text: String,
    /// The folder of its repository; `None` for the built-in workflow.
    root: Option<PathBuf>,
    files: Files,
    actions: Vec<actions::Found>,
    payload: Map<String, Value>,
    executor: Executor,
}

impl Submission {
    pub(super) fn of(options: &DemoOptions) -> Result<Self, Failure> {
        if let Some(count) = options.jobs {
            return Ok(Self::Jobs(count));
        }
        let executor = if options.runner_dir.is_some() { Executor::Official } else { Executor::StandIn };
        let Some(path) = &options.workflow else {
            return Ok(Self::Workflow(Box::new(Workflow {
                file: ".github/workflows/demo.yml".to_owned(),
                text: WORKFLOW.to_owned(),
                root: None,
                files: Files::new(),
                actions: Vec::new(),
                payload: Map::new(),
                executor,
            })));
        };
        let text = fs::read_to_string(path)
            .with_context(|| format!("the workflow file {} cannot be read", path.display()))
            .map_err(Failure::usage)?;
        let root = files::repository_root(path);
        Ok(Self::Workflow(Box::new(Workflow {
            file: files::path_in(&root, path),
            files: files::used_by(&root, &text).map_err(Failure::usage)?,
            actions: given_actions(options).map_err(Failure::usage)?,
            payload: options
                .payload
                .as_deref()
                .map(payload)
                .transpose()
                .map_err(Failure::usage)?
                .unwrap_or_default(),
            text,
            root: Some(root),
            executor,
        })))
    }

    /// Whether the event says that its repository is public.
    pub(super) fn is_of_a_public_repository(&self) -> bool {
        let Self::Workflow(workflow) = self else { return false };
        workflow.payload.get("repository").is_some_and(|repository| repository["private"] == false)
    }

    /// Makes the Git directory from which jobs check out the repository, if they can.
    pub(super) fn checkout(&self, options: &DemoOptions, into: &Path) -> Result<Option<Checkout>, Failure> {
        let Self::Workflow(workflow) = self else { return Ok(None) };
        let Some(root) = &workflow.root else { return Ok(None) };
        // A folder that is no repository is only copied where it is needed.
        if !repository::is_top_level(root) && !workflow.checks_out() {
            return Ok(None);
        }
        Ok(repository::prepare(root, into, options.branch.as_deref(), options.base.as_deref())?)
    }

    /// Submits it to the fake GitHub, and shows its notes.
    pub(super) async fn submit(
        &self,
        github: &Service,
        options: &DemoOptions,
        checkout: Option<&Checkout>,
        progress: &Progress,
    ) -> Result<RunId, Failure> {
        let (path, body) = match self {
            Self::Workflow(workflow) => {
                workflow.give_actions(github).await?;
                if let Some(checkout) = checkout {
                    let body = json!({"repository": REPOSITORY, "directory": checkout.directory});
                    github.post("/_sim/git", &body).await?.error_for_status()?;
                }
                if options.online {
                    github.post("/_sim/upstream", &json!({"url": GITHUB})).await?.error_for_status()?;
                }
                ("/_sim/workflows", workflow.body(options, checkout)?)
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
            let (root, can_do_more) = match self {
                Self::Workflow(workflow) => {
                    (workflow.root.as_deref(), workflow.executor == Executor::StandIn)
                }
                Self::Jobs(_) => (None, false),
            };
            let hint = advice(&messages, root, can_do_more);
            return Err(Failure::usage(Refused { messages }).hint(hint));
        }
        let Submitted { run_id, notes } = answer.error_for_status()?.json().await?;
        notes.iter().for_each(|note| progress.say(&format!("note: {note}")));
        Ok(run_id)
    }
}

impl Workflow {
    fn checks_out(&self) -> bool {
        std::iter::once(&self.text).chain(self.files.values()).any(|text| {
            let checkout = remote_uses(text).iter().any(|action| action.split('@').next() == Some(CHECKOUT));
            checkout || text.contains("$/") && !local_uses(text).is_empty()
        })
    }

    async fn give_actions(&self, github: &Service) -> Result<(), Failure> {
        for found in &self.actions {
            let body = match &found.at {
                Place::Directory(directory) => json!({"action": found.action, "directory": directory}),
                Place::Archive(archive) => json!({"action": found.action, "archive": archive}),
            };
            let answer = github.post("/_sim/actions", &body).await?;
            if answer.status() == reqwest::StatusCode::UNPROCESSABLE_ENTITY {
                let Fault { message } = answer.json().await?;
                return Err(Failure::usage(anyhow!(message)));
            }
            answer.error_for_status()?;
        }
        Ok(())
    }

    fn body(&self, options: &DemoOptions, checkout: Option<&Checkout>) -> anyhow::Result<Value> {
        let pairs = |pairs: &[Pair]| -> Vec<(String, String)> {
            pairs.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect()
        };
        let secrets: Vec<(&str, &str)> = options
            .secret
            .iter()
            .map(|secret| (secret.name.as_str(), secret.value.expose_secret()))
            .collect();
        let branch = checkout.map(|checkout| checkout.branch.as_str()).or(options.branch.as_deref());
        let changes = match &options.changed[..] {
            [] => Changes::of_event(checkout, &options.event, &self.payload)?,
            named => Changes::named(named.iter().map(|file| file.0.clone()).collect()),
        };
        Ok(json!({
            "repository": REPOSITORY,
            "file": self.file,
            "text": self.text,
            "actions": self.files,
            "executor": self.executor,
            "event": options.event,
            "payload": self.payload,
            "head_branch": branch.unwrap_or("main"),
            "head_sha": checkout.map(|checkout| &checkout.sha),
            "commit": checkout.map(|checkout| &checkout.commit),
            "node24": options.runner_dir.as_ref().is_some_and(|runner| runner.join("externals/node24").is_dir()),
            "default_branch": checkout.map(|checkout| &checkout.default_branch),
            "base_branch": options.base,
            "base_sha": checkout.and_then(|checkout| checkout.base.as_ref()).map(|(_, sha)| sha),
            "tag": options.tag,
            "changes": changes,
            "inputs": pairs(&options.input),
            "vars": options.var.iter().map(|var| (&var.name, &var.value)).collect::<Vec<_>>(),
            "secrets": secrets,
        }))
    }
}

/// Returns the actions of `--action` and `--actions`. One that is named itself goes before.
fn given_actions(options: &DemoOptions) -> anyhow::Result<Vec<actions::Found>> {
    let mut all = Vec::new();
    if let Some(directory) = &options.actions {
        let directory = directory.canonicalize().with_context(|| {
            format!("the directory {} of `--actions` cannot be read", directory.display())
        })?;
        all.extend(actions::list(&directory)?);
    }
    for given in &options.action {
        let directory = given.directory.canonicalize().with_context(|| {
            format!("the directory {} of `{}` cannot be read", given.directory.display(), given.action)
        })?;
        all.push(actions::Found { action: given.action.clone(), at: Place::Directory(directory) });
    }
    Ok(all)
}

/// Reads the file of `--payload`.
fn payload(file: &Path) -> anyhow::Result<Map<String, Value>> {
    let text =
        fs::read_to_string(file).with_context(|| format!("the payload {} cannot be read", file.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("the payload {} is not a JSON object", file.display()))
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
    /// What has no effect in the workflow, each with its place.
    #[serde(default)]
    notes: Vec<String>,
}
