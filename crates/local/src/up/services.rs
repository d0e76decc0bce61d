//! What a server does all the time, beside answering requests: it records what tasks report, dispatches, sweeps and polls.

use std::time::Duration;

use ecsrunner_core::decide::sweep::Lag;
use ecsrunner_core::id::Repository;
use ecsrunner_core::rules::policy::RepositoryPattern;
use ecsrunner_core::wire::event::{Event, TaskEvent};
use ecsrunner_engine::chain;
use ecsrunner_engine::dispatcher::{DispatchOptions, Dispatched};
use ecsrunner_engine::ports::Clock;
use ecsrunner_engine::sweep::{Reach, Sweeping};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::embedded::Embedded;
use crate::server::App;

/// How often tasks and records are compared and expired items deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const POLL_EVERY: Duration = Duration::from_secs(15);
/// Pause before the dispatcher starts again after a fault of the store.
const FAULT_PAUSE: Duration = Duration::from_secs(1);

/// Returns the repositories to poll: those that are named exactly.
pub(super) fn polled(patterns: &[RepositoryPattern], poll: bool) -> Vec<Repository> {
    let (exact, patterns): (Vec<_>, Vec<_>) = patterns.iter().partition(|pattern| pattern.exact().is_some());
    if poll {
        for pattern in patterns {
            warn!(%pattern, "--poll needs exact repository names: jobs that match this pattern are found only by webhooks");
        }
    }
    exact.into_iter().filter_map(RepositoryPattern::exact).collect()
}

/// Records the events of tasks.
pub(super) async fn hear(app: App, mut heard: mpsc::UnboundedReceiver<Event>) -> anyhow::Result<()> {
    while let Some(event) = heard.recv().await {
        let recorded = app.engine.record(&event).await;
        match (event, recorded) {
            (Event::Task(TaskEvent { name, task, change, .. }), Ok(_)) => {
                info!(%name, %task, change = ?change, "recorded task event");
            }
            // The next sweep compares the record with the task.
            (Event::Task(TaskEvent { name, task, .. }), Err(fault)) => {
                error!(%name, %task, error = %chain(&fault), "a task event could not be recorded");
            }
            (_, Ok(_)) => {}
            (Event::Exit(report), Err(fault)) => {
                warn!(runner = %report.runner, error = %chain(&fault), "an exit record could not be recorded");
            }
            (_, Err(fault)) => error!(error = %chain(&fault), "an event could not be recorded"),
        }
    }
    Ok(())
}

/// Plans and performs, after each kick and whenever work is due.
pub(super) async fn dispatch(app: App) -> anyhow::Result<()> {
    loop {
        // This process holds the state directory's lock, so no other dispatcher can run.
        let pause =
            match app.engine.dispatch(DispatchOptions { force: true, ..DispatchOptions::default() }).await {
                Ok(Dispatched::Idle { next_at }) => next_at.map(until),
                Ok(Dispatched::HeldByAnother | Dispatched::WorkLeft | Dispatched::LeaseLost) => {
                    Some(FAULT_PAUSE)
                }
                Err(fault) => {
                    error!(error = %chain(&fault), "the dispatcher was interrupted");
                    Some(FAULT_PAUSE)
                }
            };
        let pause = pause.unwrap_or(SWEEP_EVERY).min(SWEEP_EVERY);
        // Continues after a kick or at the next due time.
        let _either = tokio::time::timeout(pause, app.engine.kicked()).await;
    }
}

fn until(at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default()
}

/// Compares records with tasks and with GitHub each minute.
pub(super) async fn sweep(app: App, database: Embedded) -> anyhow::Result<()> {
    catch_up(&app).await;
    loop {
        // The kernel lists processes without delay, so a missing task has ended.
        let sweeping = Sweeping { lag: Lag(SignedDuration::ZERO), reach: Reach::Everything, until: None };
        if let Err(fault) = app.engine.sweep(sweeping).await {
            error!(error = %chain(&fault), "the sweep was interrupted");
        }
        if let Err(fault) = database.sweep_expired().await {
            warn!(error = fault, "expired records could not be deleted");
        }
        app.engine.ports().clock.sleep(SWEEP_EVERY).await;
    }
}

/// Fetches what GitHub could not deliver while the server was down.
async fn catch_up(app: &App) {
    if let Err(fault) = app.engine.catch_up().await {
        error!(error = %chain(&fault), "missed events could not be recorded");
    }
}

/// Asks GitHub for queued jobs.
pub(super) async fn poll(app: App, repositories: Vec<Repository>) -> anyhow::Result<()> {
    loop {
        if let Err(fault) = app.engine.discover(&repositories, None).await {
            error!(error = %chain(&fault), "jobs found by polling could not be recorded");
        }
        app.engine.ports().clock.sleep(POLL_EVERY).await;
    }
}
