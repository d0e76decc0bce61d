//! The state directory: one server at a time, and what outlives it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;

use crate::compute::modes;
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
        make(path).map_err(fault)?;
        // A relative path would mean another directory to a task.
        let path = path.canonicalize().map_err(fault)?;
        close_files(&path).map_err(fault)?;
        modes::set_mode(&path, modes::upper_dir()).map_err(fault)?;
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

/// Makes the directory and those above it. As root, runners of other users must
/// be able to list them, so the umask has no effect.
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

/// Makes every file directly in the directory readable by its owner alone.
fn close_files(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            modes::set_private(&entry.path())?;
        }
    }
    Ok(())
}

/// Writes a file, readable by its owner alone, that is there whole or not at all.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
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
        for name in ["lock", "dynamodb.sqlite", "server.json"] {
            fs::write(path.join(name), "").unwrap();
            modes::set_mode(&path.join(name), 0o644).unwrap();
        }
        let state = StateDir::open(&path).unwrap();
        let upper = if geteuid().is_root() { 0o755 } else { 0o700 };
        assert_eq!(mode(&path), upper);
        for name in ["lock", "dynamodb.sqlite", "server.json"] {
            assert_eq!(mode(&path.join(name)), 0o600, "{name}");
        }
        state.secret("task-keys").unwrap();
        assert_eq!(mode(&path.join("task-keys")), 0o600);
    }

    #[test]
    fn directories_above_are_made_so_that_runners_can_list_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("srv/ci/state");
        // The umask of a login shell that keeps everything private.
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
