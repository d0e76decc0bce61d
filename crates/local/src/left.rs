//! Counts what a server that has ended left behind, by its state directory.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use ecsrunner_agent::{engine, network};
use ecsrunner_aws::store::{DynamoStore, Tables};
use ecsrunner_core::id::Deployment;
use ecsrunner_core::records::job::JobState;
use ecsrunner_engine::chain;
use ecsrunner_engine::ports::store::Store;
use nix::sys::signal::Signal;
use tracing::warn;

use crate::compute::{DOCKER, DOCKER_NETWORK, NETWORK, end_cgroup, leftovers};
use crate::embedded::Embedded;
use crate::state_dir::StateDir;
use crate::task::{TaskDir, TaskStatus};

/// How long one task's Docker engine and network namespace may take to end.
const ENGINE_LIMIT: Duration = Duration::from_secs(60);

/// What is left. All counts are zero once every job is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Left {
    /// Tasks' processes, and other processes that work below their directories.
    pub processes: usize,
    /// Configurations that no task took.
    pub boot_items: u64,
    /// Records of open jobs and runners. Refused jobs do not count: they hold nothing.
    pub open_records: usize,
}

/// Counts what is left.
///
/// # Errors
///
/// Fails if the server has not ended, or its state cannot be read.
pub async fn count(state: &Path, deployment: &Deployment) -> anyhow::Result<Left> {
    let state = StateDir::open(state)?;
    let database = Embedded::open(&state.database())?;
    let tables = Tables::of(deployment, "local");
    let boot_items = database
        .count(&tables.boot)
        .map_err(|message| anyhow!(message))
        .context("the boot items cannot be counted")?;
    let open = DynamoStore::embedded(database, tables).open().await?;
    let mut processes = leftovers::count(&state.tasks());
    for entry in std::fs::read_dir(state.tasks())? {
        processes += usize::from(TaskDir::at(entry?.path()).status()? == TaskStatus::Alive);
    }
    let jobs = open.jobs.values().filter(|job| !matches!(job.state, JobState::Refused { .. }));
    Ok(Left { processes, boot_items, open_records: jobs.count() + open.runners.len() })
}

/// Kills every task of a server that has ended, and every process that works below the
/// task's directory, and removes its network and its cgroup. Tasks that had just ended may have left some too.
pub fn kill_tasks(state: &Path) {
    let tasks = std::fs::read_dir(state.join("tasks"));
    for dir in tasks.into_iter().flatten().flatten().map(|entry| TaskDir::at(entry.path())) {
        // It does nothing to one that has ended.
        if let Err(error) = dir.signal(Signal::SIGKILL) {
            warn!(task = %dir.path().display(), error = %chain(&error), "a task could not be killed");
        }
        let (engine, network) = (dir.path().join(DOCKER), dir.path().join(NETWORK));
        let deadline = Instant::now() + ENGINE_LIMIT;
        let has_engine = engine.exists() || dir.path().join(DOCKER_NETWORK).exists();
        if let Err(error) = if has_engine { engine::clean_up(&engine, deadline) } else { Ok(()) } {
            warn!(task = %dir.path().display(), error = %chain(&error), "a task's Docker engine could not be removed");
        }
        leftovers::kill_all(dir.path(), None);
        if let Err(error) = if network.exists() { network::clean_up(&network, deadline) } else { Ok(()) } {
            warn!(task = %dir.path().display(), error = %chain(&error), "a task's network namespace could not be removed");
        }
        if let Err(error) = end_cgroup(&dir) {
            warn!(task = %dir.path().display(), error = %chain(&error), "a task's cgroup could not be removed");
        }
    }
}
