//! Watches a task's process until it ends, whether this or an earlier server
//! started it.

use std::time::{Duration, SystemTime};

use ecsrunner_core::wire::event::{TaskChange, TaskTimes};
use ecsrunner_engine::chain;
use nix::sys::signal::Signal;
use tokio::process::Child;
use tracing::{info, warn};

use super::{Processes, STOPPED, cause};
use crate::task::{Description, TaskDir, TaskStatus};

/// Equal to the container's `stopTimeout` on ECS.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// How long before the end of that time the agent kills its listener.
const AGENT_MARGIN: Duration = Duration::from_secs(5);
/// A step that ignores signals takes 13.6 s to end (seen with the official
/// runner 2.336).
const LEAST_GRACE: Duration = Duration::from_secs(20);
const _: () = assert!(STOP_TIMEOUT.as_secs() >= LEAST_GRACE.as_secs() + AGENT_MARGIN.as_secs());
/// How often a process that is not this server's child is checked.
const LOOK: Duration = Duration::from_millis(250);
/// How long an ended task's log is kept.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long the end of a task is kept back while its files are removed.
const USUAL_CLEAN_UP: Duration = Duration::from_secs(2);
/// How long a process may take to claim its task.
const CLAIM_LIMIT: Duration = Duration::from_secs(30);

impl Processes {
    pub(super) async fn watch_child(self, mut child: Child, dir: TaskDir, description: Description) {
        if let Err(error) = child.wait().await {
            warn!(task = %description.task, error = %chain(&error), "could not wait for a task's process");
        }
        match dir.status() {
            // This server's child lost the claim to a process that an earlier server started.
            Ok(TaskStatus::Alive) => self.watch_adopted(dir, description).await,
            Ok(status) => self.ended(dir, description, status).await,
            Err(error) => {
                warn!(task = %description.task, error = %chain(&error), "a task's end could not be read")
            }
        }
    }

    pub(super) async fn watch_adopted(self, dir: TaskDir, description: Description) {
        info!(task = %description.task, name = %description.name, "adopted task");
        loop {
            match dir.status() {
                Ok(TaskStatus::Alive) => tokio::time::sleep(LOOK).await,
                Ok(status) => return self.ended(dir, description, status).await,
                Err(error) => {
                    warn!(task = %description.task, error = %chain(&error), "a task's end could not be read");
                    return;
                }
            }
        }
    }

    async fn ended(self, dir: TaskDir, description: Description, status: TaskStatus) {
        self.tell_exit(&dir, &description);
        // A new runner may need this one's user. But a job can leave so many files that their removal takes minutes.
        let cleaning = tokio::spawn(self.clone().clean_up(dir.clone(), description.clone()));
        let _either = tokio::time::timeout(USUAL_CLEAN_UP, cleaning).await;
        self.tell(&description, STOPPED, TaskChange::Stopped(cause(&dir, status)), TaskTimes::default());
    }
}

/// Kills a task's process if it has not ended after [`STOP_TIMEOUT`].
pub(super) async fn kill_later(dir: TaskDir) {
    tokio::time::sleep(STOP_TIMEOUT).await;
    if let Err(error) = dir.signal(Signal::SIGKILL) {
        warn!(task = %dir.path().display(), error = %chain(&error), "a task could not be killed");
    }
}

/// Whether a task is so new that its process may still claim it.
pub(super) fn is_starting(dir: &TaskDir) -> bool {
    quiet_for(dir).is_none_or(|age| age < CLAIM_LIMIT)
}

/// Whether an ended task may be deleted with its log.
pub(super) fn is_old(dir: &TaskDir) -> bool {
    quiet_for(dir).is_some_and(|age| age > KEPT)
}

/// How long ago a file was last added to a task's directory or removed from it.
fn quiet_for(dir: &TaskDir) -> Option<Duration> {
    let changed = std::fs::metadata(dir.path()).and_then(|metadata| metadata.modified()).ok()?;
    SystemTime::now().duration_since(changed).ok()
}
