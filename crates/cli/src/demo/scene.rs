//! What the demo needs on disk, and who is told what.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ecsrunner_core::id::{Deployment, RunId};
use ecsrunner_local::left::{self, Left};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use super::service::Service;
use crate::arguments::DemoOptions;
use crate::exit::Failure;
use crate::hidden::LISTENER_SUBCOMMAND;

const REPOSITORY: &str = "acme/demo";
const DEPLOYMENT: &str = "demo";
const WORKFLOW: &str = include_str!("workflow.yml");

const CONFIG: &str = r#"version = 1
deployment = "demo"
repositories = ["acme/*"]

[limits]
max_runners = 20
surplus_grace_secs = 5

[github]
token_file = "token"

[webhook]
secret_files = ["webhook-secret"]

[runner]
dir = "actions-runner"
env = ["ECSRUNNER_SIM_EXECUTOR"]

[classes.small]
cpu = 512
memory = 1024

[classes.large]
cpu = 4096
memory = 8192
"#;

/// A directory with everything in it, removed at the end.
#[derive(Debug)]
pub(super) struct Scene {
    dir: TempDir,
    executable: PathBuf,
    webhook_secret: String,
}

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

impl Scene {
    pub(super) fn set() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("ecsrunner-demo-").tempdir()?;
        // As root, each runner has a user of its own, who has to pass through.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o711))?;
        let executable = copy_executable(dir.path())?;
        let webhook_secret = random_word()?;
        write_private(&dir.path().join("webhook-secret"), &webhook_secret)?;
        write_private(&dir.path().join("token"), &random_word()?)?;
        fs::write(dir.path().join("config.toml"), CONFIG)?;
        let bin = dir.path().join("actions-runner/bin");
        fs::create_dir_all(&bin)?;
        let listener = bin.join("Runner.Listener");
        let script = format!("#!/bin/sh\nexec '{}' {LISTENER_SUBCOMMAND} \"$@\"\n", executable.display());
        fs::write(&listener, script)?;
        fs::set_permissions(&listener, Permissions::from_mode(0o755))?;
        Ok(Self { dir, executable, webhook_secret })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The log of a task's agent.
    pub(super) fn agent_log(&self, task: &str) -> PathBuf {
        self.path("state").join("tasks").join(task).join("agent.log")
    }

    pub(super) async fn start_github(&self) -> anyhow::Result<Service> {
        let mut command = tokio::process::Command::new(&self.executable);
        command.args(["demo", "github", "--listen", "127.0.0.1:0", "--token-file"]).arg(self.path("token"));
        Service::start("the fake GitHub", command, &self.path("github.log")).await
    }

    pub(super) async fn start_server(&self, github: &Service) -> anyhow::Result<Service> {
        let mut command = tokio::process::Command::new(&self.executable);
        command
            .args(["local", "up", "--listen", "127.0.0.1:0", "--state"])
            .arg(self.path("state"))
            .arg("--config")
            .arg(self.path("config.toml"))
            .env("GITHUB_API_URL", github.url())
            .env_remove("ECSRUNNER_WEBHOOK_SECRET_FILE");
        Service::start("the server", command, &self.path("server.log")).await
    }

    /// Tells the fake GitHub where webhooks go.
    pub(super) async fn connect(&self, github: &Service, server: &Service) -> anyhow::Result<()> {
        let hook = json!({"url": format!("{}/webhook", server.url()), "secret": self.webhook_secret});
        github.post("/_sim/hook", &hook).await?.error_for_status()?;
        Ok(())
    }

    pub(super) async fn submit(&self, github: &Service, submission: &Submission) -> Result<RunId, Failure> {
        let (path, body) = match submission {
            Submission::Workflow { file, text } => {
                ("/_sim/workflows", json!({"repository": REPOSITORY, "file": file, "text": text}))
            }
            Submission::Jobs(count) => (
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

    /// What the server, which has ended, left behind.
    pub(super) async fn left(&self) -> anyhow::Result<Left> {
        left::count(&self.path("state"), &Deployment::parse(DEPLOYMENT)?).await
    }
}

/// This executable, where any user may execute it.
fn copy_executable(dir: &Path) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("the path of this executable is not known")?;
    if !nix::unistd::geteuid().is_root() {
        return Ok(own);
    }
    let copy = dir.join("ecsrunner");
    if fs::hard_link(&own, &copy).is_err() {
        fs::copy(&own, &copy).context("this executable cannot be copied for the runners")?;
    }
    fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
    Ok(copy)
}

fn random_word() -> anyhow::Result<String> {
    use std::io::Read;
    let mut bytes = [0; 20];
    fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(())
}
