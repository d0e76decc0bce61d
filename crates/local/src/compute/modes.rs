//! Owners and modes of files in the state directory.
//!
//! The official runner lists its directory and each directory above it, and
//! writes its credentials with mode 0644 (seen with version 2.336). If the server
//! is root, every user may therefore list the directories above a task's
//! directory, but only the task's runner may list that one. The runner's files
//! are in a directory that only the runner and root can enter.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use super::{AGENT, DOCKER, LITTER, SERVICES};
use crate::accounts::Account;
use crate::task::TaskDir;
use crate::task::confinement::mounts::PRIVATE;

/// Only for its owner.
pub(crate) const PRIVATE_DIR: u32 = 0o700;
/// Only for its owner.
pub(crate) const PRIVATE_FILE: u32 = 0o600;
/// Every user can list it.
const LISTED_DIR: u32 = 0o755;
/// Its group can list it.
const GROUP_DIR: u32 = 0o750;

/// Returns the mode of the state directory and of the directory of tasks.
pub(crate) fn upper_dir() -> u32 {
    if nix::unistd::geteuid().is_root() { LISTED_DIR } else { PRIVATE_DIR }
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Changes the owner of a file to the runner's user, if it has its own.
pub(super) fn own(path: &Path, account: Option<&Account>) -> io::Result<()> {
    match account {
        Some(account) => chown(path, Some(account.uid), Some(account.gid)),
        None => Ok(()),
    }
}

/// Makes a file private, if it exists.
pub(crate) fn set_private(path: &Path) -> io::Result<()> {
    if_there(set_mode(path, PRIVATE_FILE))
}

/// Sets owner and mode of a task's directory and of everything directly in it,
/// even if an older release made it. The agent may remove files meanwhile.
pub(super) fn protect(dir: &TaskDir, account: Option<&Account>) -> io::Result<()> {
    for file in dir.files() {
        set_private(&file)?;
    }
    for name in LITTER {
        let path = dir.path().join(name);
        if_there(match account {
            // The agent makes these directories. The job's user has to read what is in them.
            Some(account) if name == AGENT || name == SERVICES => share(&path, account),
            // `private` is mounted at other paths for the runner. `docker` is used only through the engine's socket.
            Some(_) if name == PRIVATE || name == DOCKER => set_mode(&path, PRIVATE_DIR),
            _ => own(&path, account).and_then(|()| set_mode(&path, PRIVATE_DIR)),
        })?;
    }
    match account {
        Some(account) => share(dir.path(), account),
        None => set_mode(dir.path(), PRIVATE_DIR),
    }
}

/// Lets only the owner and the runner's group list a directory.
fn share(path: &Path, account: &Account) -> io::Result<()> {
    chown(path, None, Some(account.gid))?;
    set_mode(path, GROUP_DIR)
}

fn if_there(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_task_of_an_older_release_is_closed_to_others() {
        let tasks = tempfile::tempdir().unwrap();
        let path = tasks.path().join("task");
        for name in ["", "runner", "agent"] {
            fs::create_dir(path.join(name)).unwrap();
            set_mode(&path.join(name), 0o755).unwrap();
        }
        let dir = TaskDir::at(path.clone());
        for file in dir.files() {
            fs::write(&file, "").unwrap();
            set_mode(&file, 0o644).unwrap();
        }
        let account = Account { name: None, uid: 1_900_000_001, gid: 1_900_000_002, groups: Vec::new() };
        let is_root = nix::unistd::geteuid().is_root();
        protect(&dir, is_root.then_some(&account)).unwrap();
        let seen = |name: &str| {
            let metadata = path.join(name).metadata().unwrap();
            (metadata.uid(), metadata.gid(), format!("{:o}", metadata.mode() & 0o777))
        };
        if is_root {
            assert_eq!(seen(""), (0, account.gid, "750".to_owned()));
            assert_eq!(seen("runner"), (account.uid, account.gid, "700".to_owned()));
            assert_eq!(seen("agent"), (0, account.gid, "750".to_owned()));
        } else {
            for name in ["", "runner", "agent"] {
                assert_eq!(seen(name).2, "700");
            }
        }
        for file in dir.files() {
            assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600, "{}", file.display());
        }
    }
}
