//! The time from a job's webhook to its start, with a warm task and without, in turns.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use crate::testbed::{Running, percentile, say};

const TURNS: usize = 3;
const JOBS: usize = 20;
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) async fn run(executable: &Path) -> anyhow::Result<()> {
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        cold.extend(waits(executable, 0).await?);
        warm.extend(waits(executable, 1).await?);
    }
    let medians = [(&mut cold, "cold"), (&mut warm, "warm")].map(|(waits, what)| {
        waits.sort_unstable_by(f64::total_cmp);
        let [p50, p90, p99] = [50, 90, 99].map(|percent| percentile(waits, percent));
        say(&format!(
            "queued → in progress, {what}: p50 {p50:.1} ms, p90 {p90:.1} ms, p99 {p99:.1} ms, of {} jobs",
            waits.len()
        ));
        p50
    });
    say(&format!("warm / cold, p50: {:.2}", medians[1] / medians[0]));
    Ok(())
}

/// Runs jobs one after another, each when as many tasks are warm as there should be.
async fn waits(executable: &Path, warm: u32) -> anyhow::Result<Vec<f64>> {
    let running = Running::set_up_warm(executable, &[], warm).await?;
    for done in 1..=JOBS {
        running.wait_for_warm(usize::try_from(warm)?, LIMIT).await?;
        running.submit(1, 10).await?;
        running.wait_for_jobs(done, LIMIT).await?;
    }
    let waits = running.queued_to_in_progress_ms().await?;
    ensure!(waits.len() == JOBS, "{} of {JOBS} jobs have begun", waits.len());
    ensure!(running.sim().await?.jobs.iter().all(|job| job.starts == 1), "a job was run twice");
    Ok(waits)
}
