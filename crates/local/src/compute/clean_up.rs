//! Removes what an ended task left: its processes, its files, and files of its user elsewhere. The agent's log and exit
//! code stay for a week.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use ecsrunner_core::id::TaskId;
use ecsrunner_engine::chain;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tracing::warn;

use super::modes::PRIVATE_FILE;
use super::removal::Removal;
use super::{DOCKER, DOCKER_NETWORK, LITTER, NETWORK, Processes, cgroups, leftovers, watch};
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

/// Whether a task has files or processes that have not been cleaned up.
pub(super) fn is_littered(dir: &TaskDir) -> bool {
    LITTER.iter().chain([&MARK]).any(|name| dir.path().join(name).exists())
}

/// What the task does not have any more.
struct Gone {
    /// Its Docker engine.
    engine: bool,
    /// What the engine's networks have on the machine.
    engine_network: bool,
    /// What its network namespace has on the machine.
    network: bool,
}

/// The path of something in a task's directory, if it exists.
fn there(dir: &TaskDir, name: &str) -> Option<PathBuf> {
    Some(dir.path().join(name)).filter(|path| path.exists())
}

impl Processes {
    /// Kills leftover processes, then removes the task's files in a process of its own. The user's id is free
    /// afterwards; if something is left, the next sweep tries again. Devices and rules of a network that cannot be removed,
    /// as without `iptables`, keep neither files nor the id: the directory `network` or `docker-network` alone stays for the
    /// next try.
    pub(super) async fn clean_up(self, dir: TaskDir, description: Description) {
        if !self.removals.begin(&description.task) {
            return;
        }
        // Another task may use the user id of one that was cleaned up. Without litter, nothing was started.
        let was_littered = is_littered(&dir);
        let holds = |uid: &u32| self.lock_uids().holds(*uid, &description.task);
        let uid = description.uid.filter(|uid| was_littered && holds(uid));
        let is_ours = uid.is_some() || (description.uid.is_none() && was_littered);
        let removed = match self.end_processes(&dir, uid, is_ours).await {
            Ok(gone) => {
                let _turn = self.removals.turns.acquire().await;
                // A full disk keeps no file from being removed.
                if was_littered && let Err(error) = mark(&dir) {
                    warn!(task = %description.task, error = %chain(&error), "it cannot be noted that a task's files are being removed");
                }
                let removed = self.removal(&dir, uid, &gone).run(&self.definition.executable).await;
                removed.map(|is_done| (is_done && gone.engine, gone.network && gone.engine_network))
            }
            Err(error) => Err(error),
        };
        match removed.and_then(|removed| if removed.0 { unmark(&dir).map(|()| removed) } else { Ok(removed) })
        {
            Ok((true, is_whole)) => {
                if !is_whole {
                    warn!(task = %description.task, "a task's network is not removed: the next sweep tries again");
                }
                if let Some(uid) = description.uid {
                    self.lock_uids().give_back(uid, &description.task);
                }
            }
            Ok((false, _)) => {
                warn!(task = %description.task, "a task's files are not all removed: the next sweep goes on")
            }
            Err(error) => {
                warn!(task = %description.task, error = %chain(&error), "a task's files could not be removed")
            }
        }
        self.removals.end(&description.task);
    }

    /// Kills a task's processes, waits until its Docker engine and its network namespace have ended, and removes its
    /// cgroup. Without a turn: an engine that does not end keeps no other task's files.
    async fn end_processes(&self, dir: &TaskDir, uid: Option<u32>, is_ours: bool) -> io::Result<Gone> {
        // Before anything removes the cgroup, as the clean-up after an engine does.
        if let Err(error) = cgroups::note_kills(dir) {
            warn!(task = %dir.path().display(), error = %chain(&error), "it cannot be noted that the kernel killed processes of a task");
        }
        let mut gone = Gone { engine: true, engine_network: true, network: true };
        if is_ours {
            let path = dir.path().to_owned();
            let killed = tokio::task::spawn_blocking(move || leftovers::kill_all(&path, uid));
            killed.await.map_err(io::Error::other)?;
            // After the job's processes, which could start containers.
            if let engine @ Some(_) = there(dir, DOCKER) {
                gone.engine = self.is_gone(Removal { engine, ..Removal::default() }).await;
            }
        }
        // The names say to which task they belong. So this is safe if another task has the user id by now.
        if let engine_network @ Some(_) = there(dir, DOCKER_NETWORK) {
            // A running engine has containers on its bridges.
            gone.engine_network =
                gone.engine && self.is_gone(Removal { engine_network, ..Removal::default() }).await;
        }
        if let network @ Some(_) = there(dir, NETWORK) {
            gone.network = self.is_gone(Removal { network, ..Removal::default() }).await;
        }
        // After the keepers, which are in it. No other task has this cgroup.
        let dir = dir.clone();
        tokio::task::spawn_blocking(move || cgroups::end(&dir)).await.map_err(io::Error::other)??;
        Ok(gone)
    }

    /// Removes something, and returns whether nothing of it is left.
    async fn is_gone(&self, removal: Removal) -> bool {
        removal.run(&self.definition.executable).await.unwrap_or_else(|error| {
            warn!(error = %chain(&error), "what a task left could not be removed");
            false
        })
    }

    /// Has removed what an ended task still has, if anything is due.
    pub(super) fn see_to(&self, dir: &TaskDir, description: &Description) {
        let has_network = [NETWORK, DOCKER_NETWORK].iter().any(|name| there(dir, name).is_some());
        // One that never started may have nothing else.
        let has_user = description.uid.is_some_and(|uid| self.lock_uids().has(uid, &description.task));
        if is_littered(dir) || has_network || has_user || watch::is_old(dir) {
            Handle::current().spawn(self.clone().clean_up(dir.clone(), description.clone()));
        }
    }

    fn removal(&self, dir: &TaskDir, user: Option<u32>, gone: &Gone) -> Removal {
        let confinement = &self.definition.confinement;
        let mut shared = confinement.writable.clone();
        if !confinement.private_files {
            shared.extend(public_directories());
        }
        // The description goes after all that a job shaped: without it, no later removal would go on.
        let litter = LITTER.into_iter().filter(|name| gone.engine || *name != DOCKER);
        let mut directories: Vec<_> = litter.map(|name| dir.path().join(name)).collect();
        let networks = [(gone.network, NETWORK), (gone.engine_network, DOCKER_NETWORK)];
        directories
            .extend(networks.iter().filter(|(is_gone, _)| *is_gone).map(|(_, name)| dir.path().join(name)));
        // Rules of a task without a device go with the next network of any task.
        directories.extend((gone.engine && watch::is_old(dir)).then(|| dir.path().to_owned()));
        Removal { directories, user, shared, ..Removal::default() }
    }
}

#[cfg(test)]
mod tests;
