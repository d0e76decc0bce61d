//! The state directory: one server at a time, and what outlives it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::machine::random;

/// A state directory whose lock is held.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    _lock: Flock<File>,
}

/// A state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateDirError {
    /// Another server holds it.
    #[error("the state directory {0} is in use by another server")]
    InUse(PathBuf),
    /// The file system says no.
    #[error("the state directory {path} cannot be used")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl StateDir {
    pub(crate) fn open(path: &Path) -> Result<Self, StateDirError> {
        let fault = |source| StateDirError::Io { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(fault)?;
        // A relative path would mean another directory to a task.
        let path = path.canonicalize().map_err(fault)?;
        // As root, runners have users of their own, who must be able to pass through.
        let mode = if nix::unistd::geteuid().is_root() { 0o711 } else { 0o700 };
        fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(fault)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(fault)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { path, _lock: lock }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(StateDirError::InUse(path)),
            Err((_, errno)) => Err(fault(errno.into())),
        }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("dynamodb.sqlite")
    }

    pub(crate) fn tasks(&self) -> PathBuf {
        self.path.join("tasks")
    }

    /// There while launches are paused.
    pub(crate) fn brake(&self) -> PathBuf {
        self.path.join("paused")
    }

    /// A secret of this directory, made once.
    pub(crate) fn secret(&self, name: &str) -> Result<[u8; 32], StateDirError> {
        let path = self.path.join(name);
        let fault = |source| StateDirError::Io { path: path.clone(), source };
        let mut bytes = [0; 32];
        match File::open(&path).and_then(|mut file| file.read_exact(&mut bytes)) {
            Ok(()) => return Ok(bytes),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => {}
            Err(error) => return Err(fault(error)),
        }
        let bytes = random();
        self.write(name, &bytes)?;
        Ok(bytes)
    }

    /// The port that was used last, if any.
    pub(crate) fn port(&self, name: &str) -> Option<u16> {
        fs::read_to_string(self.path.join(name)).ok()?.trim().parse().ok()
    }

    pub(crate) fn remember_port(&self, name: &str, port: u16) -> Result<(), StateDirError> {
        self.write(name, port.to_string().as_bytes())
    }

    /// Writes a file that is there whole or not at all.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), StateDirError> {
        let path = self.path.join(name);
        write_whole(&path, content).map_err(|source| StateDirError::Io { path, source })
    }
}

/// Writes a file, readable by its owner alone, that is there whole or not at all.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)
}
