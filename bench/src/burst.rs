//! 250 jobs at once with a limit of 20 runners. Each is queued twice, and the
//! other webhooks come late and in random order. Optionally kills the server.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;

use ecsrunner_api::runner::RunnerView;
use ecsrunner_core::records::runner::EndingKind;
use ecsrunner_demo::github::JobPhase;

use crate::testbed::{MAX_RUNNERS, Running, percentile, say};

const JOBS: usize = 250;
const LIMIT: Duration = Duration::from_secs(100);

pub(crate) async fn run(executable: &Path, kills: u32) -> anyhow::Result<()> {
    // GitHub's webhooks to a stopped server are lost, so the server polls for missed jobs.
    let flags: &[&str] = if kills > 0 { &["--poll"] } else { &[] };
    let mut running = Running::set_up(executable, flags).await?;
    let census = Census::begin(running.testbed.state());
    running.faults(json!({"webhooks": {"hold": true, "duplicates": 1}})).await?;
    running.submit(JOBS, 20).await?;
    let began = Instant::now();
    let late = json!({"webhooks": {"hold": false, "delay_ms": 300}});
    running.github.post("/_sim/webhooks/release", &json!({"shuffle": true})).await?.error_for_status()?;
    running.faults(late).await?;
    let mut peak = 0.0_f64;
    for kill in 0..kills {
        // Random times within the duration of the jobs.
        let pause = 100 + u64::from(std::process::id().wrapping_mul(kill + 7) % 900);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        peak = peak.max(running.server_peak_mb()?);
        let address = running.server.url().trim_start_matches("http://").to_owned();
        running.server.kill().await?;
        running.server = running.testbed.start_server(&running.github, &address, flags).await?;
        say(&format!("killed and started again after {:.1} s", began.elapsed().as_secs_f64()));
    }
    running.wait(LIMIT).await?;
    let took = began.elapsed().as_secs_f64();
    peak = peak.max(running.server_peak_mb()?);
    let most = census.end();
    let lost = report(&running, kills, took, peak, most).await?;
    let (left, registrations) = running.strike().await?;
    say(&format!("left: {left:?}, {registrations} registrations"));
    ensure!(
        left.processes == 0 && left.boot_items == 0 && left.open_records == 0,
        "something was left behind"
    );
    ensure!(registrations == 0, "registrations were left behind");
    ensure!(lost.is_none(), "{}", lost.unwrap_or_default());
    Ok(())
}

async fn report(
    running: &Running,
    kills: u32,
    took: f64,
    peak: f64,
    most: usize,
) -> anyhow::Result<Option<String>> {
    let sim = running.sim().await?;
    let completed = sim.jobs.iter().filter(|job| job.state == JobPhase::Completed).count();
    let twice = sim.jobs.iter().filter(|job| job.starts != 1).count();
    let mut answers: HashMap<Option<u16>, usize> = HashMap::new();
    for delivery in running.deliveries().await? {
        *answers.entry(delivery.status_code).or_default() += 1;
    }
    let runners = running.runners().await?;
    let mut endings: HashMap<&str, usize> = HashMap::new();
    for runner in &runners {
        *endings.entry(runner.ending.map_or("", EndingKind::as_str)).or_default() += 1;
    }
    let waits = running.webhook_to_agent_ms().await?;
    let order = out_of_order(&runners);
    say(&format!("{completed} of {JOBS} jobs completed in {took:.1} s, {twice} not started exactly once"));
    say(&format!(
        "at most {most} agents at once (limit {MAX_RUNNERS}); {} runners, by ending: {endings:?}",
        runners.len()
    ));
    say(&format!("answers to webhooks: {answers:?}"));
    say(&format!("launches out of order: {order}"));
    say(&format!("server memory: {peak:.1} MB at most"));
    say(&format!("webhook → agent, the wait for a place included: p50 {:.0} ms", percentile(&waits, 50)));
    let all_answered = kills > 0 || answers.keys().all(|code| *code == Some(202));
    let right = completed == JOBS && twice == 0 && most <= MAX_RUNNERS as usize && all_answered;
    Ok((!right).then(|| "the run was not right".to_owned()))
}

/// Counts launches that came after one for a younger job, although their own
/// job was known by then. Younger jobs have higher ids.
fn out_of_order(runners: &[RunnerView]) -> usize {
    let mut launches: Vec<_> = runners
        .iter()
        .filter_map(|runner| Some((runner.timeline.first()?.at, runner.launched_for)))
        .collect();
    launches.sort_unstable();
    launches.windows(2).filter(|pair| pair[0].1 > pair[1].1 && pair[0].0 != pair[1].0).count()
}

/// Counts the agents of a state directory continuously, from the kernel's process list.
struct Census {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicUsize>,
    counting: std::thread::JoinHandle<()>,
}

impl Census {
    fn begin(state: PathBuf) -> Self {
        let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, highest) = (Arc::clone(&stop), Arc::clone(&most));
        let counting = std::thread::spawn(move || {
            let tasks = state.join("tasks").display().to_string();
            while !stopped.load(Ordering::Relaxed) {
                highest.fetch_max(agents(&tasks), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { stop, most, counting }
    }

    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        // The thread does not panic, so its count is valid.
        let _counted = self.counting.join();
        self.most.load(Ordering::Relaxed)
    }
}

/// Counts tasks that have a process. An agent and the fork that has not yet
/// become its listener are one task.
fn agents(tasks: &str) -> usize {
    let dirs: HashSet<String> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter_map(|cmdline| {
            let cmdline = String::from_utf8_lossy(&cmdline);
            let mut arguments = cmdline.split('\0').skip(1);
            let is_task = arguments.next() == Some("local-task");
            arguments.next().filter(|dir| is_task && dir.starts_with(tasks)).map(str::to_owned)
        })
        .collect();
    dirs.len()
}
