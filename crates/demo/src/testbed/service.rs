//! A process of the demo that serves HTTP and prints its URL.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long it may take to start, and to end.
const LIMIT: Duration = Duration::from_secs(20);
/// Lines of the log that are shown if it fails.
const TAIL: usize = 8;

/// A process that serves HTTP. It is ended when dropped.
#[derive(Debug)]
pub struct Service {
    name: &'static str,
    child: Child,
    url: String,
    log: PathBuf,
    client: reqwest::Client,
}

impl Service {
    /// Starts the process and waits for its line `listening on URL`.
    pub(super) async fn start(name: &'static str, mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(log)?)
            // Keeps Ctrl-C from the process: the demo ends its services itself.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} could not be started"))?;
        let stdout = child.stdout.take().context("its standard output is not piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(LIMIT, lines.next_line()).await;
        let url = match line {
            Ok(Ok(Some(line))) => line.strip_prefix("listening on ").map(str::to_owned),
            _ => None,
        };
        let Some(url) = url else { bail!("{name} did not start\n{}", tail(log)) };
        let client = reqwest::Client::builder().timeout(LIMIT).no_proxy().build()?;
        Ok(Self { name, child, url, log: log.to_owned(), client })
    }

    /// Adds the token of the server's state directory to all later requests.
    pub(super) fn authorize(&mut self, token: &str) -> anyhow::Result<()> {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))?;
        value.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        self.client =
            reqwest::Client::builder().timeout(LIMIT).no_proxy().default_headers(headers).build()?;
        Ok(())
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns an HTTP client for this process, with a timeout and, if it needs one, its token.
    #[must_use]
    pub fn client(&self) -> reqwest::Client {
        self.client.clone()
    }

    /// Posts JSON.
    ///
    /// # Errors
    ///
    /// Fails if the process does not answer.
    pub async fn post(&self, path: &str, body: &serde_json::Value) -> anyhow::Result<reqwest::Response> {
        let sent = self.client.post(format!("{}{path}", self.url)).json(body).send().await;
        sent.with_context(|| format!("{} did not answer {path}", self.name))
    }

    /// Waits until the process ends, and returns the end of its log.
    pub async fn died(&mut self) -> String {
        let status = self.child.wait().await;
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        format!("{status}\n{}", tail(&self.log))
    }

    /// Returns the process id while the process runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends the process with SIGKILL.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be killed.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Ends the process with SIGTERM.
    ///
    /// # Errors
    ///
    /// Fails if it does not end, or ends with an error.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let pid = self.child.id().with_context(|| format!("{} had ended before", self.name))?;
        kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
        let status = tokio::time::timeout(LIMIT, self.child.wait())
            .await
            .map_err(|_| anyhow!("{} did not end within {} s of SIGTERM", self.name, LIMIT.as_secs()))??;
        if !status.success() {
            bail!("{} ended with {status}\n{}", self.name, tail(&self.log));
        }
        Ok(())
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
