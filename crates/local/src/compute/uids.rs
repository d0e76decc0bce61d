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

/// User ids in use by runners that this process knows. `None` for an id that
/// another server has reserved.
#[derive(Default, Debug)]
pub(super) struct Uids(HashMap<u32, Option<UnixDatagram>>);

impl Uids {
    /// Reserves and returns the first free id.
    pub(super) fn take(&mut self, candidates: impl IntoIterator<Item = u32>) -> io::Result<u32> {
        for uid in candidates {
            let Entry::Vacant(vacant) = self.0.entry(uid) else { continue };
            // A server that ended may have left a runner that still works.
            let Some(reservation) = reserve(uid)?.filter(|_| !is_at_work(uid)) else { continue };
            vacant.insert(Some(reservation));
            return Ok(uid);
        }
        Err(io::Error::other(
            "every user of runners is in use: name more accounts in runner.users, or end the \
             other processes of these users",
        ))
    }

    /// Keeps the id of a runner that an earlier server started.
    pub(super) fn keep(&mut self, uid: u32) -> io::Result<()> {
        // A second reservation would conflict with this process's own.
        if let Entry::Vacant(vacant) = self.0.entry(uid) {
            vacant.insert(reserve(uid)?);
        }
        Ok(())
    }

    /// Whether this process holds the reservation of the id.
    pub(super) fn has(&self, uid: u32) -> bool {
        self.0.get(&uid).is_some_and(Option::is_some)
    }

    pub(super) fn give_back(&mut self, uid: u32) {
        self.0.remove(&uid);
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
        assert_eq!(other.take(first..).unwrap(), a);
    }

    #[test]
    fn an_id_with_a_process_at_work_is_not_given_out() {
        let own = nix::unistd::getuid().as_raw();
        assert_ne!(Uids::default().take(own..).unwrap(), own);
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
