//! The time from a webhook's last byte to its agent's first line.

use std::path::Path;
use std::time::Duration;

use crate::testbed::{Running, percentile, say};

const JOBS: usize = 40;
const APART: Duration = Duration::from_millis(500);
const AT_ONCE: usize = 20;

pub(crate) async fn run(executable: &Path) -> anyhow::Result<()> {
    let running = Running::set_up(executable, &[]).await?;
    for _ in 0..JOBS {
        running.submit(1, 10).await?;
        tokio::time::sleep(APART).await;
    }
    running.wait(Duration::from_secs(60)).await?;
    tell("500 ms apart", &running.webhook_to_agent_ms().await?);
    tell_calls(&running).await?;
    let (left, registrations) = running.strike().await?;
    say(&format!("left: {left:?}, {registrations} registrations"));

    let running = Running::set_up(executable, &[]).await?;
    running.submit(AT_ONCE, 10).await?;
    running.wait(Duration::from_secs(60)).await?;
    tell(&format!("{AT_ONCE} at once"), &running.webhook_to_agent_ms().await?);
    let (left, registrations) = running.strike().await?;
    say(&format!("left: {left:?}, {registrations} registrations"));
    Ok(())
}

fn tell(what: &str, waits: &[f64]) {
    say(&format!(
        "webhook → agent, {what}: p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, of {} jobs",
        percentile(waits, 50),
        percentile(waits, 90),
        percentile(waits, 99),
        waits.len()
    ));
}

async fn tell_calls(running: &Running) -> anyhow::Result<()> {
    let mut calls: Vec<(String, u64)> = running.sim().await?.calls.into_iter().collect();
    calls.sort();
    for (call, count) in calls {
        say(&format!("  {count:>5} × {call}"));
    }
    Ok(())
}
