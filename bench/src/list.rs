//! `ecsrunner runners list` on a long history: its time without the network's.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use ecsrunner_aws::store::DynamoStore;
use ecsrunner_core::id::{ClassName, Deployment, JobId, PoolId, Repository, RunnerName, TaskId, Version};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::runner::{EndedRunner, EndingKind, RunnerFacts, RunnerStage, Served};
use ecsrunner_core::records::timeline::Timeline;
use ecsrunner_core::rules::class::size::{Arch, Size};
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::rules::placement::Placement;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_engine::ports::store::{Store, Transaction};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::lambda::calls::{Call, fakes_own};
use crate::lambda::fakes::Fakes;
use crate::lambda::ours;
use crate::testbed::{percentile, say};

/// The time span of the records.
const HOURS: i64 = 24;
/// Records per transaction, which has at most 100 writes: each record needs two.
const AT_ONCE: u64 = 50;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Runners in history
    #[arg(long, default_value_t = 10_000)]
    records: u64,
    /// Number of runs
    #[arg(long, default_value_t = 5)]
    times: usize,
    /// Delay before each answer of the fakes, in milliseconds
    #[arg(long, default_value_t = 20)]
    latency_ms: u64,
}

/// One run, in milliseconds.
struct Run {
    whole: f64,
    /// Time with at least one request at the fakes.
    network: f64,
    /// Time of all requests, one after the other.
    in_turn: f64,
    calls: usize,
}

pub(crate) async fn run(arguments: &Arguments, ecsrunner: &Path) -> anyhow::Result<()> {
    let fakes = Fakes::start(None, Duration::from_millis(arguments.latency_ms)).await?;
    ours::furnish(&fakes, "no key is used")?;
    ours::reset(&fakes).await?;
    fill(&fakes, arguments.records).await?;
    say(&format!(
        "{} runners of the last {HOURS} h, each answer {} ms late",
        arguments.records, arguments.latency_ms
    ));
    let since = format!("{}h", HOURS + 1);
    let all = ["runners", "list", "--json", "--limit", "1000000", "--since", &since];
    let usual = ["runners", "list", "--json"];
    for (name, command, expected) in
        [("all of them", &all[..], arguments.records), ("the latest 100", &usual[..], 100)]
    {
        let mut runs = Vec::new();
        for _ in 0..arguments.times.max(1) {
            runs.push(list(&fakes, ecsrunner, command, expected).await?);
        }
        tell(name, &runs);
    }
    Ok(())
}

fn tell(name: &str, runs: &[Run]) {
    let median = |of: fn(&Run) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        percentile(&values, 50)
    };
    let beyond = median(|run| run.whole - run.network);
    let (whole, network, in_turn) =
        (median(|run| run.whole), median(|run| run.network), median(|run| run.in_turn));
    let calls = runs.first().map_or(0, |run| run.calls);
    say(&format!(
        "{name}: {whole:.0} ms, {beyond:.0} of them beyond the network; {calls} calls, {:.1} × faster than one \
         after the other ({in_turn:.0} ms of network)",
        (beyond + in_turn) / whole
    ));
    say(&format!("   network: {network:.0} ms"));
    if name == "all of them" {
        let met = if beyond <= 1000.0 { "met   " } else { "MISSED" };
        say(&format!("   {met} beyond the network: {beyond:.0} ms (target ≤ 1000)"));
    }
}

async fn list(fakes: &Fakes, ecsrunner: &Path, command: &[&str], expected: u64) -> anyhow::Result<Run> {
    fakes.calls.take();
    let began = Instant::now();
    let output = tokio::process::Command::new(ecsrunner)
        .args(command)
        .env_clear()
        .envs(fakes.endpoints()?)
        .env("ECSRUNNER_DEPLOYMENT", ours::DEPLOYMENT)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "example")
        .stdin(Stdio::null())
        .output()
        .await?;
    let whole = began.elapsed();
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "it failed: {words}");
    let document: Value = serde_json::from_slice(&output.stdout)?;
    let listed = document["runners"].as_array().map_or(0, Vec::len) as u64;
    ensure!(listed == expected, "{listed} runners are listed, not {expected}; it said: {words}");
    let calls: Vec<Call> = fakes.calls.take();
    let in_turn: Duration = calls.iter().map(|call| call.ended.duration_since(call.began)).sum();
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    Ok(Run {
        whole: ms(whole),
        network: ms(fakes_own(&calls, Instant::now())),
        in_turn: ms(in_turn),
        calls: calls.len(),
    })
}

async fn fill(fakes: &Fakes, records: u64) -> anyhow::Result<()> {
    let store = DynamoStore::embedded(fakes.dynamo.clone(), ours::tables()?);
    let now = Timestamp::now();
    let apart = SignedDuration::from_hours(HOURS) / i32::try_from(records.max(1))?;
    let mut written = 0;
    while written < records {
        let until = (written + AT_ONCE).min(records);
        let changes = (written..until).map(|number| {
            let ended = now - apart * i32::try_from(number)?;
            Ok(Change::RunnerGone(Box::new(gone(number, ended)?)))
        });
        let changes: Vec<Change> = changes.collect::<anyhow::Result<_>>()?;
        store.commit(Transaction::of(&changes)).await.context("a record was not written")?;
        written = until;
    }
    Ok(())
}

fn gone(number: u64, ended: Timestamp) -> anyhow::Result<EndedRunner> {
    let pool = PoolId::parse("abcdefghij")?;
    let repository = Repository::parse("acme/app")?;
    let before = |secs| ended - SignedDuration::from_secs(secs);
    let mut timeline = Timeline::begin(RunnerStage::Reserved, before(90));
    for (stage, secs) in [
        (RunnerStage::Starting, 89),
        (RunnerStage::Booted, 60),
        (RunnerStage::Busy, 58),
        (RunnerStage::Ending, 2),
        (RunnerStage::Gone, 0),
    ] {
        timeline.push(stage, before(secs));
    }
    Ok(EndedRunner {
        times: ecsrunner_core::records::times::Times::default(),
        facts: RunnerFacts {
            name: RunnerName::new(&Deployment::parse(ours::DEPLOYMENT)?, &pool, &format!("{number:026}"))?,
            class: ClassName::parse("small")?,
            size: Size::new(512, 1024, None, Arch::X64)?,
            pool,
            scope: Scope::Repository(repository.clone()),
            labels: Labels::new(["self-hosted", "class:small"]),
            repository,
            launched_for: JobId::new(number),
            max_job_minutes: 360,
            wait_limits: None,
            image: None,
            exec: true,
            fails: false,
            warm: None,
        },
        version: Version::FIRST,
        timeline,
        kind: EndingKind::Completed,
        note: None,
        served: Served::Job(JobId::new(number)),
        placement: Placement::fargate(Market::OnDemand, None),
        task: Some(TaskId::parse(&format!("{number:032x}"))?),
        stopped_at: Some(before(2)),
        cost_usd: Some(0.0005),
    })
}
