//! Tests which directories and programs the runners' users can access.
//!
//! A real attempt also covers access control lists, groups and read-only file
//! systems, which mode bits do not show. Only a separate process can become
//! other users, so the server starts its own executable as the probe.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, Gid, Uid, faccessat, setegid, seteuid, setgroups};
use serde::{Deserialize, Serialize};

use crate::accounts::Account;

/// The first argument that makes an executable the probe. It reads the request
/// from standard input and writes the answer to standard output.
pub const PROBE_SUBCOMMAND: &str = "local-probe";

#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The users to test. If empty, the process's own user.
    pub(crate) users: Vec<Account>,
    /// Directories that every user must be able to list.
    pub(crate) directories: Vec<PathBuf>,
    /// Files that every user must be able to execute.
    pub(crate) programs: Vec<PathBuf>,
}

/// An access that one user does not have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub(crate) user: String,
    pub(crate) path: PathBuf,
    /// The error of the system.
    pub(crate) error: String,
}

impl Request {
    /// Tests everything, in a process of `executable` if other users are to be tested.
    pub(crate) fn run(&self, executable: &Path) -> io::Result<Vec<Refused>> {
        if self.users.is_empty() {
            return Ok(self.open()?.refusals(&format!("user id {}", nix::unistd::geteuid())));
        }
        let mut child = Command::new(executable)
            .arg(PROBE_SUBCOMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().ok_or_else(|| io::Error::other("it has no standard input"))?;
        stdin.write_all(&serde_json::to_vec(self)?)?;
        drop(stdin);
        let output = child.wait_with_output()?;
        if !output.status.success() {
            return Err(io::Error::other(format!("it ended with {}", output.status)));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Opens the directories as the process's user. Each is then tested alone: the
    /// modes of the directories above it have no effect.
    fn open(&self) -> io::Result<Opened<'_>> {
        let mut directories = Vec::new();
        for path in &self.directories {
            match File::open(path) {
                Ok(dir) => directories.push((path, Ok(dir))),
                // Only a missing permission is a result; other errors are faults.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    directories.push((path, Err(error)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Opened { directories, programs: &self.programs })
    }
}

/// Directories that root, or the server's own user, has opened.
struct Opened<'a> {
    directories: Vec<(&'a PathBuf, io::Result<File>)>,
    programs: &'a [PathBuf],
}

impl Opened<'_> {
    /// Tests everything as the process's current user.
    fn refusals(&self, user: &str) -> Vec<Refused> {
        let mut refused = Vec::new();
        let mut refuse = |path: &Path, error: String| {
            refused.push(Refused { user: user.to_owned(), path: path.to_owned(), error });
        };
        for (path, dir) in &self.directories {
            let listed = match dir {
                Ok(dir) => openat(dir, ".", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
                    .map(drop)
                    .map_err(|errno| io::Error::from(errno).kind().to_string()),
                Err(error) => Err(error.kind().to_string()),
            };
            if let Err(error) = listed {
                refuse(path, error);
            }
        }
        for path in self.programs {
            if let Err(errno) = faccessat(AT_FDCWD, path, AccessFlags::X_OK, AtFlags::AT_EACCESS) {
                refuse(path, io::Error::from(errno).kind().to_string());
            }
        }
        refused
    }
}

/// Answers a request, in a process that is root and has no other threads.
#[must_use]
pub fn main() -> ExitCode {
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The process shares the server's standard error.
            let _told = writeln!(io::stderr(), "error: cannot test the users' access: {error}");
            ExitCode::FAILURE
        }
    }
}

fn answer() -> io::Result<()> {
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text)?;
    let request: Request = serde_json::from_slice(&text)?;
    let opened = request.open()?;
    let mut refused = Vec::new();
    for user in &request.users {
        assume(user)?;
        refused.extend(opened.refusals(&user.label()));
        seteuid(Uid::from_raw(0))?;
    }
    io::stdout().write_all(&serde_json::to_vec(&refused)?)
}

/// Makes this process act as the user in the file system.
fn assume(user: &Account) -> io::Result<()> {
    let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups)?;
    setegid(Gid::from_raw(user.gid))?;
    Ok(seteuid(Uid::from_raw(user.uid))?)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn each_program_that_cannot_be_executed_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (good, bad) = (dir.path().join("good"), dir.path().join("bad"));
        for (path, mode) in [(&good, 0o755), (&bad, 0o644)] {
            fs::write(path, "").unwrap();
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        let request = Request {
            users: Vec::new(),
            directories: vec![dir.path().to_owned()],
            programs: vec![good, bad.clone()],
        };
        let refused = request.run(Path::new("unused")).unwrap();
        assert_eq!(refused.iter().map(|it| &it.path).collect::<Vec<_>>(), [&bad]);
    }
}
