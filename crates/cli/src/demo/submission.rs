//! What the demo runs.

use std::fs;

use anyhow::Context;
use ecsrunner_core::id::RunId;
use ecsrunner_sim::scene::{REPOSITORY, Service};
use serde::Deserialize;
use serde_json::json;

use crate::arguments::DemoOptions;
use crate::exit::Failure;

const WORKFLOW: &str = include_str!("workflow.yml");

/// What is to be run.
#[derive(Debug)]
pub(super) enum Submission {
    /// A workflow file.
    Workflow { file: String, text: String },
    /// So many short jobs.
    Jobs(u32),
}

impl Submission {
    pub(super) fn of(options: &DemoOptions) -> Result<Self, Failure> {
        if let Some(count) = options.jobs {
            return Ok(Self::Jobs(count));
        }
        let Some(path) = &options.workflow else {
            return Ok(Self::Workflow {
                file: ".github/workflows/demo.yml".to_owned(),
                text: WORKFLOW.to_owned(),
            });
        };
        let text = fs::read_to_string(path)
            .with_context(|| format!("the workflow file {} cannot be read", path.display()))
            .map_err(Failure::usage)?;
        Ok(Self::Workflow { file: path.display().to_string(), text })
    }

    /// Submits it to the fake GitHub.
    pub(super) async fn submit(&self, github: &Service) -> Result<RunId, Failure> {
        let (path, body) = match self {
            Self::Workflow { file, text } => {
                ("/_sim/workflows", json!({"repository": REPOSITORY, "file": file, "text": text}))
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
            return Err(Failure::usage(Refused { messages })
                .hint("steps with `run:`, `env`, `needs` and a static `matrix` are what the demo executes"));
        }
        let Submitted { run_id } = answer.error_for_status()?.json().await?;
        Ok(run_id)
    }
}

/// The fake GitHub's refusal of a workflow.
#[derive(Debug, thiserror::Error)]
#[error("the demo cannot run this workflow:\n  {}", messages.join("\n  "))]
struct Refused {
    messages: Vec<String>,
}

#[derive(Deserialize)]
struct Problems {
    messages: Vec<String>,
}

#[derive(Deserialize)]
struct Submitted {
    run_id: RunId,
}
