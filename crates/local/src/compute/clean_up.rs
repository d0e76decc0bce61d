//! Removes what an ended task left: its processes, its files, and files of its user elsewhere. The agent's log and exit
//! code stay for a week.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, PoisonError};

use ecsrunner_core::id::TaskId;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tracing::warn;

use super::modes::PRIVATE_FILE;
use super::removal::Removal;
use super::{DOCKER, LITTER, NETWORK, Processes, cgroups, leftovers, watch};
use crate::task::confinement::public_directories;
use crate::task::{Description, TaskDir};

/// Removals at one time. Each keeps a disk busy.
const MAX_REMOVALS: usize = 2;

/// The removals that are under way or wait.
#[derive(Debug)]
pub(super) struct Removals {
    turns: Semaphore,
    tasks: Mutex<HashSet<TaskId>>,
}

impl Default for Removals {
    fn default() -> Self {
        Self { turns: Semaphore::new(MAX_REMOVALS), tasks: Mutex::default() }
    }
}

impl Removals {
    /// Whether a task's removal begins now, and is not under way.
    fn begin(&self, task: &TaskId) -> bool {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).insert(task.clone())
    }

    fn end(&self, task: &TaskId) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).remove(task);
    }
}

/// The file that shows that a task's removal has begun and not ended.
const MARK: &str = "removing";

fn mark(dir: &TaskDir) -> io::Result<()> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(PRIVATE_FILE)
        .open(dir.path().join(MARK))?;
    Ok(())
}

/// An old task's directory may be gone with it.
fn unmark(dir: &TaskDir) -> io::Result<()> {
    match fs::remove_file(dir.path().join(MARK)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether a task has not been cleaned up.
pub(super) fn is_littered(dir: &TaskDir) -> bool {
    LITTER.iter().chain([&MARK]).any(|name| dir.path().join(name).exists())
}

impl Processes {
    /// Kills leftover processes, then removes the task's files in a process of its own. The user's id is free
    /// afterwards; if something is left, the next sweep tries again.
    pub(super) async fn clean_up(self, dir: TaskDir, description: Description) {
        if !self.removals.begin(&description.task) {
            return;
        }
        // Another task may use the user id of one that was cleaned up.
        let uid = description.uid.filter(|uid| is_littered(&dir) && self.lock_uids().holds(*uid));
        let was_littered = is_littered(&dir);
        let is_ours = uid.is_some() || (description.uid.is_none() && was_littered);
        let removed = match self.end_processes(&dir, uid, is_ours).await {
            Ok(true) => {
                let _turn = self.removals.turns.acquire().await;
                match mark(&dir) {
                    Ok(()) => self.removal(&dir, uid).run(&self.definition.executable).await,
                    Err(error) => Err(error),
                }
            }
            not_ended => not_ended,
        };
        match removed.and_then(|is_done| if is_done { unmark(&dir).map(|()| true) } else { Ok(false) }) {
            Ok(true) => {
                if let Some(uid) = description.uid.filter(|_| was_littered) {
                    self.lock_uids().give_back(uid);
                }
            }
            Ok(false) => {
                warn!(task = %description.task, "a task's files are not all removed: the next sweep goes on")
            }
            Err(error) => warn!(task = %description.task, %error, "a task's files could not be removed"),
        }
        self.removals.end(&description.task);
    }

    /// Kills a task's processes, waits until its Docker engine and its network namespace have ended, and removes its
    /// cgroup. Returns whether all have ended. Without a turn: an engine that does not end keeps no other task's files.
    async fn end_processes(&self, dir: &TaskDir, uid: Option<u32>, is_ours: bool) -> io::Result<bool> {
        // Before anything removes the cgroup, as the clean-up after an engine does.
        cgroups::note_kills(dir)?;
        if is_ours {
            let path = dir.path().to_owned();
            let killed = tokio::task::spawn_blocking(move || leftovers::kill_all(&path, uid));
            killed.await.map_err(io::Error::other)?;
            let [engine, network] =
                [DOCKER, NETWORK].map(|name| Some(dir.path().join(name)).filter(|path| path.exists()));
            // After the job's processes, which could start containers.
            let removal = Removal { engine, network, ..Removal::default() };
            let is_due = removal.engine.is_some() || removal.network.is_some();
            if is_due && !removal.run(&self.definition.executable).await? {
                return Ok(false);
            }
        }
        // After the keepers, which are in it. No other task has this cgroup.
        let dir = dir.clone();
        tokio::task::spawn_blocking(move || cgroups::end(&dir)).await.map_err(io::Error::other)??;
        Ok(true)
    }

    /// Has removed what an ended task still has, if anything is due.
    pub(super) fn see_to(&self, dir: &TaskDir, description: &Description) {
        if is_littered(dir) || watch::is_old(dir) {
            Handle::current().spawn(self.clone().clean_up(dir.clone(), description.clone()));
        }
    }

    fn removal(&self, dir: &TaskDir, user: Option<u32>) -> Removal {
        let confinement = &self.definition.confinement;
        let mut shared = confinement.writable.clone();
        if !confinement.private_files {
            shared.extend(public_directories());
        }
        // The description goes after all that a job shaped: without it, no later removal would go on.
        let mut directories = LITTER.map(|name| dir.path().join(name)).to_vec();
        directories.extend(watch::is_old(dir).then(|| dir.path().to_owned()));
        Removal { engine: None, network: None, user, shared, directories }
    }
}
