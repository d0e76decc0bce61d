//! The peer, `@cloudsnorkel/cdk-github-runners`: its published handlers, as they are in its npm package.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::calls::Service;
use super::fakes::Fakes;
use super::function::{Answer, Function};
use super::job::{Action, Job, WEBHOOK_SECRET};
use super::process::Program;

const PACKAGE: &str = "node_modules/@cloudsnorkel/cdk-github-runners";
const SECRETS: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:";
const STATE_MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:RunnerOrchestrator";

/// Marks a complete installation: a copy of the lock file, written last.
const STAMP: &str = "installed";

/// The peer's packages, and their Node version.
#[derive(Debug)]
pub(crate) struct Peer {
    dir: PathBuf,
    node: PathBuf,
    pub(crate) node_version: String,
}

/// The peer's functions that take part in a successful job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Handler {
    /// GitHub calls it for every webhook.
    Webhook,
    /// The state machine calls it before it starts the task.
    Token,
    /// A queue calls it ten minutes later, to see whether the runner is idle.
    Reaper,
}

impl Handler {
    pub(crate) const ALL: [Self; 3] = [Self::Webhook, Self::Token, Self::Reaper];

    const fn asset(self) -> &'static str {
        match self {
            Self::Webhook => "webhook-handler.lambda",
            Self::Token => "token-retriever.lambda",
            // The peer's own spelling.
            Self::Reaper => "idle-runner-repear.lambda",
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Webhook => "peer-webhook",
            Self::Token => "peer-token",
            Self::Reaper => "peer-reaper",
        }
    }
}

impl Peer {
    /// Installs the pinned packages below `target/`, once per lock file.
    pub(crate) fn install(source: &Path, dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        for name in ["package.json", "package-lock.json", ".npmrc", "bootstrap.cjs"] {
            let from = source.join(name);
            fs::copy(&from, dir.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        let lock = fs::read(dir.join("package-lock.json"))?;
        if fs::read(dir.join(STAMP)).ok().as_ref() != Some(&lock) {
            let mut npm = Command::new("npm");
            npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
            let status = npm.current_dir(dir).status().context("npm cannot be started")?;
            ensure!(status.success(), "npm could not install the peer: {status}");
            fs::write(dir.join(STAMP), &lock)?;
        }
        let dir = std::path::absolute(dir)?;
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
        let node = dir.join(format!("node_modules/node-linux-{arch}/bin/node"));
        let version = Command::new(&node).arg("--version").output();
        let version = version.with_context(|| format!("{} does not run", node.display()))?;
        Ok(Self { dir, node, node_version: String::from_utf8_lossy(&version.stdout).trim().to_owned() })
    }

    pub(crate) fn bundle(&self, handler: Handler) -> PathBuf {
        self.dir.join(PACKAGE).join("assets").join(handler.asset()).join("index.js")
    }

    /// Returns Node with a handler, and the variables that the peer's stack sets.
    pub(crate) fn program(
        &self,
        handler: Handler,
        fakes: &Fakes,
        authority: &Path,
    ) -> anyhow::Result<Program> {
        let bundle = self.bundle(handler);
        let root = bundle.parent().context("a bundle has a directory")?;
        let labels = json!([{"provider": "bench/fargate", "labels": ["class:small"]}]);
        let mut environment: BTreeMap<String, String> = fakes.endpoints()?;
        for (key, value) in [
            ("LAMBDA_TASK_ROOT", root.display().to_string()),
            ("_HANDLER", "index.handler".to_owned()),
            ("AWS_NODEJS_CONNECTION_REUSE_ENABLED", "1".to_owned()),
            ("WEBHOOK_SECRET_ARN", format!("{SECRETS}webhook")),
            ("GITHUB_SECRET_ARN", format!("{SECRETS}github")),
            ("GITHUB_PRIVATE_KEY_SECRET_ARN", format!("{SECRETS}github-key")),
            ("STEP_FUNCTION_ARN", STATE_MACHINE.to_owned()),
            ("SUPPORTED_LABELS", labels.to_string()),
            ("REQUIRE_SELF_HOSTED_LABEL", "1".to_owned()),
            ("NODE_EXTRA_CA_CERTS", authority.display().to_string()),
            ("BENCH_PLAIN_HTTP", u8::from(fakes.scheme == "http").to_string()),
        ] {
            environment.insert(key.to_owned(), value);
        }
        let arguments = vec![self.dir.join("bootstrap.cjs")];
        Ok(Program { name: handler.name(), executable: self.node.clone(), arguments, environment })
    }
}

/// Creates the secrets that the peer's stack and its setup page would create.
pub(crate) fn furnish(fakes: &Fakes, app_key: &str) -> anyhow::Result<()> {
    let github = json!({"domain": fakes.host(Service::GitHub)?, "appId": 1, "personalAuthToken": "", "runnerLevel": "repo"});
    let mut world = fakes.world();
    world.secrets.insert(format!("{SECRETS}webhook"), json!({"webhookSecret": WEBHOOK_SECRET}).to_string());
    world.secrets.insert(format!("{SECRETS}github"), github.to_string());
    world.secrets.insert(format!("{SECRETS}github-key"), app_key.to_owned());
    Ok(())
}

/// Sends a webhook. Only that of a queued job starts the state machine.
pub(crate) async fn webhook(function: &mut Function, action: Action<'_>) -> anyhow::Result<Answer> {
    let answer = function.invoke(&Job::new().webhook(action).function_url()).await?;
    let expected = if let Action::Queued = action { 202 } else { 200 };
    let status = answer.body.get("statusCode").and_then(Value::as_u64);
    ensure!(status == Some(expected), "the peer's webhook function answered {}", answer.body);
    Ok(answer)
}

/// The first step of the state machine that the webhook function started.
pub(crate) async fn token(function: &mut Function, fakes: &Fakes) -> anyhow::Result<Answer> {
    let input = fakes.world().execution_input.clone().context("the peer started no execution")?;
    let answer = function.invoke(&serde_json::from_str(&input)?).await?;
    let token = answer.body.get("token").and_then(Value::as_str);
    ensure!(
        token.is_some_and(|token| !token.is_empty()),
        "the peer's token function answered {}",
        answer.body
    );
    Ok(answer)
}

/// The message that the state machine queued, ten minutes later.
pub(crate) async fn reaper(function: &mut Function) -> anyhow::Result<Answer> {
    let body = json!({
        "executionArn": STATE_MACHINE.replace(":stateMachine:", ":execution:") + ":bench", "runnerName": "bench",
        "owner": "acme", "repo": "app", "installationId": 2, "maxIdleSeconds": 300,
    });
    let record =
        json!({"messageId": "1", "body": body.to_string(), "eventSource": "aws:sqs", "attributes": {}});
    let answer = function.invoke(&json!({"Records": [record]})).await?;
    let failures = answer.body.get("batchItemFailures").and_then(Value::as_array);
    ensure!(failures.is_some_and(Vec::is_empty), "the peer's reaper answered {}", answer.body);
    Ok(answer)
}
