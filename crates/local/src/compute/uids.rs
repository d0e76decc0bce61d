//! User ids for runners. No two runners on this machine share one, even if
//! different servers started them: a runner's leftover processes are found and
//! killed by their user id.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

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
    /// The ids that this process knows. `None` for an id that another server has reserved.
    used: HashMap<u32, Option<Flock<File>>>,
    /// The id that was given out last.
    last: Option<u32>,
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

    /// Reserves and returns the next free id. Ids are given out in turn, so that one is used again as late as possible.
    pub(super) fn take(
        &mut self,
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
            let Some(reservation) = self.reserve(uid)?.filter(|_| !is_at_work(uid)) else { continue };
            self.used.insert(uid, Some(reservation));
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

    /// Keeps the id of a runner that an earlier server started.
    pub(super) fn keep(&mut self, uid: u32) -> io::Result<()> {
        // A second reservation would conflict with this process's own.
        if !self.used.contains_key(&uid) {
            let reservation = self.reserve(uid)?;
            self.used.insert(uid, reservation);
        }
        Ok(())
    }

    /// Whether this process holds the reservation of the id, maybe since another server has ended.
    pub(super) fn holds(&mut self, uid: u32) -> bool {
        if matches!(self.used.get(&uid), Some(None)) {
            let reservation = self.reserve(uid).ok().flatten();
            self.used.insert(uid, reservation);
        }
        self.used.get(&uid).is_some_and(Option::is_some)
    }

    pub(super) fn give_back(&mut self, uid: u32) {
        self.used.remove(&uid);
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

    #[test]
    fn two_servers_give_out_different_ids_and_one_that_is_given_back_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let (mut one, mut other) = (server(&directory), server(&directory));
        let first = 1_900_000_000;
        let a = one.take(first..).unwrap();
        let b = other.take(first..).unwrap();
        assert_ne!(a, b);
        one.give_back(a);
        assert_eq!(other.take([a, b]).unwrap(), a);
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
            let uid = uids.take(list).unwrap();
            uids.give_back(uid);
            taken.push(uid);
        }
        assert_eq!(taken, [list[1], list[2], list[0], list[1]]);
    }

    #[test]
    fn an_id_with_a_process_at_work_is_not_given_out() {
        let own = nix::unistd::getuid().as_raw();
        assert_ne!(server(&tempfile::tempdir().unwrap()).take([own, 1_900_000_301]).unwrap(), own);
    }
    #[test]
    fn a_list_that_is_used_up_is_a_fault_that_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let mut uids = server(&directory);
        let list = [1_900_000_101, 1_900_000_102];
        assert_eq!([uids.take(list).unwrap(), uids.take(list).unwrap()], list);
        let told = uids.take(list).unwrap_err().to_string();
        assert!(told.starts_with("every user of runners is in use"), "{told}");
        uids.give_back(list[0]);
        assert_eq!(uids.take(list).unwrap(), list[0]);
    }
}
