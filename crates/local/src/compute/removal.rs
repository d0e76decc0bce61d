//! Removes what jobs left behind, in a process of its own.
//!
//! A job shapes its files: it can nest directories so deeply that a recursive walk overflows the stack, and leave so
//! many files that a walk takes minutes. So the walk is iterative and has a deadline, and the server only waits for the
//! process. What is left after the deadline is removed by a later one.

use std::ffi::{CStr, CString};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, fstatat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use serde::{Deserialize, Serialize};

/// The first argument that makes an executable the remover. It reads the [`Removal`] from its second argument.
pub const REMOVAL_SUBCOMMAND: &str = "local-remove";

/// How long one process may take. The next sweep starts another one.
const LIMIT: Duration = Duration::from_secs(50);
/// The exit code if something is left.
const LEFT: u8 = 75;
/// Directories of others are not searched deeper than this for a user's files.
const MAX_DEPTH: usize = 16;

/// What is to be removed, in this order.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Removal {
    /// A user whose files are removed from `shared`.
    pub(crate) user: Option<u32>,
    /// Directories that several users write to.
    pub(crate) shared: Vec<PathBuf>,
    /// Directories that are removed with everything in them.
    pub(crate) directories: Vec<PathBuf>,
}

impl Removal {
    /// Runs in a process of `executable`. Returns whether nothing is left.
    pub(crate) fn run(&self, executable: &Path) -> io::Result<bool> {
        let status = Command::new(executable)
            .arg(REMOVAL_SUBCOMMAND)
            .arg(serde_json::to_string(self)?)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0)
            .status()?;
        match status.code() {
            Some(0) => Ok(true),
            Some(code) if code == i32::from(LEFT) => Ok(false),
            _ => Err(io::Error::other(format!("the process that removes files ended with {status}"))),
        }
    }

    /// Removes everything in this process.
    fn perform(&self, deadline: Instant) -> io::Result<()> {
        let mut remover = Remover { deadline, moved: 0 };
        if let Some(user) = self.user {
            self.shared.iter().try_for_each(|directory| remover.remove_of(user, directory))?;
        }
        self.directories.iter().try_for_each(|directory| remover.remove(directory))
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
            self.moved += 1;
            let free = CString::new(format!(".removed-{}", self.moved))?;
            match renameat(below, name, top, free.as_c_str()) {
                Ok(()) | Err(Errno::ENOENT) => return Ok(()),
                // Moving a directory changes its entry `..`, so it must be writable.
                Err(Errno::EACCES) => open_up(below, name)?,
                // A job may have made an entry of this name.
                Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR | Errno::EISDIR) => {
                    self.check_time()?
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Removes a user's entries from a directory that others use too. Other users' directories are searched.
    fn remove_of(&mut self, user: u32, directory: &Path) -> io::Result<()> {
        let top = match open_dir(AT_FDCWD, &c_string(directory.as_os_str())?) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
            opened => opened?,
        };
        let mut open = vec![(top, 0)];
        while let Some((directory, depth)) = open.pop() {
            for name in self.names(&directory)? {
                let found = match fstatat(&directory, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
                    Err(Errno::ENOENT) => continue,
                    found => found?,
                };
                if found.st_uid == user {
                    self.remove_at(&directory, &name)?;
                } else if is_dir(&found) && depth < MAX_DEPTH {
                    // A directory that this process cannot open, such as a FUSE mount of another user's, holds nothing
                    // that later jobs could open.
                    open.extend(open_dir(&directory, &name).ok().map(|below| (below, depth + 1)));
                }
            }
        }
        Ok(())
    }

    /// Lists a directory, without `.` and `..`.
    fn names(&self, directory: &OwnedFd) -> io::Result<Vec<CString>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut names = Vec::new();
        for entry in Dir::openat(directory.as_fd(), c".", flags, Mode::empty())?.iter() {
            let name = entry?.file_name().to_owned();
            if name.as_c_str() != c"." && name.as_c_str() != c".." {
                names.push(name);
            }
            if names.len() == MAX_NAMES {
                break;
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

/// Opens a directory of a job's, which may have taken this process's permissions away.
fn open_own(at: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    match open_dir(at, name) {
        Err(Errno::EACCES) => {
            open_up(at, name)?;
            open_dir(at, name)
        }
        opened => opened,
    }
}

/// Gives this process's user back its permissions. Root never lacks them, so a link that a job puts there meanwhile leads
/// to nothing that the job's user could not change itself.
fn open_up(at: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    if geteuid().is_root() {
        return Err(Errno::EACCES);
    }
    fchmodat(at, name, Mode::S_IRWXU, FchmodatFlags::FollowSymlink)
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
