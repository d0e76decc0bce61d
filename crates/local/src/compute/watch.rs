//! A task's process is watched to its end, our child or an earlier server's.

use std::time::{Duration, SystemTime};

use ecsrunner_core::wire::event::TaskChange;
use nix::sys::signal::Signal;
use tokio::process::Child;
use tracing::{info, warn};

use super::{Processes, STOPPED, cause};
use crate::task::{Description, TaskDir, TaskStatus};

/// What a container's `stopTimeout` is on ECS.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// The agent kills its listener so long before that time is over.
const AGENT_MARGIN: Duration = Duration::from_secs(5);
/// A step that ignores signals takes 13.6 s to end (seen with the official
/// runner 2.336).
const LEAST_GRACE: Duration = Duration::from_secs(20);
const _: () = assert!(STOP_TIMEOUT.as_secs() >= LEAST_GRACE.as_secs() + AGENT_MARGIN.as_secs());
/// How often the end of a process is looked for that is not our child.
const LOOK: Duration = Duration::from_millis(250);
/// How long a task's log is kept when it has ended.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a process may take to claim its task.
const CLAIM_LIMIT: Duration = Duration::from_secs(30);

impl Processes {
    pub(super) async fn watch_child(self, mut child: Child, dir: TaskDir, description: Description) {
        if let Err(error) = child.wait().await {
            warn!(task = %description.task, %error, "a task's process could not be waited for");
        }
        match dir.status() {
            // Our child lost the claim to a process that an earlier server started.
            Ok(TaskStatus::Alive) => self.watch_adopted(dir, description).await,
            Ok(status) => self.ended(&dir, &description, status),
            Err(error) => warn!(task = %description.task, %error, "a task's end could not be read"),
        }
    }

    pub(super) async fn watch_adopted(self, dir: TaskDir, description: Description) {
        info!(task = %description.task, runner = %description.runner, "adopted task");
        loop {
            match dir.status() {
                Ok(TaskStatus::Alive) => tokio::time::sleep(LOOK).await,
                Ok(status) => return self.ended(&dir, &description, status),
                Err(error) => {
                    warn!(task = %description.task, %error, "a task's end could not be read");
                    return;
                }
            }
        }
    }

    fn ended(&self, dir: &TaskDir, description: &Description, status: TaskStatus) {
        self.clean_up(dir, description);
        self.tell(description, STOPPED, TaskChange::Stopped(cause(status)));
    }
}

/// Kills a task's process that has not ended when its time to stop is over.
pub(super) async fn kill_later(dir: TaskDir) {
    tokio::time::sleep(STOP_TIMEOUT).await;
    if let Err(error) = dir.signal(Signal::SIGKILL) {
        warn!(task = %dir.path().display(), %error, "a task could not be killed");
    }
}

/// Whether a task is so young that its process may still claim it.
pub(super) fn is_starting(dir: &TaskDir) -> bool {
    quiet_for(dir).is_none_or(|age| age < CLAIM_LIMIT)
}

/// Whether a task that has ended may be forgotten, its log included.
pub(super) fn is_old(dir: &TaskDir) -> bool {
    quiet_for(dir).is_some_and(|age| age > KEPT)
}

/// How long ago something was last put into a task's directory, or taken out.
fn quiet_for(dir: &TaskDir) -> Option<Duration> {
    let changed = std::fs::metadata(dir.path()).and_then(|metadata| metadata.modified()).ok()?;
    SystemTime::now().duration_since(changed).ok()
}
