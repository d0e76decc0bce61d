//! The state directory: the lock that admits one server at a time, and the files
//! that outlive the server.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::unistd::geteuid;

use crate::attach;
use crate::compute::modes;
use crate::custody::{self, Untrusted};
use crate::machine::random;

const LOCK: &str = "lock";
const DATABASE: &str = "dynamodb.sqlite";
const PAUSED: &str = "paused";
const TASKS: &str = "tasks";
/// An empty directory in place of a task's. Jobs never write to it.
const PROBE: &str = "probe";
/// The server's files directly in the directory, including those of older
/// releases. Other files there are the operator's, such as the executable.
const FILES: [&str; 8] = [
    LOCK,
    DATABASE,
    "dynamodb.sqlite-wal",
    "dynamodb.sqlite-shm",
    PAUSED,
    "task-keys",
    "boot-port",
    attach::FILE,
];

/// Its directories.
const DIRECTORIES: [&str; 2] = [TASKS, PROBE];

/// A state directory whose lock this process holds.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    _lock: Flock<File>,
}

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateDirError {
    /// Another server holds it.
    #[error(
        "the state directory {0} is in use by another server: stop that server, or use another `--state`"
    )]
    InUse(PathBuf),
    /// A file operation failed.
    #[error("the state directory {path} cannot be used")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Others own a part of it or can change it.
    #[error("the state directory {0} cannot be trusted")]
    Untrusted(PathBuf, #[source] Untrusted),
}

impl StateDir {
    pub(crate) fn open(path: &Path) -> Result<Self, StateDirError> {
        let fault = |source| StateDirError::Io { path: path.to_owned(), source };
        make(path).map_err(fault)?;
        // By the given path, whose links others could change.
        check(path)?;
        // Tasks have another working directory, so the path must be absolute.
        let path = path.canonicalize().map_err(fault)?;
        close_files(&path).map_err(fault)?;
        modes::set_mode(&path, modes::upper_dir()).map_err(fault)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path.join(LOCK))
            .map_err(fault)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { path, _lock: lock }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(StateDirError::InUse(path)),
            Err((_, errno)) => Err(fault(errno.into())),
        }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    pub(crate) fn tasks(&self) -> PathBuf {
        self.path.join(TASKS)
    }

    /// Makes and returns an empty directory in which a confinement is tried out.
    pub(crate) fn probe_dir(&self) -> Result<PathBuf, StateDirError> {
        let path = self.path.join(PROBE);
        let fault = |source| StateDirError::Io { path: path.clone(), source };
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
        fs::create_dir(&path).map_err(fault)?;
        modes::set_mode(&path, modes::PRIVATE_DIR).map_err(fault)?;
        Ok(path)
    }

    /// The file that exists while launches are paused.
    pub(crate) fn brake(&self) -> PathBuf {
        self.path.join(PAUSED)
    }

    /// Returns a secret of this directory, which is generated at the first call.
    pub(crate) fn secret(&self, name: &str) -> Result<[u8; 32], StateDirError> {
        let path = self.path.join(name);
        let fault = |source| StateDirError::Io { path: path.clone(), source };
        let mut bytes = [0; 32];
        let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(&path);
        match file.and_then(|mut file| file.read_exact(&mut bytes)) {
            Ok(()) => return Ok(bytes),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => {}
            Err(error) => return Err(fault(error)),
        }
        let bytes = random();
        self.write(name, &bytes)?;
        Ok(bytes)
    }

    /// Returns the port that was used last, if any.
    pub(crate) fn port(&self, name: &str) -> Option<u16> {
        fs::read_to_string(self.path.join(name)).ok()?.trim().parse().ok()
    }

    pub(crate) fn remember_port(&self, name: &str, port: u16) -> Result<(), StateDirError> {
        self.write(name, port.to_string().as_bytes())
    }

    /// Writes a file atomically.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), StateDirError> {
        write_whole(&self.path.join(name), content).map_err(|source| self.fault_of(name, source))
    }

    /// Returns the error of a file in it.
    pub(crate) fn fault_of(&self, name: &str, source: io::Error) -> StateDirError {
        StateDirError::Io { path: self.path.join(name), source }
    }
}

/// Checks that root and this process's user alone own a state directory, what the server keeps in it, and everything by
/// which its path is looked up.
pub(crate) fn check(path: &Path) -> Result<(), StateDirError> {
    let fault = |source| StateDirError::Io { path: path.to_owned(), source };
    custody::check_directory(path, &FILES, &DIRECTORIES)
        .map_err(fault)?
        .map_err(|untrusted| StateDirError::Untrusted(path.to_owned(), untrusted))
}

/// Makes the directory and its missing parents. If the server is root, their
/// modes are set explicitly, because runners of other users must list them.
fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Ok(()) if geteuid().is_root() => modes::set_mode(path, modes::upper_dir()),
        created => created,
    }
}

/// Makes the server's files readable only by their owner. Links are not followed.
fn close_files(path: &Path) -> io::Result<()> {
    for file in FILES.map(|name| path.join(name)) {
        if file.symlink_metadata().is_ok_and(|found| found.is_file()) {
            modes::set_private(&file)?;
        }
    }
    Ok(())
}

/// Writes a file atomically, readable only by its owner. The new file is made exclusively, so that it is written into
/// none that others made.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o777
    }

    #[test]
    fn a_state_directory_of_an_older_release_gets_its_modes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        fs::create_dir(&path).unwrap();
        modes::set_mode(&path, 0o711).unwrap();
        for name in FILES {
            fs::write(path.join(name), [0; 32]).unwrap();
            modes::set_mode(&path.join(name), 0o644).unwrap();
        }
        for name in ["ecsrunner", "config.toml"] {
            fs::write(path.join(name), "").unwrap();
            modes::set_mode(&path.join(name), 0o755).unwrap();
        }
        let state = StateDir::open(&path).unwrap();
        let upper = if geteuid().is_root() { 0o755 } else { 0o700 };
        assert_eq!(mode(&path), upper);
        for name in FILES {
            assert_eq!(mode(&path.join(name)), 0o600, "{name}");
        }
        // Runners execute the first; the second is not the server's.
        for name in ["ecsrunner", "config.toml"] {
            assert_eq!(mode(&path.join(name)), 0o755, "{name}");
        }
        fs::remove_file(path.join("task-keys")).unwrap();
        state.secret("task-keys").unwrap();
        assert_eq!(mode(&path.join("task-keys")), 0o600);
    }

    #[test]
    fn every_file_that_a_server_leaves_is_among_those_that_are_closed() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        state.secret("task-keys").unwrap();
        state.remember_port("boot-port", 1).unwrap();
        write_whole(&state.brake(), b"").unwrap();
        let _database = crate::embedded::Embedded::open(&state.database()).unwrap();
        attach::leave(&state, "http://127.0.0.1:1", &"token".to_owned().into(), Path::new("c.toml"), None)
            .unwrap();
        for entry in fs::read_dir(dir.path()).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(FILES.iter().any(|file| name == *file), "{name:?}");
        }
    }

    #[test]
    fn directories_above_are_made_so_that_runners_can_list_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("srv/ci/state");
        // The umask of a login shell that makes all files private.
        let before = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
        let opened = StateDir::open(&path);
        nix::sys::stat::umask(before);
        opened.unwrap();
        if geteuid().is_root() {
            for dir in path.ancestors().take(3) {
                assert_eq!(mode(dir), 0o755, "{}", dir.display());
            }
        } else {
            assert_eq!(mode(&path), 0o700);
        }
    }
}
