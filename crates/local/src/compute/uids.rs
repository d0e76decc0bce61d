//! User ids for runners. No two runners on this machine share one, even if
//! different servers started them: a runner's leftover processes are found and
//! killed by their user id.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use ecsrunner_core::id::TaskId;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

use super::modes::{PRIVATE_DIR, PRIVATE_FILE};

/// Where servers reserve ids. Only root can enter it, so no job can reserve one.
const DIRECTORY: &str = "/run/ecsrunner-uids";

/// Returns the directory of this machine's reservations. Without root, no ids are given out, and any place serves.
pub(super) fn directory() -> PathBuf {
    if nix::unistd::geteuid().is_root() { PathBuf::from(DIRECTORY) } else { std::env::temp_dir() }
}

/// User ids in use by runners.
#[derive(Debug)]
pub(super) struct Uids {
    directory: PathBuf,
    /// The ids that this process knows.
    used: HashMap<u32, User>,
    /// The id that was given out last.
    last: Option<u32>,
}

/// An id in use.
#[derive(Debug)]
struct User {
    /// `None` if another server has reserved it.
    reservation: Option<Flock<File>>,
    /// The tasks that have it. There is more than one only if a task cannot be read.
    tasks: HashSet<TaskId>,
}

impl Uids {
    /// Keeps reservations in a directory, which is made if it does not exist.
    pub(super) fn in_dir(directory: PathBuf) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(PRIVATE_DIR).create(&directory)?;
        Ok(Self { directory, used: HashMap::new(), last: None })
    }

    /// Reserves an id by a lock that only one process can hold, until it ends. Returns `None` if another server holds it.
    fn reserve(&self, uid: u32) -> io::Result<Option<Flock<File>>> {
        let mut options = OpenOptions::new();
        options
            .create(true)
            .truncate(false)
            .write(true)
            .mode(PRIVATE_FILE)
            .custom_flags(OFlag::O_NOFOLLOW.bits());
        let file = options.open(self.directory.join(uid.to_string()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    /// Reserves the next free id for a task, and returns it. Ids are given out in turn, so that one is used again as late as
    /// possible.
    pub(super) fn take(
        &mut self,
        task: &TaskId,
        candidates: impl IntoIterator<Item = u32, IntoIter: Clone>,
    ) -> io::Result<u32> {
        let candidates = candidates.into_iter();
        let past =
            self.last.map_or(0, |last| candidates.clone().position(|uid| uid == last).map_or(0, |at| at + 1));
        for uid in candidates.clone().skip(past).chain(candidates.take(past)) {
            if self.used.contains_key(&uid) {
                continue;
            }
            // A server that ended may have left a runner that still works.
            let reservation = self.reserve(uid)?.filter(|_| !is_at_work(uid));
            if reservation.is_none() {
                continue;
            }
            self.used.insert(uid, User { reservation, tasks: HashSet::from([task.clone()]) });
            self.last = Some(uid);
            return Ok(uid);
        }
        Err(io::Error::other(
            "every user of runners is in use: name more accounts in runner.users, or end the \
             other processes of these users",
        ))
    }

    /// Notes the id of a task of an earlier server: the next ids follow the highest one.
    pub(super) fn note(&mut self, uid: Option<u32>) {
        self.last = self.last.max(uid);
    }

    /// Keeps the id of a task that an earlier server started.
    pub(super) fn keep(&mut self, uid: u32, task: &TaskId) -> io::Result<()> {
        // A second reservation would conflict with this process's own.
        if !self.used.contains_key(&uid) {
            let reservation = self.reserve(uid)?;
            self.used.insert(uid, User { reservation, tasks: HashSet::new() });
        }
        if let Some(user) = self.used.get_mut(&uid) {
            user.tasks.insert(task.clone());
        }
        Ok(())
    }

    /// Whether a task has the id.
    pub(super) fn has(&self, uid: u32, task: &TaskId) -> bool {
        self.used.get(&uid).is_some_and(|user| user.tasks.contains(task))
    }

    /// Whether a task has the id, and this process holds its reservation, maybe since another server has ended.
    pub(super) fn holds(&mut self, uid: u32, task: &TaskId) -> bool {
        let reservation = match self.used.get(&uid) {
            Some(user) if user.reservation.is_none() => self.reserve(uid).ok().flatten(),
            _ => None,
        };
        let Some(user) = self.used.get_mut(&uid) else { return false };
        user.reservation = user.reservation.take().or(reservation);
        user.reservation.is_some() && user.tasks.contains(task)
    }

    /// Takes the id back from a task, if the task has it.
    pub(super) fn give_back(&mut self, uid: u32, task: &TaskId) {
        if let Some(user) = self.used.get_mut(&uid)
            && user.tasks.remove(task)
            && user.tasks.is_empty()
        {
            self.used.remove(&uid);
        }
    }
}

/// Whether this user has a process.
pub(crate) fn is_at_work(uid: u32) -> bool {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
        .any(|entry| entry.metadata().is_ok_and(|metadata| metadata.uid() == uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(directory: &tempfile::TempDir) -> Uids {
        Uids::in_dir(directory.path().join("uids")).unwrap()
    }

    fn task(digit: u8) -> TaskId {
        TaskId::parse(&digit.to_string().repeat(32)).unwrap()
    }

    #[test]
    fn two_servers_give_out_different_ids_and_one_that_is_given_back_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let (mut one, mut other) = (server(&directory), server(&directory));
        let first = 1_900_000_000;
        let a = one.take(&task(1), first..).unwrap();
        let b = other.take(&task(2), first..).unwrap();
        assert_ne!(a, b);
        one.give_back(a, &task(1));
        assert_eq!(other.take(&task(3), [a, b]).unwrap(), a);
    }

    #[test]
    fn an_id_is_free_once_each_task_that_has_it_gives_it_back() {
        let directory = tempfile::tempdir().unwrap();
        let mut uids = server(&directory);
        let uid = 1_900_000_401;
        assert_eq!(uids.take(&task(1), [uid]).unwrap(), uid);
        uids.keep(uid, &task(2)).unwrap();
        uids.give_back(uid, &task(3));
        uids.give_back(uid, &task(1));
        assert!(!uids.has(uid, &task(1)) && !uids.holds(uid, &task(1)));
        assert!(uids.has(uid, &task(2)) && uids.holds(uid, &task(2)));
        assert!(uids.take(&task(3), [uid]).is_err());
        uids.give_back(uid, &task(2));
        assert_eq!(uids.take(&task(3), [uid]).unwrap(), uid);
    }

    #[test]
    fn ids_are_given_out_in_turn_so_that_one_is_used_again_as_late_as_possible() {
        let directory = tempfile::tempdir().unwrap();
        let mut uids = server(&directory);
        let list = [1_900_000_201, 1_900_000_202, 1_900_000_203];
        uids.note(Some(list[0]));
        uids.note(None);
        let mut taken = Vec::new();
        for _ in 0..4 {
            let uid = uids.take(&task(1), list).unwrap();
            uids.give_back(uid, &task(1));
            taken.push(uid);
        }
        assert_eq!(taken, [list[1], list[2], list[0], list[1]]);
    }

    #[test]
    fn an_id_with_a_process_at_work_is_not_given_out() {
        let own = nix::unistd::getuid().as_raw();
        let directory = tempfile::tempdir().unwrap();
        let mut uids = server(&directory);
        assert_ne!(uids.take(&task(1), [own, 1_900_000_301]).unwrap(), own);
    }

    #[test]
    fn a_list_that_is_used_up_is_a_fault_that_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let mut uids = server(&directory);
        let list = [1_900_000_101, 1_900_000_102];
        assert_eq!([uids.take(&task(1), list).unwrap(), uids.take(&task(2), list).unwrap()], list);
        let told = uids.take(&task(3), list).unwrap_err().to_string();
        assert!(told.starts_with("every user of runners is in use"), "{told}");
        uids.give_back(list[0], &task(1));
        assert_eq!(uids.take(&task(3), list).unwrap(), list[0]);
    }
}
