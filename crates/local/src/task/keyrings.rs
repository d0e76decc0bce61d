//! The kernel's keys (keyrings(7)): a task has none of the server's, and leaves none to a later task of its user.
//!
//! A process inherits its session's keyring, also across a change of its user, and may read and change what it finds by
//! it. A user's own keyrings outlive the user's processes. No cgroup and no namespace without a user namespace separates
//! them.
//!
//! A job can fill its user's quota of keys. What begins a task of a user whose keyrings are sealed needs nothing of it.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use keyutils::{Keyring, Permission, SpecialKeyring};
use nix::libc::{EDQUOT, ENOKEY, ENOSYS, EOPNOTSUPP, EPERM};
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

use crate::accounts::Account;

/// The first argument that makes an executable empty a user's keyrings. The second one is the user's id.
pub const KEYRINGS_SUBCOMMAND: &str = "local-keyrings";

/// Gives this process and its children a session keyring of their own, which is empty.
pub(super) fn leave_session() -> io::Result<()> {
    unless_missing(Keyring::join_anonymous_session().map(drop).map_err(io::Error::from))
}

/// Empties the keyrings of a user, in a process of `executable`. None of the user's processes may be there.
pub(super) fn empty(user: &OsStr, executable: &str) -> io::Result<()> {
    let output = Command::new(executable)
        .arg(KEYRINGS_SUBCOMMAND)
        .arg(user)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Answers to [`KEYRINGS_SUBCOMMAND`].
#[must_use]
pub fn main(user: &str) -> ExitCode {
    let user = user.parse::<u32>().map_err(|_| io::Error::other(format!("`{user}` is no user id")));
    match user.and_then(empty_those_of) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _told = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// Becomes a user, and empties its keyrings.
fn empty_those_of(user: u32) -> io::Result<()> {
    // Before the change of the user: links count in the quota of a keyring's owner, and a job can fill its user's.
    let process = Keyring::attach_or_create(SpecialKeyring::Process).map_err(io::Error::from);
    let account = Account::of(user);
    setgroups(&[Gid::from_raw(account.gid)])?;
    setgid(Gid::from_raw(account.gid))?;
    setuid(Uid::from_raw(user))?;
    unless_missing(process.and_then(clear_persistent))?;
    unless_missing(seal(user))
}

/// Clears the keyring that the kernel keeps for a user without processes. It is linked into the keyring of this process.
/// Nobody may change its permissions.
fn clear_persistent(mut process: Keyring) -> io::Result<()> {
    match process.attach_persistent().map_err(io::Error::from) {
        Ok(mut persistent) => Ok(persistent.clear()?),
        Err(error) if is_any(&error, &[EOPNOTSUPP]) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What everyone may still do with a sealed keyring: see that it exists. Who may search it could have it replaced.
const SEALED: Permission = Permission::POSSESSOR_VIEW.union(Permission::USER_VIEW);

/// How long the kernel may take to free what removed keys have of a quota. 20 ms were seen with Linux 6.18.
const FREE_LIMIT: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(10);

/// Clears both keyrings of a user, and takes the permission to change them from everyone until the next boot. A job that
/// owned them could keep their permissions from every later process, and leave keys in them that can be read by their
/// numbers.
fn seal(user: u32) -> io::Result<()> {
    let attach = |ring| Keyring::attach_or_create(ring).map_err(io::Error::from);
    let deadline = Instant::now() + FREE_LIMIT;
    let (mut session, mut own) = loop {
        let error = match (attach(SpecialKeyring::UserSession), attach(SpecialKeyring::User)) {
            (Ok(session), Ok(own)) => break (session, own),
            (Err(error), _) | (_, Err(error)) => error,
        };
        // Sealed for an earlier task: the kernel says that there are none (seen with Linux 6.18).
        if are_sealed(&fs::read_to_string("/proc/keys").unwrap_or_default(), user) {
            return Ok(());
        }
        // It says so also if they do not exist, and the quota has no room for them yet.
        if !is_any(&error, &[ENOKEY, EDQUOT]) || Instant::now() >= deadline {
            return Err(error);
        }
        sleep(LOOK);
    };
    session.clear()?;
    own.clear()?;
    session.set_permissions(SEALED)?;
    Ok(own.set_permissions(SEALED)?)
}

/// Whether both keyrings of a user are empty and nobody may change them, by `/proc/keys`: the fifth of its columns has the
/// permissions, and the last one how many keys are in a keyring. A job can have made others of the same name.
fn are_sealed(keys: &str, user: u32) -> bool {
    let permissions = format!("{:08x}", SEALED.bits());
    ["_uid", "_uid_ses"].iter().all(|name| {
        let end = format!("keyring   {name}.{user}: empty");
        let mut lines = keys.lines().filter(|line| line.trim_end().ends_with(&end));
        lines.any(|line| line.split_ascii_whitespace().nth(4) == Some(permissions.as_str()))
    })
}

/// A kernel without keys, or one that refuses the calls to a container (Docker's default), refuses them to jobs too.
fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| if is_any(&error, &[ENOSYS, EPERM]) { Ok(()) } else { Err(error) })
}

fn is_any(error: &io::Error, codes: &[i32]) -> bool {
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyrings_are_sealed_if_both_are_empty_and_nobody_may_change_them() {
        let keys = |own: &str, session: &str| {
            format!(
                "04fe6044 I--Q---     2 perm {own}     7 65534 keyring   _uid.7{session}\n\
                 0aaaaaaa I--Q---     2 perm 1f3f0000     7 65534 keyring   _uid.77: 1\n\
                 32035d7d I--Q---     1 perm 01010000     7 65534 keyring   _uid_ses.7: empty\n"
            )
        };
        assert!(are_sealed(&keys("01010000", ": empty"), 7));
        assert!(!are_sealed(&keys("01010000", ": 1"), 7));
        assert!(!are_sealed(&keys("00000000", ": empty"), 7));
        assert!(!are_sealed(&keys("01010000", ": empty"), 77));
        assert!(!are_sealed("", 7));
        let of_a_job = "00000007 I--Q---     1 perm 3f3f3f3f     7     7 keyring   _uid.7: empty\n";
        assert!(are_sealed(&format!("{of_a_job}{}", keys("01010000", ": empty")), 7));
    }
}
