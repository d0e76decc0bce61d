//! Runs a real task container: the image's agent, the stand-in for the official
//! listener, and the endpoints that ECS gives a container.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use ecsrunner_world::ecs::TaskView;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::aws::{ACCESS_KEY, ACCOUNT, REGION};
use crate::chain::Chain;
use crate::deployment::CLUSTER;
use crate::eventually;
use crate::exit_records;
use crate::life;

/// The credentials of the task's role. ministack does not check them.
const SECRET_ACCESS_KEY: &str = "secret access key of the task's role";
const SESSION_TOKEN: &str = "session token of the task's role";

/// The programs that `cargo xtask test chain` names.
pub(crate) struct Programs {
    /// `ecsrunner-agent`
    pub(crate) agent: PathBuf,
    /// `stand-in-listener`
    pub(crate) listener: PathBuf,
}

pub(crate) async fn the_images_agent_executes_a_job(chain: &Chain) {
    chain.keep_secret("the task role's secret", SECRET_ACCESS_KEY);
    chain.keep_secret("the task role's session", SESSION_TOKEN);
    let queued = chain.github.queue_job().await;
    let task = chain.task().await;
    let item = eventually("a boot item", async || chain.boot_items().await.pop()).await;
    chain.keep_secret("the configuration of an agent's runner", item["jit"]["S"].as_str().unwrap());
    let code = run(chain, &task).await;
    assert_eq!(code, Some(0), "see agent.log");
    chain.ecs.with(|ecs, now| ecs.exit(&task.id, 0, now)).unwrap();
    chain.at_rest().await;
    let runner = &task.environment["ECSRUNNER_RUNNER"];
    life::is_history(chain, runner, queued).await;
    exit_records::the_log_of_the_task_explains_its_jobs_wait(chain, &task, runner).await;
}

/// Runs a task's container to its end, with the environment from RunTask and ECS.
async fn run(chain: &Chain, task: &TaskView) -> Option<i32> {
    eventually("a running container", async || {
        let now = chain.ecs.with(|ecs, _| ecs.task(&task.id)).unwrap();
        now.has_container.then_some(())
    })
    .await;
    let endpoints = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", endpoints.local_addr().unwrap());
    let arn = format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task/{CLUSTER}/{}", task.id);
    let serving = tokio::spawn(serve(endpoints, arn));

    let runner = unpacked(&chain.setting.dir, &chain.setting.programs.listener);
    let log = std::fs::File::create(chain.setting.dir.join("logs/agent.log")).unwrap();
    let status = Command::new(&chain.setting.programs.agent)
        .env_clear()
        .envs(&task.environment)
        .env("AWS_REGION", REGION)
        .env("AWS_ENDPOINT_URL_DYNAMODB", chain.aws.url())
        .env("ECS_CONTAINER_METADATA_URI_V4", format!("{url}/v4/container"))
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{url}/v2/credentials/of-the-task"))
        .env("ECSRUNNER_RUNNER_DIR", &runner)
        .env("ECSRUNNER_AGENT_DIR", runner.with_file_name("agent"))
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .status()
        .await
        .unwrap();
    serving.abort();
    status.code()
}

/// Makes a runner's directory that holds only the listener.
fn unpacked(dir: &Path, listener: &Path) -> PathBuf {
    let runner = dir.join("task/runner");
    // Remove the files of an earlier run.
    drop(std::fs::remove_dir_all(dir.join("task")));
    std::fs::create_dir_all(runner.join("bin")).unwrap();
    std::fs::copy(listener, runner.join("bin/Runner.Listener")).unwrap();
    runner
}

/// Serves the task's metadata and its role's credentials.
async fn serve(listener: TcpListener, arn: String) {
    while let Ok((stream, _)) = listener.accept().await {
        // A client that has disconnected needs no answer.
        let _ = answer(stream, &arn).await;
    }
}

async fn answer(mut stream: TcpStream, arn: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(&mut stream).lines();
    let first = lines.next_line().await?.unwrap_or_default();
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    let body = if first.starts_with("GET /v4/container/task ") {
        json!({"Cluster": CLUSTER, "TaskARN": arn})
    } else {
        json!({"AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_ACCESS_KEY, "Token": SESSION_TOKEN})
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await
}
