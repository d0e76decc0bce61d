//! Thousands of jobs through one server, alone and then beside hostile clients: what these cost the jobs.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use ecsrunner_demo::github::JobPhase;

use crate::testbed::{Running, percentile, say};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Jobs of each run
    #[arg(long, default_value_t = 2_500)]
    jobs: usize,
    /// Hostile clients of the second run
    #[arg(long, default_value_t = 100)]
    clients: usize,
}

/// Jobs that are queued at one time. GitHub does not send thousands of webhooks in one second.
const BATCH: usize = 100;
const LIMIT: Duration = Duration::from_secs(600);
/// Pause of a hostile client between two attempts. Without it, the clients would only share the two cores.
const PAUSE: Duration = Duration::from_millis(50);

struct Figures {
    secs: f64,
    memory_mb: f64,
    files: usize,
    health_ms: f64,
}

pub(crate) async fn run(arguments: &Arguments, executable: &Path) -> anyhow::Result<()> {
    let alone = soak(executable, arguments.jobs, 0).await?;
    let beside = soak(executable, arguments.jobs, arguments.clients).await?;
    say(&format!(
        "beside {} hostile clients: {:.2} × the time, {:.2} × the memory",
        arguments.clients,
        beside.secs / alone.secs,
        beside.memory_mb / alone.memory_mb
    ));
    Ok(())
}

async fn soak(executable: &Path, jobs: usize, clients: usize) -> anyhow::Result<Figures> {
    let running = Running::set_up(executable, &[]).await?;
    let mut hostile = JoinSet::new();
    let address = running.server.url().trim_start_matches("http://").to_owned();
    let token = running.testbed.token()?;
    for n in 0..clients {
        hostile.spawn(attack(n, address.clone(), token.clone()));
    }
    let began = Instant::now();
    let (mut health, mut files) = (Vec::new(), 0);
    for batch in 0..jobs.div_ceil(BATCH) {
        running.submit(BATCH.min(jobs - batch * BATCH), 20).await?;
        let asked = Instant::now();
        running.server.client().get(format!("http://{address}/healthz")).send().await?.error_for_status()?;
        health.push(asked.elapsed().as_secs_f64() * 1000.0);
        files = files.max(running.server_files()?);
        wait_at_github(&running).await?;
    }
    running.wait(LIMIT).await?;
    let secs = began.elapsed().as_secs_f64();
    let memory_mb = running.server_peak_mb()?;
    hostile.shutdown().await;
    let sim = running.sim().await?;
    let right = sim.jobs.iter().filter(|job| job.state == JobPhase::Completed && job.starts == 1).count();
    health.sort_unstable_by(f64::total_cmp);
    let figures = Figures { secs, memory_mb, files, health_ms: percentile(&health, 99) };
    say(&format!(
        "{right} of {jobs} jobs executed once in {secs:.1} s beside {clients} hostile clients; server: {memory_mb:.1} MB \
         and {} files at most, p99 of /healthz {:.1} ms",
        figures.files, figures.health_ms
    ));
    let (left, registrations) = running.strike().await?;
    ensure!(right == jobs, "jobs were lost or executed twice");
    ensure!(left.processes == 0 && left.boot_items == 0 && left.open_records == 0, "left behind: {left:?}");
    ensure!(registrations == 0, "registrations were left behind");
    Ok(figures)
}

/// Waits until every job is completed. The server is not asked: a list of thousands would be its greatest work.
async fn wait_at_github(running: &Running) -> anyhow::Result<()> {
    let until = Instant::now() + LIMIT;
    while !running.sim().await?.jobs.iter().all(|job| job.state == JobPhase::Completed) {
        ensure!(Instant::now() < until, "not every job was done within {} s", LIMIT.as_secs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Attacks until it is ended, each client in one of the ways.
async fn attack(n: usize, address: String, token: String) {
    let long = "x".repeat(16_000);
    let (text, held): (String, bool) = match n % 7 {
        // Nothing at all, a head that never ends, a body that never comes.
        0 => (String::new(), true),
        1 => ("POST /webhook HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_owned(), true),
        2 => ("POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 700000\r\n\r\n{".to_owned(), true),
        // A reader of events that reads nothing.
        3 => (
            format!(
                "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
            ),
            true,
        ),
        4 => (
            format!(
                "GET /api/v1/jobs?limit=500 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {long}\r\n\r\n"
            ),
            false,
        ),
        5 => (
            format!(
                "POST /webhook HTTP/1.1\r\nHost: x\r\nX-GitHub-Delivery: {long}\r\nContent-Length: 2\r\n\r\n{{}}"
            ),
            false,
        ),
        _ => (format!("GET /{long} HTTP/1.1\r\nHost: evil.example\r\n\r\n"), false),
    };
    loop {
        if let Ok(mut stream) = TcpStream::connect(&address).await {
            let _refused = stream.write_all(text.as_bytes()).await;
            let pause = if held { Duration::from_secs(2) } else { PAUSE };
            tokio::time::sleep(pause).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
