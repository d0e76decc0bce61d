//! A whole deployment on this machine, for the demo and for benchmarks: a
//! directory with configuration, secrets and a listener, and the processes that
//! use it. Printing results does not belong here.

mod service;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use ecsrunner_core::rules::class::{Catalogue, ClassError};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

pub use service::Service;

/// The directory of a deployment, which is removed when dropped.
#[derive(Debug)]
pub struct Testbed {
    dir: TempDir,
    executable: PathBuf,
    webhook_secret: String,
}

/// What executes the jobs of a testbed.
#[derive(Clone, Copy, Debug)]
pub enum Runner<'a> {
    /// The stand-in: `ecsrunner` with this subcommand.
    StandIn(&'a str),
    /// GitHub's official runner, unpacked in this directory (an absolute path).
    Official(&'a Path),
}

/// The name of the deployment.
pub const DEPLOYMENT: &str = "demo";
/// Labels of jobs that the class `small` serves: those of GitHub's Linux runners, and a bare `self-hosted`.
pub const LABELS: [&str; 6] =
    ["self-hosted", "ubuntu-latest", "ubuntu-24.04", "ubuntu-22.04", "ubuntu-20.04", "ubuntu-slim"];
/// The classes: name, CPU units, and memory in MiB.
const CLASSES: [(&str, u32, u32); 2] = [("small", 512, 1024), ("large", 4096, 8192)];
/// A repository that may use it.
pub const REPOSITORY: &str = "acme/demo";

/// How many runners a testbed's server may have, and what it tells their jobs.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    pub max_runners: u32,
    /// How many tasks of the class `small` it keeps warm.
    pub warm: u32,
    /// Whether each job's summary gets a note about its runner.
    pub job_summary: bool,
    /// Whether jobs may be those of a public repository. The server takes them as root only.
    pub public_repositories: bool,
}

/// Whether a testbed's server can take jobs of public repositories: as root each job has a user of its own.
#[must_use]
pub fn takes_public_repositories() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Returns every mistake in labels that are to be mapped to classes of a testbed.
#[must_use]
pub fn mistakes_in_labels(labels: &BTreeMap<String, String>) -> Vec<ClassError> {
    let entries = CLASSES.map(|(name, cpu, memory)| (name.to_owned(), json!({"cpu": cpu, "memory": memory})));
    let entries =
        entries.into_iter().filter_map(|(name, entry)| Some((name, serde_json::from_value(entry).ok()?)));
    Catalogue::read(&entries.collect()).0.map_labels(labels)
}

impl Testbed {
    /// Creates the directory and its files. `executable` is `ecsrunner`. `labels` and
    /// [`LABELS`] are mapped to classes.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be written.
    pub fn set_up(
        executable: &Path,
        runner: Runner<'_>,
        capacity: Capacity,
        labels: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("ecsrunner-").tempdir()?;
        // As root, each runner has its own user, and the official listener
        // lists each directory above its own.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
        let executable = reachable(executable, dir.path())?;
        let webhook_secret = random_word()?;
        write_private(&dir.path().join("webhook-secret"), &webhook_secret)?;
        write_private(&dir.path().join("token"), &random_word()?)?;
        let runner_dir = match runner {
            Runner::Official(dir) => dir.to_owned(),
            Runner::StandIn(subcommand) => stand_in(&executable, subcommand, dir.path())?,
        };
        let runner_dir = runner_dir.to_str().context("the runner's directory is not UTF-8")?;
        write_private(&dir.path().join("config.toml"), &config(runner_dir, capacity, labels))?;
        Ok(Self { dir, executable, webhook_secret })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns the path of a file or directory in the testbed's directory, which runners can reach.
    #[must_use]
    pub fn inside(&self, name: &str) -> PathBuf {
        self.path(name)
    }

    /// Returns the server's state directory.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Returns the path of the log of a task's agent.
    #[must_use]
    pub fn agent_log(&self, task: &str) -> PathBuf {
        self.state().join("tasks").join(task).join("agent.log")
    }

    /// Starts the fake GitHub.
    ///
    /// # Errors
    ///
    /// Fails if it does not serve.
    pub async fn start_github(&self) -> anyhow::Result<Service> {
        let mut command = Command::new(&self.executable);
        command.args(["demo", "github", "--listen", "127.0.0.1:0", "--token-file"]).arg(self.path("token"));
        Service::start("the fake GitHub", command, &self.path("github.log")).await
    }

    /// Starts the server, on the state of an earlier one if there was one. `listen` is
    /// its address, with port 0 for any free port. `flags` are more flags of `local up`.
    ///
    /// # Errors
    ///
    /// Fails if it does not serve.
    pub async fn start_server(
        &self,
        github: &Service,
        listen: &str,
        flags: &[&str],
    ) -> anyhow::Result<Service> {
        let mut command = Command::new(&self.executable);
        command
            .args(["local", "up", "--listen", listen, "--state"])
            .arg(self.state())
            .arg("--config")
            .arg(self.path("config.toml"))
            .args(flags)
            .env("GITHUB_API_URL", github.url())
            .env_remove("ECSRUNNER_WEBHOOK_SECRET_FILE");
        let mut server = Service::start("the server", command, &self.path("server.log")).await?;
        server.authorize(&self.token()?)?;
        Ok(server)
    }

    /// Returns the token that the server's API requires.
    ///
    /// # Errors
    ///
    /// Fails if no server has been started.
    pub fn token(&self) -> anyhow::Result<String> {
        #[derive(Deserialize)]
        struct Attachment {
            token: String,
        }
        let file = self.state().join("server.json");
        let text = fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let attachment: Attachment =
            serde_json::from_slice(&text).context("the server's token cannot be read")?;
        Ok(attachment.token)
    }

    /// Sets the URL to which the fake GitHub sends webhooks.
    ///
    /// # Errors
    ///
    /// Fails if the fake does not answer.
    pub async fn connect(&self, github: &Service, server: &Service) -> anyhow::Result<()> {
        let hook = json!({"url": format!("{}/webhook", server.url()), "secret": self.webhook_secret});
        github.post("/_sim/hook", &hook).await?.error_for_status()?;
        Ok(())
    }
}

/// Makes a directory like that of an unpacked runner, with the stand-in as its listener.
fn stand_in(executable: &Path, subcommand: &str, dir: &Path) -> anyhow::Result<PathBuf> {
    let runner_dir = dir.join("actions-runner");
    let bin = runner_dir.join("bin");
    fs::create_dir_all(&bin)?;
    let listener = bin.join("Runner.Listener");
    fs::write(&listener, format!("#!/bin/sh\nexec '{}' {subcommand} \"$@\"\n", executable.display()))?;
    fs::set_permissions(&listener, Permissions::from_mode(0o755))?;
    Ok(runner_dir)
}

fn config(runner_dir: &str, capacity: Capacity, labels: &[(String, String)]) -> String {
    let Capacity { max_runners, warm, job_summary, public_repositories } = capacity;
    let classes = CLASSES.map(|(name, cpu, memory)| {
        let is_warm = warm > 0 && name == "small";
        let warmth = if is_warm { format!("warm = {{ count = {warm} }}\n") } else { String::new() };
        format!("[classes.{name}]\ncpu = {cpu}\nmemory = {memory}\n{warmth}\n")
    });
    let mut mapped: BTreeMap<String, String> =
        LABELS.iter().map(|label| ((*label).to_owned(), "small".to_owned())).collect();
    mapped.extend(labels.iter().cloned());
    let mapped: String = mapped.iter().map(|(label, class)| format!("{label:?} = {class:?}\n")).collect();
    format!(
        r#"version = 1
deployment = "{DEPLOYMENT}"
repositories = ["{REPOSITORY}"]
# What runs here is the operator's own, whichever event it is told to be of.
forks = true
public_repositories = {public_repositories}
check_runs = {public_repositories}
job_summary = {job_summary}

[limits]
max_runners = {max_runners}
max_warm = {warm}
surplus_grace_secs = 5

# Neither the fake GitHub nor this machine has a limit of its own.
[paces]
github = {{ burst = 1000, per_minute = 60000 }}
fargate = {{ burst = 1000, per_minute = 60000 }}

[github]
token_file = "token"

[webhook]
secret_files = ["webhook-secret"]

[runner]
dir = {runner_dir:?}
env = ["ECSRUNNER_SIM_EXECUTOR", "ECSRUNNER_SIM_TIME_SCALE"]

[labels]
{mapped}
{}"#,
        classes.concat()
    )
}

/// Returns a path at which any user may execute the executable. As root, it is one that only root can change.
fn reachable(executable: &Path, dir: &Path) -> anyhow::Result<PathBuf> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(executable.to_owned());
    }
    let copy = dir.join("ecsrunner");
    let is_roots = fs::metadata(executable).is_ok_and(|found| found.uid() == 0 && found.mode() & 0o022 == 0);
    if !is_roots || fs::hard_link(executable, &copy).is_err() {
        fs::copy(executable, &copy).context("this executable cannot be copied for the runners")?;
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
