//! Our control plane: the `bootstrap` binary, its configuration, and a job's events through it.
//!
//! Everything that the bench knows of our Lambda's settings is in this file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use ecsrunner_aws::store::Tables;
use ecsrunner_core::id::Deployment;
use serde_json::{Value, json};

use super::calls::{Call, Service};
use super::fakes::{Fakes, LaunchedTask};
use super::function::{Answer, Function};
use super::job::{Action, Job, OWNER, TaskStatus, WEBHOOK_SECRET, task_event};
use super::process::Program;

pub(crate) const DEPLOYMENT: &str = "bench";
/// The task role's unique id, which precedes the task id in a boot item's key.
const BOOT_OWNER: &str = "AROAEXAMPLEEXAMPLE000";
const WEBHOOK_SECRETS: &str = "ecsrunner-bench-webhook";
const GITHUB_SECRET: &str = "ecsrunner-bench-github";

/// The partition of the state table with the open jobs and runners.
const OPEN: &str = "open";

pub(crate) fn tables() -> anyhow::Result<Tables> {
    Ok(Tables::of(&Deployment::parse(DEPLOYMENT)?, BOOT_OWNER))
}

/// Creates the parameters and secrets that Terraform would create.
pub(crate) fn furnish(fakes: &Fakes, app_key: &str) -> anyhow::Result<()> {
    let tables = tables()?;
    // The jobs come faster than the default paces of GitHub and Fargate allow.
    let quick = json!({"burst": 1000, "per_minute": 60_000});
    let parameters = [
        ("classes", json!({"small": {"cpu": 512, "memory": 1024, "default": true}})),
        (
            "settings",
            json!({
                "version": 1, "deployment": DEPLOYMENT, "repositories": [format!("{OWNER}/*")],
                "paces": {"github": quick, "fargate": quick},
            }),
        ),
        (
            "deployment",
            json!({
                "version": 1,
                "state_table": tables.state, "boot_table": tables.boot, "boot_owner": BOOT_OWNER, "boot_owner_exec": BOOT_OWNER,
                "cluster": "arn:aws:ecs:us-east-1:123456789012:cluster/ecsrunner-bench",
                "subnets": ["subnet-0123456789abcdef0"], "security_groups": ["sg-0123456789abcdef0"],
                "assign_public_ip": true,
                "task_definitions": {"default/x64": "ecsrunner-bench-default-x64:1", "default/x64/exec": "ecsrunner-bench-default-x64-exec:1"},
                "queue_url": format!("{}/123456789012/ecsrunner-bench-kicks", fakes.url(Service::Sqs)?),
                "webhook_secret": WEBHOOK_SECRETS, "github_secret": GITHUB_SECRET,
                "log_group": "/ecsrunner/bench/runners", "paused": false,
            }),
        ),
    ];
    let mut world = fakes.world();
    for (name, value) in parameters {
        world.parameters.insert(format!("/ecsrunner/{DEPLOYMENT}/{name}"), value.to_string());
    }
    world.secrets.insert(WEBHOOK_SECRETS.to_owned(), json!([WEBHOOK_SECRET]).to_string());
    world.secrets.insert(
        GITHUB_SECRET.to_owned(),
        json!({"app_id": 1, "installation_id": 2, "private_key": app_key}).to_string(),
    );
    Ok(())
}

/// The `bootstrap` binary with its variables.
pub(crate) fn program(bootstrap: &Path, fakes: &Fakes, authority: &Path) -> anyhow::Result<Program> {
    let authority = authority.display().to_string();
    let mut environment: BTreeMap<String, String> = fakes.endpoints()?;
    for (key, value) in [
        ("ECSRUNNER_DEPLOYMENT", DEPLOYMENT.to_owned()),
        ("GITHUB_API_URL", fakes.url(Service::GitHub)?),
        ("AWS_CA_BUNDLE", authority.clone()),
        ("SSL_CERT_FILE", authority),
    ] {
        environment.insert(key.to_owned(), value);
    }
    Ok(Program { name: "ours", executable: bootstrap.to_owned(), arguments: Vec::new(), environment })
}

pub(crate) async fn reset(fakes: &Fakes) -> anyhow::Result<()> {
    fakes.dynamo.reset(&tables()?).await
}

/// A queued job's webhook; the answer counts only if a task was launched.
pub(crate) async fn launch(function: &mut Function, fakes: &Fakes, job: &Job) -> anyhow::Result<Answer> {
    fakes.world().forget_launch();
    let answer = function.invoke(&job.webhook(Action::Queued).event_bridge()).await?;
    ensure!(fakes.world().task.is_some(), "it launched no task; it answered {}", answer.body);
    ensure!(fakes.world().runner.is_some(), "it asked for no JIT configuration; it answered {}", answer.body);
    Ok(answer)
}

/// All events of a job, in order.
pub(crate) const LIFE: [&str; 5] = ["queued", "task RUNNING", "in_progress", "completed", "task STOPPED"];

/// An event's answer, and its calls.
pub(crate) type Told = (Answer, Vec<Call>);

/// The last launched runner.
pub(crate) struct Runner {
    task: LaunchedTask,
    name: String,
}

impl Runner {
    /// The runner of the last launch; `None` if there was no launch since the previous call.
    pub(crate) fn launched(fakes: &Fakes) -> Option<Self> {
        let mut world = fakes.world();
        let runner = Some(Self { task: world.task.clone()?, name: world.runner.clone()? });
        world.forget_launch();
        runner
    }

    /// The remaining events of its job after the launch.
    pub(crate) async fn serve(
        self,
        function: &mut Function,
        fakes: &Fakes,
        job: &Job,
    ) -> anyhow::Result<Vec<Told>> {
        let mut told = Vec::new();
        let mut tell = async |event: Value| -> anyhow::Result<()> {
            fakes.calls.take();
            let answer = function.invoke(&event).await?;
            told.push((answer, fakes.calls.take()));
            Ok(())
        };
        tell(task_event(&self.task, TaskStatus::Running)).await?;
        // The task's agent takes its boot item before GitHub can give the runner a job.
        fakes.dynamo.clear(&tables()?.boot, "owner").await?;
        tell(job.webhook(Action::InProgress(&self.name)).event_bridge()).await?;
        tell(job.webhook(Action::Completed(&self.name)).event_bridge()).await?;
        tell(task_event(&self.task, TaskStatus::Stopped)).await?;
        Ok(told)
    }
}

/// Sends all events of a job, and returns the result of each event of `LIFE`.
pub(crate) async fn live(function: &mut Function, fakes: &Fakes) -> anyhow::Result<Vec<Told>> {
    let job = Job::new();
    fakes.calls.take();
    let answer = launch(function, fakes, &job).await?;
    let mut told = vec![(answer, fakes.calls.take())];
    let runner = Runner::launched(fakes).context("no runner")?;
    told.extend(runner.serve(function, fakes, &job).await?);
    let mut left = fakes.dynamo.partition(&tables()?.state, OPEN).await?;
    // A bucket's level stays for a day and belongs to no job and no runner.
    left.retain(|item| !item["sk"]["S"].as_str().is_some_and(|sort| sort.starts_with("level#")));
    ensure!(
        left.is_empty(),
        "the job is done and its task has stopped, but there are open records: {left:?}"
    );
    Ok(told)
}
