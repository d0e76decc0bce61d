//! Removes what jobs left behind, in a process of its own.
//!
//! A job shapes its files: it can nest directories so deeply that a recursive walk overflows the stack, and leave so
//! many files that a walk takes minutes. So the walk is iterative and has a deadline, and the server only waits for the
//! process. What is left after the deadline is removed by a later one.

use std::ffi::{CStr, CString};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use ecsrunner_agent::{engine, network};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmod, fchmodat, fstatat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

/// The first argument that makes an executable the remover. It reads the [`Removal`] from its second argument.
pub const REMOVAL_SUBCOMMAND: &str = "local-remove";

/// How long one process may take. The next sweep starts another one.
const LIMIT: Duration = Duration::from_secs(50);
/// The exit code if something is left.
const LEFT: u8 = 75;
/// How long such a process may take to end after its time.
const MARGIN: Duration = Duration::from_secs(10);
/// Directories of others are not searched deeper than this for a user's files.
const MAX_DEPTH: usize = 64;

/// What is to be removed, in this order.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Removal {
    /// The directory of a Docker engine, whose end is waited for. Its cgroup is removed.
    pub(crate) engine: Option<PathBuf>,
    /// The directory by which a Docker engine that has ended is known. Its bridges and rules are removed.
    #[serde(default)]
    pub(crate) engine_network: Option<PathBuf>,
    /// The directory by which the keeper of a network namespace is known, whose end is waited for. What the namespace left
    /// on this machine is removed.
    #[serde(default)]
    pub(crate) network: Option<PathBuf>,
    /// Directories that are removed with everything in them.
    pub(crate) directories: Vec<PathBuf>,
    /// A user whose files are removed from `shared`.
    pub(crate) user: Option<u32>,
    /// Directories that several users write to.
    pub(crate) shared: Vec<PathBuf>,
}

impl Removal {
    /// Runs in a process of `executable`. Returns whether nothing is left.
    pub(crate) async fn run(&self, executable: &Path) -> io::Result<bool> {
        let mut child = Command::new(executable)
            .arg(REMOVAL_SUBCOMMAND)
            .arg(serde_json::to_string(self)?)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let Ok(status) = tokio::time::timeout(LIMIT + MARGIN, child.wait()).await else { return Ok(false) };
        let status = status?;
        match status.code() {
            Some(0) => Ok(true),
            Some(code) if code == i32::from(LEFT) => Ok(false),
            _ => Err(io::Error::other(format!("the process that removes files ended with {status}"))),
        }
    }

    /// Removes everything in this process. What cannot be removed keeps nothing else.
    fn perform(&self, deadline: Instant) -> io::Result<()> {
        let mut remover = Remover { deadline, moved: 0 };
        let mut left = self.engine.as_ref().map_or(Ok(()), |engine| engine::end(engine, deadline));
        left =
            left.and(self.engine_network.as_ref().map_or(Ok(()), |network| engine::remove_network(network)));
        left = left.and(self.network.as_ref().map_or(Ok(()), |network| network::clean_up(network, deadline)));
        for directory in &self.directories {
            left = left.and(remover.remove(directory));
        }
        let Some(user) = self.user else { return left };
        for directory in &self.shared {
            left = left.and(remover.remove_of(user, directory));
        }
        left
    }
}

/// Answers to [`REMOVAL_SUBCOMMAND`].
#[must_use]
pub fn main(removal: &str) -> ExitCode {
    let removal: Result<Removal, _> = serde_json::from_str(removal);
    let result = removal.map_err(io::Error::from).and_then(|it| it.perform(Instant::now() + LIMIT));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The process shares the server's standard error.
            let _told = writeln!(io::stderr(), "warning: what a job left could not be removed: {error}");
            ExitCode::from(LEFT)
        }
    }
}

struct Remover {
    deadline: Instant,
    /// How many directories were moved, for their names.
    moved: u64,
}

impl Remover {
    /// Removes a directory and everything in it. A directory that does not exist is no error.
    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ErrorKind::InvalidInput.into());
        };
        let parent = match open_dir(AT_FDCWD, &c_string(parent.as_os_str())?) {
            Err(Errno::ENOENT) => return Ok(()),
            opened => opened?,
        };
        self.remove_at(&parent, &c_string(name)?)
    }

    fn remove_at(&mut self, parent: &OwnedFd, name: &CStr) -> io::Result<()> {
        let top = match open_own(parent, name) {
            Err(Errno::ENOENT) => return Ok(()),
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                return done(unlinkat(parent, name, UnlinkatFlags::NoRemoveDir));
            }
            opened => opened?,
        };
        self.empty(&top)?;
        done(unlinkat(parent, name, UnlinkatFlags::RemoveDir))
    }

    /// Empties a directory. Directories two levels down are moved up first, so that the depth never matters: each pass
    /// removes a level of what it found. The deadline ends a directory that is filled meanwhile.
    fn empty(&mut self, top: &OwnedFd) -> io::Result<()> {
        open_up(top)?;
        loop {
            let names = self.names(top)?;
            if names.is_empty() {
                return Ok(());
            }
            for name in names {
                self.empty_entry(top, &name)?;
            }
        }
    }

    fn empty_entry(&mut self, top: &OwnedFd, name: &CStr) -> io::Result<()> {
        let below = match open_own(top, name) {
            Err(Errno::ENOENT) => return Ok(()),
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                return done(unlinkat(top, name, UnlinkatFlags::NoRemoveDir));
            }
            below => below?,
        };
        self.flatten(top, &below)?;
        match unlinkat(top, name, UnlinkatFlags::RemoveDir) {
            // The next pass removes what the list of names left out.
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => Ok(()),
            removed => done(removed),
        }
    }

    /// Removes the files of a directory, and moves its directories to `top`.
    fn flatten(&mut self, top: &OwnedFd, below: &OwnedFd) -> io::Result<()> {
        open_up(below)?;
        for name in self.names(below)? {
            match unlinkat(below, name.as_c_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => continue,
                Err(Errno::EISDIR | Errno::EPERM) => {}
                Err(errno) => return Err(errno.into()),
            }
            self.move_up(top, below, &name)?;
        }
        Ok(())
    }

    fn move_up(&mut self, top: &OwnedFd, below: &OwnedFd, name: &CStr) -> io::Result<()> {
        loop {
            self.check_time()?;
            self.moved += 1;
            let free = CString::new(format!(".removed-{}", self.moved))?;
            match renameat(below, name, top, free.as_c_str()) {
                Ok(()) | Err(Errno::ENOENT) => return Ok(()),
                // Moving a directory changes its entry `..`, so it must be writable.
                Err(Errno::EACCES) => open_up(&open_own(below, name)?)?,
                // A job may have made an entry of this name.
                Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR | Errno::EISDIR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Removes a user's entries from a directory that others use too. Other users' directories are searched. What could
    /// not be searched counts as left.
    fn remove_of(&mut self, user: u32, directory: &Path) -> io::Result<()> {
        let top = match open_dir(AT_FDCWD, &c_string(directory.as_os_str())?) {
            Err(Errno::ENOENT) => return Ok(()),
            opened => opened?,
        };
        let mut left = Ok(());
        // Directories are opened when their turn comes, so only those on the way to one are open.
        let mut waiting: Vec<(Rc<OwnedFd>, CString, usize)> = Vec::new();
        let mut at = Some((Rc::new(top), 0));
        while let Some((directory, depth)) = at {
            for name in self.all_names(&directory)? {
                let found = match fstatat(&directory, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
                    Err(Errno::ENOENT) => continue,
                    found => found?,
                };
                if found.st_uid == user {
                    left = left.and(self.remove_at(&directory, &name));
                } else if is_dir(&found) {
                    waiting.push((Rc::clone(&directory), name, depth + 1));
                }
            }
            at = None;
            while let Some((parent, name, depth)) = waiting.pop() {
                match open_dir(&*parent, &name) {
                    Ok(below) if depth <= MAX_DEPTH => {
                        at = Some((Rc::new(below), depth));
                        break;
                    }
                    Ok(_) => left = left.and(Err(io::Error::other("a directory is too deep to be searched"))),
                    Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {}
                    Err(errno) => left = left.and(Err(errno.into())),
                }
            }
        }
        left
    }

    /// Lists a part of a directory that is about to be emptied.
    fn names(&self, directory: &OwnedFd) -> io::Result<Vec<CString>> {
        self.list(directory, MAX_NAMES)
    }

    fn all_names(&self, directory: &OwnedFd) -> io::Result<Vec<CString>> {
        self.list(directory, usize::MAX)
    }

    /// Lists a directory, without `.` and `..`.
    fn list(&self, directory: &OwnedFd, limit: usize) -> io::Result<Vec<CString>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut names = Vec::new();
        for entry in Dir::openat(directory.as_fd(), c".", flags, Mode::empty())?.iter().take(limit) {
            let name = entry?.file_name().to_owned();
            if name.as_c_str() != c"." && name.as_c_str() != c".." {
                names.push(name);
            }
        }
        self.check_time()?;
        Ok(names)
    }

    fn check_time(&self) -> io::Result<()> {
        if Instant::now() < self.deadline {
            return Ok(());
        }
        Err(io::Error::new(ErrorKind::TimedOut, format!("it takes longer than {} s", LIMIT.as_secs())))
    }
}

/// Entries of a directory that are held in memory.
const MAX_NAMES: usize = 50_000;

fn is_dir(found: &FileStat) -> bool {
    SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR
}

fn open_dir(at: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(at, name, flags, Mode::empty())
}

/// Opens a directory of a job's, which may have taken this process's permissions away. Root never lacks them.
fn open_own(at: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    match open_dir(at, name) {
        Err(Errno::EACCES) if !geteuid().is_root() => {
            // A link that a job puts there meanwhile leads to nothing that the job's user could not change itself.
            fchmodat(at, name, Mode::S_IRWXU, FchmodatFlags::FollowSymlink)?;
            open_dir(at, name)
        }
        opened => opened,
    }
}

/// Lets this process's user change a directory of its own.
fn open_up(directory: &OwnedFd) -> Result<(), Errno> {
    if geteuid().is_root() { Ok(()) } else { fchmod(directory, Mode::S_IRWXU) }
}

fn done(removed: Result<(), Errno>) -> io::Result<()> {
    match removed {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn c_string(text: &std::ffi::OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}

#[cfg(test)]
mod tests;
