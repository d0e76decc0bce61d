//! `ecsrunner ui` on a long history: the time until the page shows its list, without the network's, and what DynamoDB
//! reads in an hour.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use ecsrunner_aws::store::DynamoStore;
use ecsrunner_core::records::change::Change;
use ecsrunner_engine::ports::store::{Store, Transaction};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::lambda::calls::{Call, Service, fakes_own};
use crate::lambda::fakes::Fakes;
use crate::lambda::ours;
use crate::records::{self, Pair};
use crate::testbed::{percentile, say};

/// The time span of the records.
const DAYS: i64 = 30;
/// Pairs of a job and a runner per transaction, which has at most 100 writes: each record needs two.
const AT_ONCE: u64 = 25;
/// How long reads are counted.
const COUNTED: Duration = Duration::from_secs(60);
const TARGET_MS: f64 = 1000.0;
/// Times the page in a browser, and prints one JSON line.
const SCRIPT: &str = "crates/web/page/test/first-paint.mjs";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Records of history: jobs and runners, half of each
    #[arg(long, default_value_t = 10_000)]
    records: u64,
    /// Open jobs, each with its runner
    #[arg(long, default_value_t = 50)]
    open: u64,
    /// Number of runs
    #[arg(long, default_value_t = 5)]
    times: usize,
    /// Delay before each answer of the fakes, in milliseconds
    #[arg(long, default_value_t = 20)]
    latency_ms: u64,
    /// `node_modules` with playwright-core: a browser loads the page (CHROMIUM names it)
    #[arg(long, value_name = "DIR")]
    browser: Option<PathBuf>,
    /// Keep the page open until Ctrl-C, and print its address
    #[arg(long)]
    stay: bool,
}

pub(crate) async fn run(arguments: &Arguments, ecsrunner: &Path) -> anyhow::Result<()> {
    let fakes = Fakes::start(None, Duration::from_millis(arguments.latency_ms)).await?;
    ours::furnish(&fakes, "no key is used")?;
    ours::reset(&fakes).await?;
    let classes = json!({
        "small": {"cpu": 512, "memory": 1024, "default": true}, "large": {"cpu": 4096, "memory": 8192},
    });
    fakes.world().parameters.insert(format!("/ecsrunner/{}/classes", ours::DEPLOYMENT), classes.to_string());
    let store = DynamoStore::embedded(fakes.dynamo.clone(), ours::tables()?);
    fill(&store, arguments.records / 2).await?;
    let ui = Ui::start(&fakes, ecsrunner).await?;
    if !arguments.stay {
        say("while nothing is open:");
        count(&fakes, &ui).await?;
    }
    open(&store, arguments.open).await?;
    if arguments.stay {
        say(&ui.url);
        tokio::signal::ctrl_c().await?;
        return ui.end().await;
    }
    say(&format!("while {} jobs and their runners are open:", arguments.open));
    count(&fakes, &ui).await?;
    if let Some(modules) = &arguments.browser {
        paint(&fakes, &ui, modules, arguments).await?;
    }
    ui.end().await
}

/// The page, served by the executable.
struct Ui {
    process: Child,
    /// With the token.
    url: String,
}

impl Ui {
    async fn start(fakes: &Fakes, ecsrunner: &Path) -> anyhow::Result<Self> {
        let mut process = Command::new(ecsrunner)
            .args(["ui", "--no-browser", "--quiet"])
            .env_clear()
            .envs(fakes.endpoints()?)
            .env("ECSRUNNER_DEPLOYMENT", ours::DEPLOYMENT)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "example")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().context("it has no standard output")?;
        let mut url = String::new();
        BufReader::new(stdout).read_line(&mut url).await?;
        ensure!(url.starts_with("http://127.0.0.1:"), "it printed `{url}` instead of its address");
        Ok(Self { process, url: url.trim().to_owned() })
    }

    async fn end(mut self) -> anyhow::Result<()> {
        Ok(self.process.kill().await?)
    }

    /// Opens the stream of events, as the page does while it is seen.
    async fn listen(&self) -> anyhow::Result<TcpStream> {
        let (address, token) = self.url.split_once("/#token=").context("the address has no token")?;
        let host = address.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).await?;
        let request =
            format!("GET /api/v1/events HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = [0; 4096];
        let read = stream.read(&mut head).await?;
        let head = String::from_utf8_lossy(&head[..read]);
        ensure!(head.starts_with("HTTP/1.1 200"), "the events were refused: {head}");
        Ok(stream)
    }
}

/// Counts what is read while one page is open and seen, and that nothing is read once it is not.
async fn count(fakes: &Fakes, ui: &Ui) -> anyhow::Result<()> {
    let stream = ui.listen().await?;
    fakes.calls.take();
    tokio::time::sleep(COUNTED).await;
    let calls = fakes.calls.take();
    drop(stream);
    let reads: Vec<&Call> = calls.iter().filter(|call| call.service == Service::DynamoDb).collect();
    let per_hour = 3600.0 / COUNTED.as_secs_f64();
    let requests = reads.len() as f64 * per_hour;
    let units = reads.iter().map(|call| call.units.read).sum::<f64>() * per_hour;
    let others = (calls.len() - reads.len()) as f64 * per_hour;
    say(&format!(
        "   {requests:.0} requests with {units:.0} read units an hour, and {others:.0} requests of other services"
    ));
    // The server notices the end of a stream when it next writes to it.
    tokio::time::sleep(Duration::from_secs(20)).await;
    fakes.calls.take();
    tokio::time::sleep(COUNTED).await;
    let left = fakes.calls.take().len();
    ensure!(left == 0, "{left} requests were made though no page was open");
    Ok(())
}

/// What the browser measured, in milliseconds since navigation began.
#[derive(Deserialize)]
struct Painted {
    first_contentful_paint: f64,
    list: f64,
}

async fn paint(fakes: &Fakes, ui: &Ui, modules: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let (mut beyond, mut whole, mut first) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..arguments.times.max(1) {
        fakes.calls.take();
        let output = Command::new("node")
            .arg(SCRIPT)
            .env("NODE_PATH", std::path::absolute(modules)?)
            .env("ECSRUNNER_LOCAL", &ui.url)
            .output()
            .await?;
        let ended = Instant::now();
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let painted: Painted = serde_json::from_slice(&output.stdout)?;
        let calls = fakes.calls.take();
        // The calls before the list is shown: the first page of each list, and the first reading for events.
        let until =
            calls.first().map_or(ended, |call| call.began + Duration::from_secs_f64(painted.list / 1e3));
        let network = fakes_own(&calls, until).as_secs_f64() * 1e3;
        whole.push(painted.list);
        first.push(painted.first_contentful_paint);
        beyond.push(painted.list - network);
    }
    for values in [&mut beyond, &mut whole, &mut first] {
        values.sort_unstable_by(f64::total_cmp);
    }
    let [beyond, whole, first] = [&beyond, &whole, &first].map(|values| percentile(values, 50));
    say(&format!(
        "{} records of {DAYS} days, each answer {} ms late: first paint after {first:.0} ms, the list after {whole:.0} ms",
        arguments.records, arguments.latency_ms
    ));
    let met = if beyond <= TARGET_MS { "met   " } else { "MISSED" };
    say(&format!("   {met} the list, beyond the network: {beyond:.0} ms (target ≤ {TARGET_MS:.0})"));
    Ok(())
}

async fn fill(store: &DynamoStore, pairs: u64) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let apart = SignedDuration::from_hours(24 * DAYS) / i32::try_from(pairs.max(1))?;
    let mut written = 0;
    while written < pairs {
        let until = (written + AT_ONCE).min(pairs);
        let mut changes = Vec::new();
        for number in written..until {
            let pair = Pair { number: number + 1, at: now - apart * i32::try_from(number)? };
            changes.push(Change::JobEnded(pair.ended_job()?));
            changes.push(Change::RunnerGone(Box::new(pair.gone_runner()?)));
        }
        store.commit(Transaction::of(&changes)).await.context("a record was not written")?;
        written = until;
    }
    Ok(())
}

async fn open(store: &DynamoStore, open: u64) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let mut changes =
        vec![Change::Hold(records::no_capacity(now)?), Change::Image(Box::new(records::image(now)?))];
    for number in 0..open {
        let pair = Pair { number: 1_000_000 + number, at: now };
        if number % 5 == 0 {
            changes.push(Change::Job(pair.queued_job()?));
            if number == 0 {
                changes.push(Change::Hold(pair.hold()?));
            }
        } else {
            changes.push(Change::Job(pair.running_job()?));
            changes.push(Change::Runner(pair.busy_runner()?));
        }
    }
    for part in changes.chunks(40) {
        store.commit(Transaction::of(part)).await.context("an open record was not written")?;
    }
    Ok(())
}
