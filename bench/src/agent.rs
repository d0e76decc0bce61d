//! A task's agent: the time from its start to the listener's start, and its
//! memory while a job runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::Uri;
use clap::Args;
use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::certificates;
use crate::serve::Server;
use crate::testbed::{percentile, say};

const MB: f64 = 1024.0 * 1024.0;
const LIMIT: Duration = Duration::from_secs(30);
const TASK: &str = "0123456789abcdef0123456789abcdef";
/// The size of GitHub's configuration.
const JIT_CHARS: usize = 4600;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The agent's executable
    #[arg(long, default_value = "target/agent/ecsrunner-agent")]
    agent: PathBuf,
    /// Number of agents, one after the other
    #[arg(long, default_value_t = 50)]
    times: usize,
    /// Directory for the runner and the run's certificate authority
    #[arg(long, default_value = "target/bench/agent")]
    dir: PathBuf,
}

/// The figures of one agent.
struct Start {
    total_ms: f64,
    /// Time with at least one request at a fake.
    fakes_ms: f64,
    memory: Memory,
}

/// Resident memory of a process, in MB.
struct Memory {
    all: f64,
    /// Without the executable's pages, which the kernel can drop.
    anonymous: f64,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(arguments.times > 0, "the agent has to be run at least once");
    let agent = std::path::absolute(&arguments.agent)?;
    ensure!(agent.is_file(), "{} is not there: build it first", agent.display());
    let dir = std::path::absolute(&arguments.dir)?;
    let runner = make_runner(&dir)?;
    let authority = dir.join("authority.pem");
    let lain = Lain::default();
    let tls = certificates::acceptor(&authority)?;
    let table = Server::start(Router::new().fallback(boot_item).with_state(lain.clone()), Some(tls)).await?;
    let ecs = Server::start(Router::new().fallback(of_task).with_state(lain.clone()), None).await?;

    let mut starts = Vec::new();
    for _ in 0..arguments.times {
        let mut command = Command::new(&agent);
        command
            .env_clear()
            .env("ECSRUNNER_BOOT_TABLE", "boot")
            .env("ECSRUNNER_BOOT_ROLE", "AROAEXAMPLE")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_CA_BUNDLE", &authority)
            .env("AWS_ENDPOINT_URL_DYNAMODB", format!("https://{}", table.address()))
            .env("ECS_CONTAINER_METADATA_URI_V4", format!("http://{}/v4/x", ecs.address()))
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://{}/v2/credentials/x", ecs.address()))
            .env("ECSRUNNER_RUNNER_DIR", &runner)
            .env("ECSRUNNER_AGENT_DIR", dir.join("run"));
        starts.push(start(&mut command, &lain).await?);
    }
    report(&agent, &starts)
}

/// Creates a runner whose listener has a job until it is interrupted.
fn make_runner(dir: &Path) -> anyhow::Result<PathBuf> {
    let listener = dir.join("runner/bin/Runner.Listener");
    fs::create_dir_all(dir.join("runner/bin")).with_context(|| format!("cannot make {}", dir.display()))?;
    fs::write(
        &listener,
        "#!/bin/sh\ntrap 'exit 0' INT\necho '2026-11-01 12:00:00Z: Running job: build'\nsleep 60 & wait\n",
    )?;
    fs::set_permissions(&listener, fs::Permissions::from_mode(0o755))?;
    Ok(dir.join("runner"))
}

/// Runs one agent until its listener has a job.
async fn start(command: &mut Command, lain: &Lain) -> anyhow::Result<Start> {
    lain.take();
    let started = Timestamp::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("no pipe")?).lines();
    let mut listening = None;
    let seen = async {
        while let Some(line) = lines.next_line().await? {
            let told: Value = serde_json::from_str(&line).unwrap_or_default();
            match told["message"].as_str() {
                Some("listener started") => listening = told["time"].as_str().and_then(|at| at.parse().ok()),
                Some("job running") => return anyhow::Ok(()),
                Some("agent ended") => break,
                _ => {}
            }
        }
        anyhow::bail!("the agent ended before its job")
    };
    tokio::time::timeout(LIMIT, seen).await.context("the job did not begin in time")??;
    let listening: Timestamp = listening.context("the agent told of no listener")?;
    let fakes_ms = lain.take().as_secs_f64() * 1000.0;
    let memory = memory(&child)?;
    end(&mut child).await?;
    let total_ms = listening.duration_since(started).as_secs_f64() * 1000.0;
    Ok(Start { total_ms, fakes_ms, memory })
}

async fn end(child: &mut Child) -> anyhow::Result<()> {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).context("it has ended")?;
    kill(Pid::from_raw(pid), Signal::SIGTERM)?;
    tokio::time::timeout(LIMIT, child.wait()).await.context("it does not end")??;
    Ok(())
}

fn memory(child: &Child) -> anyhow::Result<Memory> {
    let id = child.id().context("it has ended")?;
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok())
    };
    let mb = |name: &str| Ok::<_, anyhow::Error>(of(name).with_context(|| format!("no {name}"))? / 1024.0);
    Ok(Memory { all: mb("VmRSS:")?, anonymous: mb("RssAnon:")? })
}

fn report(agent: &Path, starts: &[Start]) -> anyhow::Result<()> {
    let sorted = |of: fn(&Start) -> f64| {
        let mut values: Vec<f64> = starts.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let own = sorted(|start| start.total_ms - start.fakes_ms);
    let total = sorted(|start| start.total_ms);
    say(&format!(
        "{} agents, TLS to the boot table, exec → listener spawned: p50 {:.1} ms, p99 {:.1}; without the fakes' own: p50 {:.1}, p99 {:.1}",
        starts.len(),
        percentile(&total, 50),
        percentile(&total, 99),
        percentile(&own, 50),
        percentile(&own, 99)
    ));
    let all = sorted(|start| start.memory.all);
    let anonymous = sorted(|start| start.memory.anonymous);
    say(&format!(
        "resident while supervising: p50 {:.1} MB, of it {:.1} its own",
        percentile(&all, 50),
        percentile(&anonymous, 50)
    ));
    let size = fs::metadata(agent)?.len() as f64 / MB;
    tell("exec → listener beyond the fakes' own", percentile(&own, 50), "ms", 30.0);
    tell("resident while supervising", percentile(&all, 99), "MB", 5.0);
    tell("the executable", size, "MB", 8.0);
    Ok(())
}

fn tell(what: &str, value: f64, unit: &str, most: f64) {
    let verdict = if value <= most { "met" } else { "MISSED" };
    say(&format!("{verdict:>6}  {what}: {value:.1} {unit} (target ≤ {most})"));
}

/// Returns the time with requests at the fakes.
#[derive(Clone, Default)]
struct Lain(Arc<Mutex<Duration>>);

impl Lain {
    fn add(&self, time: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += time;
    }

    fn take(&self) -> Duration {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Fakes DynamoDB's DeleteItem.
async fn boot_item(State(lain): State<Lain>, _body: Bytes) -> String {
    let began = Instant::now();
    let text = |text: &str| json!({"S": text});
    let item = json!({"Attributes": {
        "owner": text(&format!("AROAEXAMPLE:{TASK}")),
        "jit": text(&"j".repeat(JIT_CHARS)),
        "runner": text("ecsr-bench-abcdefg234-01arz3ndektsv4rrffq69g5fav"),
        "policy": text(r#"{"repositories":["acme/*"]}"#),
    }});
    let told = item.to_string();
    lain.add(began.elapsed());
    told
}

/// Fakes ECS's metadata and credentials.
async fn of_task(State(lain): State<Lain>, uri: Uri) -> String {
    let began = Instant::now();
    let told = if uri.path().starts_with("/v4/") {
        json!({"TaskARN": format!("arn:aws:ecs:us-east-1:123456789012:task/bench/{TASK}")})
    } else {
        json!({"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "example", "Token": "t".repeat(1000)})
    };
    let told = told.to_string();
    lain.add(began.elapsed());
    told
}
