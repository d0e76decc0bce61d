//! The cgroups of tasks: what their classes give them, and the end of those that tasks leave.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

pub(super) use ecsrunner_agent::cgroups::CGROUP as VARIABLE;
use ecsrunner_agent::cgroups::{TaskCgroup, TaskCgroupLimits};
use ecsrunner_core::id::ClassName;

use crate::task::{TaskDir, TaskStatus};

/// How long the kernel may take to end what was killed.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// What the tasks of each class may use as a whole.
pub(crate) type ClassLimits = BTreeMap<ClassName, TaskCgroupLimits>;

/// Keeps in a task's directory that its agent is lost after the kernel killed processes of the task for lack of memory.
pub(super) fn note_kills(dir: &TaskDir) -> io::Result<()> {
    let kills = TaskCgroup::of(dir.path()).memory_kills().unwrap_or(0);
    if kills > 0 && dir.status()? == TaskStatus::Lost { dir.note_memory_kill() } else { Ok(()) }
}

/// Kills what an ended task has left in its cgroup, and removes it.
pub(crate) fn end(dir: &TaskDir) -> io::Result<()> {
    TaskCgroup::of(dir.path()).end(Instant::now() + KILL_LIMIT)
}
