//! An operator's command line on the deployment in ministack.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{SystemTime, UNIX_EPOCH};

use ecsrunner_core::wire::exit::AgentExit;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::aws::{ACCESS_KEY, LOGS, REGION, SSM};
use crate::chain::Chain;
use crate::deployment::{CLUSTER, DEPLOYMENT, FUNCTION, QUESTIONS, SUBNETS};
use crate::eventually;
use crate::life;

const LOG_GROUP: &str = "/ecsrunner/chain/runners";
pub(crate) const BRAKE: &str = "/ecsrunner/chain/paused";
/// A stand-in for AWS's plugin. It writes down its arguments, executes the
/// command that the fake's token repeats, and always exits with 0.
const PLUGIN: &str = "#!/bin/sh\n\
    [ \"$1\" = --version ] && exit 0\n\
    for argument; do printf '%s\\n' \"$argument\"; done >\"$0.arguments\"\n\
    eval \"printf '%s' \\\"\\$$1\\\"\" >\"$0.session\"\n\
    command=$(sed 's/.*\"tokenValue\":\"[^:]*: \\(.*\\)\".*/\\1/; s/\\\\\\(.\\)/\\1/g' \"$0.session\")\n\
    eval \"$command\"\n\
    exit 0\n";

pub(crate) async fn an_operator_sees_a_runner_and_enters_it(chain: &Chain) {
    let queued = chain.github.queue_job().await;
    let task = chain.task().await;
    let runner = chain.boot(&task).await;
    let name = runner.name.clone();
    let job = runner.begin(chain).await;
    assert_eq!(job, queued.job, "the only runner gets the only job");
    let (job, end) = (job.get().to_string(), &name[name.len() - 8..]);
    eventually("a busy runner", async || {
        let runners = document(chain, &["runners", "list", "--state", "busy"]).await;
        (runners["runners"][0]["name"] == name).then_some(())
    })
    .await;
    let why = document(chain, &["why", &job]).await;
    assert_eq!((&why["job"]["state"], &why["runners"][0]["name"]), (&json!("in_progress"), &json!(name)));

    // The limits, and the task's state in ECS.
    let status = document(chain, &["cluster", "status"]).await;
    assert_eq!(
        (&status["cluster"]["name"], &status["cluster"]["status"]),
        (&json!(CLUSTER), &json!("ACTIVE"))
    );
    let group = &status["runners"][0];
    assert_eq!((&group["state"], &group["task_status"]), (&json!("busy"), &json!("RUNNING")), "{status}");
    assert_eq!(status["limits"][0]["in_use"], 1.0, "{status}");
    assert_eq!(
        (&why["github"]["status"], &why["tasks"][0]["last_status"]),
        (&json!("in_progress"), &json!("RUNNING"))
    );

    // Enter the task through the plugin. Only the command's output and exit code are passed on.
    let bin = plugin(&chain.setting.dir);
    let entered =
        run(chain, &["runners", "exec", end, "--", "sh", "-c", "echo it is; exit 7"], Some(&bin)).await;
    assert_eq!(entered.status.code(), Some(7), "{entered:?}");
    assert_eq!(String::from_utf8(entered.stdout).unwrap(), "it is\n");
    let told =
        |what: &str| std::fs::read_to_string(bin.join(format!("session-manager-plugin.{what}"))).unwrap();
    let variable = "AWS_SSM_START_SESSION_RESPONSE_ECSRUNNER";
    let target = json!({"Target": format!("ecs:{CLUSTER}_{0}_{0}-runner", task.id)}).to_string();
    let expected = [variable, REGION, "StartSession", "", &target, chain.ecs.url()].join("\n");
    assert_eq!(told("arguments").trim_end(), expected);
    let session: Value = serde_json::from_str(&told("session")).unwrap();
    let token = session["tokenValue"].as_str().unwrap();
    assert!(token.contains("echo it is; exit 7"), "the command is the one that was given: {token}");
    chain.keep_secret("the token of a session", token);

    chain.aws.call(LOGS, "CreateLogGroup", json!({"logGroupName": LOG_GROUP})).await;
    log(chain, &task.id, &["the agent begins", "the job begins"]).await;
    assert_eq!(told_by(chain, &["runners", "logs", end]).await, "the agent begins\nthe job begins\n");

    let left_alone = run(chain, &["runners", "stop", &name], None).await;
    let words = String::from_utf8(left_alone.stderr).unwrap();
    assert_eq!(left_alone.status.code(), Some(1));
    assert!(words.contains(&format!("{name} runs job {job} and was not stopped")), "{words}");

    runner.complete().await;
    chain.exit(&runner.task, AgentExit::Completed);
    chain.at_rest().await;
    life::is_history(chain, &name, queued).await;
    let runs = document(chain, &["runs", "list", "--runner-id", end]).await;
    assert_eq!(
        (&runs["runs"][0]["job"], &runs["runs"][0]["conclusion"]),
        (&json!(queued.job.get()), &json!("success"))
    );
    assert!(runs["runs"][0]["cost_usd"].as_f64().unwrap() > 0.0, "{runs}");
    let stopped = told_by(chain, &["runners", "stop", &name]).await;
    assert_eq!(stopped, format!("{name} is already gone\n"));
    let outside = run(chain, &["runners", "exec", end], Some(&bin)).await;
    let words = String::from_utf8(outside.stderr).unwrap();
    assert_eq!(outside.status.code(), Some(255));
    assert!(words.contains("not RUNNING") && words.contains("only a running task has a shell"), "{words}");
    let uninstalled = run(chain, &["runners", "exec", end], Some(Path::new("/nonexistent"))).await;
    let words = String::from_utf8(uninstalled.stderr).unwrap();
    assert!(
        words.contains("`session-manager-plugin` is not installed") && words.contains("https://docs.aws")
    );
}

/// No job is queued here. The engine's tests cover how a dispatcher obeys the pause.
pub(crate) async fn the_brake_is_pulled_and_released(chain: &Chain) {
    let brake = async || {
        let parameter = chain.aws.call(SSM, "GetParameter", json!({"Name": BRAKE})).await;
        parameter["Parameter"]["Value"].as_str().unwrap().to_owned()
    };
    let told = told_by(chain, &["pause"]).await;
    assert!(told.starts_with("deployment chain stops launching runners"), "{told}");
    assert_eq!(brake().await, "true");
    let told = told_by(chain, &["drain"]).await;
    assert!(told.ends_with("retired runners: 0; busy runners, which end after their jobs: 0\n"));
    let told = told_by(chain, &["resume"]).await;
    assert!(told.starts_with("deployment chain resumes launching runners"), "{told}");
    assert_eq!(brake().await, "false");
}

pub(crate) async fn an_operator_is_told_what_is_missing(chain: &Chain) {
    let missing = command(chain).args(["jobs", "list", "--deployment", "nowhere"]).output().await.unwrap();
    let words = String::from_utf8(missing.stderr).unwrap();
    assert_eq!(missing.status.code(), Some(4), "{words}");
    assert!(words.contains(&format!("there is no deployment `nowhere` in {REGION}")), "{words}");
    let unknown = "https://github.com/acme/app/actions/runs/1/job/4711";
    let nobody = run(chain, &["why", unknown], None).await;
    let words = String::from_utf8(nobody.stderr).unwrap();
    assert_eq!(nobody.status.code(), Some(4), "{words}");
    assert!(words.contains("neither deployment chain nor GitHub knows job 4711 of acme/app"), "{words}");
    let classes = document(chain, &["list-class-sizes"]).await;
    assert_eq!(classes["classes"][0]["name"], "small");
}

/// Compares GitHub's deliveries with the records, and checks every part of the deployment.
pub(crate) async fn an_operator_looks_for_what_is_wrong(chain: &Chain) {
    let deliveries = document(chain, &["deliveries", "list", "--all"]).await;
    let deliveries = deliveries["deliveries"].as_array().unwrap();
    assert!(deliveries.iter().any(|one| one["recorded"] == true), "{deliveries:?}");
    let letters = &chain.queues.events_dead;
    chain.aws.send_messages(letters, &["{}"]).await;
    let told = run(chain, &["doctor", "--json"], None).await;
    assert_eq!(chain.aws.take_messages(letters).await, ["{}"]);
    let doctor: Value = serde_json::from_slice(&told.stdout).unwrap();
    let state = |name: &str| {
        let checks = doctor["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name);
        check.unwrap_or_else(|| panic!("no {name} in {doctor}"))["state"].as_str().unwrap().to_owned()
    };
    let parts = ["parameters", "records", "sweep", "cluster", "kicks", "webhook secret", "GitHub App"];
    for part in parts {
        assert_eq!(state(part), "ok", "{part}: {doctor}");
    }
    assert_eq!(state("image"), "unknown", "nothing says which runner is the newest: {doctor}");
    assert_eq!(state("exec"), "warning", "a class that allows ECS Exec is named: {doctor}");
    assert_eq!(state("webhook-sources"), "failed", "a list that GitHub's has outgrown is noticed: {doctor}");
    assert_eq!(state("network"), "failed", "a subnet that EC2 does not know is named: {doctor}");
    let found = doctor["checks"].to_string();
    assert!(found.contains(&format!("The subnet ID '{}' does not exist", SUBNETS[0])), "{found}");
    assert!(found.contains("GitHub's list of 2026-08-29 lacks 2606:50c0::/32"), "{found}");
    assert!(found.contains("ecsrunner-chain-events-dead has 1 that could not be handled"), "{found}");
}

/// The function that has GitHub's credentials answers questions, and does nothing else for who may invoke it.
pub(crate) async fn an_operator_asks_github_without_its_credentials(chain: &Chain) {
    let without_secrets = async |arguments: &[&str]| {
        let mut command = command(chain);
        command.env("ECSRUNNER_DEPLOYMENT", DEPLOYMENT);
        command.env("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:9").args(arguments);
        command.output().await.unwrap()
    };
    let told = without_secrets(&["deliveries", "list", "--all", "--json"]).await;
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let listed: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert!(listed["deliveries"].as_array().is_some_and(|listed| !listed.is_empty()), "{listed}");
    let unknown = without_secrets(&["why", "https://github.com/acme/app/actions/runs/1/job/4711"]).await;
    let words = String::from_utf8(unknown.stderr).unwrap();
    assert!(words.contains("neither deployment chain nor GitHub knows job 4711 of acme/app"), "{words}");
    let redelivered = without_secrets(&["deliveries", "redeliver", "1"]).await;
    assert_eq!(redelivered.status.code(), Some(1), "it changes something, so it needs the credentials");

    let invoke = async |function: &str, payload: Value| {
        let failed = chain.aws.invoke(function, &payload).await.err()?;
        Some(failed["errorMessage"].as_str().unwrap_or_default().to_owned())
    };
    let question = json!({"ask": {"asker": "app", "path": "app"}});
    let refused = invoke(FUNCTION, question.clone()).await;
    assert!(
        refused.is_some_and(|words| words.starts_with("the payload is neither")),
        "no control plane answers"
    );
    assert_eq!(invoke(QUESTIONS, question).await, None);
    let refused = invoke(QUESTIONS, json!({"sweep": {}})).await;
    assert!(refused.is_some_and(|words| words.starts_with("the payload is no question")));
    let token = json!({"ask": {"asker": "app", "path": "app/installations/1/access_tokens"}});
    let refused = invoke(QUESTIONS, token).await;
    assert!(refused.is_some_and(|words| words.contains("may not be read through a deployment")));
}

pub(crate) fn command(chain: &Chain) -> Command {
    let mut command = Command::new(&chain.setting.command_line);
    command
        .env_clear()
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", ACCESS_KEY)
        .env("AWS_ENDPOINT_URL", chain.aws.url())
        .env("AWS_ENDPOINT_URL_ECS", chain.ecs.url())
        .env("GITHUB_API_URL", chain.github.url());
    command
}

async fn run(chain: &Chain, arguments: &[&str], path: Option<&Path>) -> Output {
    let mut command = command(chain);
    if let Some(path) = path {
        command.env("PATH", format!("{}:/usr/bin:/bin", path.display()));
    }
    command.env("ECSRUNNER_DEPLOYMENT", DEPLOYMENT).args(arguments).output().await.unwrap()
}

/// Runs a command, which has to succeed, and returns its output.
async fn told_by(chain: &Chain, arguments: &[&str]) -> String {
    let output = run(chain, arguments, None).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) async fn document(chain: &Chain, arguments: &[&str]) -> Value {
    let text = told_by(chain, &[arguments, &["--json"]].concat()).await;
    serde_json::from_str(&text).unwrap()
}

/// Returns what `doctor` finds, healthy or not.
pub(crate) async fn checks(chain: &Chain) -> Vec<Value> {
    let told = run(chain, &["doctor", "--json"], None).await;
    let doctor: Value = serde_json::from_slice(&told.stdout).unwrap();
    doctor["checks"].as_array().unwrap().clone()
}

/// Makes a directory with the stand-in for the plugin.
fn plugin(dir: &Path) -> PathBuf {
    let bin = dir.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let file = bin.join("session-manager-plugin");
    std::fs::write(&file, PLUGIN).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    bin
}

/// Writes a task's log in the form of the `awslogs` driver. The log group has to exist.
pub(crate) async fn log(chain: &Chain, task: &str, lines: &[&str]) {
    let stream = format!("runner/runner/{task}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let events: Vec<Value> = lines.iter().map(|line| json!({"timestamp": now, "message": line})).collect();
    chain
        .aws
        .call(LOGS, "CreateLogStream", json!({"logGroupName": LOG_GROUP, "logStreamName": stream}))
        .await;
    let input = json!({"logGroupName": LOG_GROUP, "logStreamName": stream, "logEvents": events});
    chain.aws.call(LOGS, "PutLogEvents", input).await;
}
