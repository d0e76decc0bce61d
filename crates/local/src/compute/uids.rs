//! User ids for runners. No two runners on this machine share one, even if
//! different servers started them: a runner's leftover processes are found and
//! killed by their user id.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// User ids in use by runners.
#[derive(Default, Debug)]
pub(super) struct Uids {
    /// The ids that this process knows. `None` for an id that another server has reserved.
    used: HashMap<u32, Option<UnixDatagram>>,
    /// The id that was given out last.
    last: Option<u32>,
}

impl Uids {
    /// Reserves and returns the next free id. Ids are given out in turn, so that one is used again as late as possible.
    pub(super) fn take(
        &mut self,
        candidates: impl IntoIterator<Item = u32, IntoIter: Clone>,
    ) -> io::Result<u32> {
        let candidates = candidates.into_iter();
        let past =
            self.last.map_or(0, |last| candidates.clone().position(|uid| uid == last).map_or(0, |at| at + 1));
        for uid in candidates.clone().skip(past).chain(candidates.take(past)) {
            let Entry::Vacant(vacant) = self.used.entry(uid) else { continue };
            // A server that ended may have left a runner that still works.
            let Some(reservation) = reserve(uid)?.filter(|_| !is_at_work(uid)) else { continue };
            vacant.insert(Some(reservation));
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
        if let Entry::Vacant(vacant) = self.used.entry(uid) {
            vacant.insert(reserve(uid)?);
        }
        Ok(())
    }

    /// Whether this process holds the reservation of the id.
    pub(super) fn has(&self, uid: u32) -> bool {
        self.used.get(&uid).is_some_and(Option::is_some)
    }

    pub(super) fn give_back(&mut self, uid: u32) {
        self.used.remove(&uid);
    }
}

/// Reserves an id by binding an abstract socket, whose name only one process can
/// hold until it ends. Returns `None` if another server holds it.
fn reserve(uid: u32) -> io::Result<Option<UnixDatagram>> {
    let name = SocketAddr::from_abstract_name(format!("ecsrunner-uid-{uid}"))?;
    match UnixDatagram::bind_addr(&name) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error),
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

    #[test]
    fn two_servers_give_out_different_ids_and_one_that_is_given_back_is_free() {
        let (mut one, mut other) = (Uids::default(), Uids::default());
        let first = 1_900_000_000;
        let a = one.take(first..).unwrap();
        let b = other.take(first..).unwrap();
        assert_ne!(a, b);
        one.give_back(a);
        assert_eq!(other.take([a, b]).unwrap(), a);
    }

    #[test]
    fn ids_are_given_out_in_turn_so_that_one_is_used_again_as_late_as_possible() {
        let mut uids = Uids::default();
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
        assert_ne!(Uids::default().take([own, 1_900_000_301]).unwrap(), own);
    }
    #[test]
    fn a_list_that_is_used_up_is_a_fault_that_says_so() {
        let mut uids = Uids::default();
        let list = [1_900_000_101, 1_900_000_102];
        assert_eq!([uids.take(list).unwrap(), uids.take(list).unwrap()], list);
        let told = uids.take(list).unwrap_err().to_string();
        assert!(told.starts_with("every user of runners is in use"), "{told}");
        uids.give_back(list[0]);
        assert_eq!(uids.take(list).unwrap(), list[0]);
    }
}
