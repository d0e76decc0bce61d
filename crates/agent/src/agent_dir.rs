//! The files that the agent and its job-started hook share.
//!
//! All are made exclusively in a directory of the agent's own, so that where
//! the agent is root and the listener is not, a job can change none of them.
//! The one that it can write into is the FIFO, for its hook runs as its user.
//! What arrives there has one meaning, "refuse the job that runs now": a job
//! that writes it itself ends itself, and no more. Where agent and job are the
//! same user, the job can do to the agent whatever that user can; the files
//! are then no more than a convention.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ecsrunner_core::boot::{BootItem, Fail};
use ecsrunner_core::policy::Policy;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, geteuid, mkfifo};
use serde::{Deserialize, Serialize};

/// What the hook judges by: all of the boot item that a job may see.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Rules {
    pub(crate) policy: Policy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fail: Option<Fail>,
}

impl From<BootItem> for Rules {
    fn from(item: BootItem) -> Self {
        Self { policy: item.policy, fail: item.fail }
    }
}

/// `job-started.sh`: the official runner takes only hooks that end in `.sh` or `.ps1`.
pub(crate) fn script_path(dir: &Path) -> PathBuf {
    dir.join("job-started.sh")
}

/// `policy.json`, a [`Rules`].
pub(crate) fn rules_path(dir: &Path) -> PathBuf {
    dir.join("policy.json")
}

/// `job`: the display name of the job that runs, once the listener has told it.
pub(crate) fn job_path(dir: &Path) -> PathBuf {
    dir.join("job")
}

/// `refusals`, the FIFO.
pub(crate) fn refusals_path(dir: &Path) -> PathBuf {
    dir.join("refusals")
}

/// The directory could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentDirError {
    #[error("agent directory `{0}` is not a directory that only this user can write into")]
    Shared(PathBuf),
    #[error("`{path}` cannot be made")]
    File { path: PathBuf, source: io::Error },
}

/// The directory and the agent's end of the FIFO. Dropping it removes the files.
pub(crate) struct AgentDir {
    path: PathBuf,
    fifo: File,
}

impl AgentDir {
    /// Makes the files. `group` is the listener's, where the listener is another user.
    pub(crate) fn create(
        path: &Path,
        rules: &Rules,
        hook_command: &[&str],
        group: Option<Gid>,
    ) -> Result<Self, AgentDirError> {
        let failed = |path: PathBuf| |source| AgentDirError::File { path, source };
        make_directory(path)?;
        let command: Vec<_> = hook_command.iter().map(|word| quoted(word)).collect();
        let text = format!("#!/bin/sh\nexec {} {}\n", command.join(" "), quoted(&path.to_string_lossy()));
        write_new(&script_path(path), text.as_bytes(), 0o755).map_err(failed(script_path(path)))?;
        let text = serde_json::to_vec(rules).map_err(io::Error::other);
        text.and_then(|text| write_new(&rules_path(path), &text, 0o644)).map_err(failed(rules_path(path)))?;
        let fifo = open_fifo(&refusals_path(path), group).map_err(failed(refusals_path(path)))?;
        Ok(Self { path: path.to_owned(), fifo })
    }

    /// The hook script's absolute path.
    pub(crate) fn script(&self) -> PathBuf {
        script_path(&self.path)
    }

    /// Lets the hook know which job it is in: GitHub tells a step the job's id
    /// in the workflow, never its display name.
    pub(crate) fn write_job(&self, name: &str) -> io::Result<()> {
        let new = self.path.join("job.new");
        write_new(&new, name.as_bytes(), 0o644)?;
        fs::rename(new, job_path(&self.path))
    }

    /// The FIFO, to poll.
    pub(crate) fn fifo(&self) -> BorrowedFd<'_> {
        self.fifo.as_fd()
    }

    /// What was written into the FIFO, if anything was: one printable sentence.
    pub(crate) fn take_refusal(&mut self) -> Option<String> {
        let mut bytes = [0; 1024];
        let read = self.fifo.read(&mut bytes).ok().filter(|read| *read > 0)?;
        let text = String::from_utf8_lossy(&bytes[..read]);
        let line = text.lines().next().unwrap_or_default();
        Some(line.chars().filter(|c| !c.is_control()).take(300).collect())
    }
}

impl Drop for AgentDir {
    fn drop(&mut self) {
        for file in
            [script_path(&self.path), rules_path(&self.path), job_path(&self.path), refusals_path(&self.path)]
        {
            // What is not there any more needs no removing.
            let _ = fs::remove_file(file);
        }
        let _ = fs::remove_dir(&self.path);
    }
}

fn make_directory(path: &Path) -> Result<(), AgentDirError> {
    let failed = |source| AgentDirError::File { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(found) => {
            let own = found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o022 == 0;
            if own { Ok(()) } else { Err(AgentDirError::Shared(path.to_owned())) }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(failed)?;
            // Whatever the umask is, the listener's user has to get to the hook.
            fs::set_permissions(path, Permissions::from_mode(0o755)).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(mode))
}

/// Readable by the agent alone, and writable by the listener's group where
/// there is one. Opened for writing too, so that it never reports an end.
fn open_fifo(path: &Path, group: Option<Gid>) -> io::Result<File> {
    mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
    if let Some(group) = group {
        nix::unistd::chown(path, None, Some(group))?;
        fs::set_permissions(path, Permissions::from_mode(0o620))?;
    }
    OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
}

/// A word of a shell's command line.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word_for_the_shell() {
        assert_eq!(quoted("/a b/$(x)"), "'/a b/$(x)'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn files_that_are_there_already_are_not_taken_for_ones_own() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        fs::write(rules_path(dir.path()), "{}").unwrap();
        let rules = Rules { policy: serde_json::from_str(r#"{"repositories":["*"]}"#).unwrap(), fail: None };
        let error = AgentDir::create(dir.path(), &rules, &["agent"], None).err().unwrap();
        assert!(error.to_string().ends_with("policy.json` cannot be made"), "{error}");
    }

    #[test]
    fn a_directory_that_others_can_write_into_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(make_directory(dir.path()), Err(AgentDirError::Shared(_))));
    }
}
