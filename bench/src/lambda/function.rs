//! A function: a process and its Runtime API.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::body::Bytes;
use serde_json::Value;

use super::process::{Process, Program};
use super::runtime_api::{Happened, RuntimeApi, TIMEOUT};
use super::share::{Cgroups, Share};

#[derive(Debug)]
pub(crate) struct Function {
    api: RuntimeApi,
    process: Process,
    /// From the process's start to its first request for an event.
    pub(crate) init: Duration,
}

/// The answer to an event.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Value,
    /// When the answer arrived.
    pub(crate) at: Instant,
    /// The time since the event was sent.
    pub(crate) latency: Duration,
    /// The time from the event until the function asked for the next one.
    pub(crate) cpu: Duration,
}

impl Function {
    /// Starts the program and waits until it asks for an event.
    pub(crate) async fn start(
        program: &Program,
        share: Share,
        cgroups: Option<&Cgroups>,
        logs: &Path,
    ) -> anyhow::Result<Self> {
        let api = RuntimeApi::start().await?;
        let mut program = program.clone();
        lambda_environment(&mut program, &api, share);
        let group = if share.needs_cgroups() {
            Some(cgroups.context("there are no control groups")?.group()?)
        } else {
            None
        };
        if let (Some(group), Share::Memory(mb)) = (&group, share) {
            group.limit(mb)?;
        }
        let process = Process::start(&program, group, logs).await?;
        let mut function = Self { api, process, init: Duration::ZERO };
        match function.happened().await? {
            Happened::Asked => {}
            other => bail!("{}: {other:?} before it asked for an event", program.name),
        }
        function.init = function.process.started().elapsed();
        if let Share::MemoryAfterInit(mb) = share {
            function.process.limit(mb)?;
        }
        Ok(function)
    }

    /// Sends an event, and waits for the answer and for the function's request for the next event.
    pub(crate) async fn invoke(&mut self, event: &Value) -> anyhow::Result<Answer> {
        let cpu_before = self.process.cpu()?;
        self.api.give(event).await?;
        let mut handed = None;
        let mut answered: Option<(Instant, Bytes)> = None;
        loop {
            match self.happened().await? {
                Happened::Handed(at) => handed = Some(at),
                Happened::Answered(at, body) => answered = Some((at, body)),
                Happened::Asked => break,
                Happened::Failed(error) => {
                    bail!(
                        "it told an error: {}\n{}",
                        String::from_utf8_lossy(&error),
                        self.process.last_words()
                    )
                }
            }
        }
        let (at, body) = answered.context("it asked for another event without an answer")?;
        let handed = handed.context("it answered before the event")?;
        Ok(Answer {
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
            at,
            latency: at.saturating_duration_since(handed),
            cpu: self.process.cpu()?.saturating_sub(cpu_before),
        })
    }

    async fn happened(&mut self) -> anyhow::Result<Happened> {
        let happened = tokio::select! {
            happened = tokio::time::timeout(TIMEOUT, self.api.happened()) =>
                happened.context("nothing happened in time").and_then(|happened| happened),
            ended = self.process.ended() => Err(ended),
        };
        happened.map_err(|error| error.context(self.process.last_words()))
    }

    pub(crate) fn started(&self) -> Instant {
        self.process.started()
    }

    /// CPU time since the start.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        self.process.cpu()
    }

    pub(crate) fn peak_rss_mb(&self) -> anyhow::Result<f64> {
        self.process.peak_rss_mb()
    }

    pub(crate) async fn end(self) -> anyhow::Result<()> {
        self.process.end().await
    }
}

/// The variables that Lambda sets.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
fn lambda_environment(program: &mut Program, api: &RuntimeApi, share: Share) {
    let name = format!("bench-{}", program.name);
    let own = [
        ("AWS_LAMBDA_RUNTIME_API", api.address().to_string()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", share.memory_mb().to_string()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}")),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "bench".to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", name),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "example".to_owned()),
        // Has the length of Lambda's own.
        ("AWS_SESSION_TOKEN", "t".repeat(1000)),
        ("LANG", "en_US.UTF-8".to_owned()),
        ("PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin".to_owned()),
        ("TZ", ":UTC".to_owned()),
    ];
    for (key, value) in own {
        program.environment.insert(key.to_owned(), value);
    }
}
