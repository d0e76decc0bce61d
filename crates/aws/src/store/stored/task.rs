//! The stored forms of tasks and of what is left of them, which are parts of other records.

use ecsrunner_core::id::TaskId;
use ecsrunner_core::records::runner::{Task, TaskLeft};
use ecsrunner_core::rules::class::size::{Arch, Size};
use ecsrunner_core::rules::limits::WaitLimits;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::UnreadableError;

/// CPU units, MiB, GiB, and the architecture.
pub(super) type StoredSize = (u32, u32, u32, Arch);
/// Seconds to boot, to connect, and idle.
pub(super) type StoredWaits = (u32, u32, u32);

pub(super) fn store_size(size: Size) -> StoredSize {
    (size.cpu(), size.memory(), size.ephemeral_storage_gib(), size.arch())
}

pub(super) fn read_size((cpu, memory, storage, arch): StoredSize) -> Size {
    Size::stored(cpu, memory, storage, arch)
}

pub(super) fn store_waits(waits: WaitLimits) -> StoredWaits {
    (waits.boot_secs, waits.connect_secs, waits.idle_secs)
}

pub(super) fn read_waits((boot_secs, connect_secs, idle_secs): StoredWaits) -> WaitLimits {
    WaitLimits { boot_secs, connect_secs, idle_secs }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredTask(TaskId, u64);

impl StoredTask {
    pub(super) fn of(task: &Task) -> Self {
        Self(task.id.clone(), task.heard)
    }

    pub(super) fn read(self) -> Task {
        Task { id: self.0, heard: self.1 }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StoredTaskLeft {
    Unanswered(u32),
    Running(StoredTask),
    Stopping(StoredTask, i64),
    Stopped(Option<TaskId>, i64),
}

impl StoredTaskLeft {
    pub(super) fn of(task: &TaskLeft) -> Self {
        match task {
            TaskLeft::Unanswered { attempt } => Self::Unanswered(*attempt),
            TaskLeft::Running(task) => Self::Running(StoredTask::of(task)),
            TaskLeft::Stopping { task, since } => {
                Self::Stopping(StoredTask::of(task), since.as_millisecond())
            }
            TaskLeft::Stopped { task, at } => Self::Stopped(task.clone(), at.as_millisecond()),
        }
    }

    pub(super) fn read(self) -> Result<TaskLeft, UnreadableError> {
        Ok(match self {
            Self::Unanswered(attempt) => TaskLeft::Unanswered { attempt },
            Self::Running(task) => TaskLeft::Running(task.read()),
            Self::Stopping(task, since) => {
                TaskLeft::Stopping { task: task.read(), since: Timestamp::from_millisecond(since)? }
            }
            Self::Stopped(task, at) => TaskLeft::Stopped { task, at: Timestamp::from_millisecond(at)? },
        })
    }
}
