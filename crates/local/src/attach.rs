//! How a command on the same machine finds a server and may change what it does:
//! by a file in its state directory, which its user alone can read.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use ecsrunner_core::id::TaskId;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::state_dir::{StateDir, StateDirError};
use crate::task::TaskDir;

pub(crate) const FILE: &str = "server.json";

/// A server, as its state directory tells of it.
#[derive(Clone, Debug)]
pub struct Attachment {
    pub url: String,
    /// What its API wants to hear from whoever changes something.
    pub token: SecretString,
    /// The configuration that it was started with.
    pub config: PathBuf,
    state: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    url: String,
    token: String,
    config: PathBuf,
}

/// A directory that no server can be found by.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// There is no such file in it.
    #[error("{0} is no state directory of a server that has been up")]
    NoState(PathBuf),
    /// The file is there and cannot be used.
    #[error("{file} cannot be read")]
    Unreadable {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Attachment {
    /// Reads what the last server of a state directory left there.
    ///
    /// # Errors
    ///
    /// There was none, or another user's.
    pub fn read(state: &Path) -> Result<Self, AttachError> {
        let file = state.join(FILE);
        let text = std::fs::read(&file).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => AttachError::NoState(state.to_owned()),
            _ => AttachError::Unreadable { file: file.clone(), source },
        })?;
        // What it holds is a secret: the parser's words could quote it.
        let stored: Stored = serde_json::from_slice(&text).map_err(|_| AttachError::Unreadable {
            file,
            source: io::Error::new(io::ErrorKind::InvalidData, "it is not in the form of this release"),
        })?;
        Ok(Self {
            url: stored.url,
            token: stored.token.into(),
            config: stored.config,
            state: state.to_owned(),
        })
    }

    /// The log of a task's agent and listener.
    ///
    /// # Errors
    ///
    /// The task is not known, or was forgotten.
    pub fn log(&self, task: &TaskId) -> io::Result<File> {
        File::open(TaskDir::at(self.state.join("tasks").join(task.as_str())).log())
    }
}

/// Leaves word of a server in its state directory.
pub(crate) fn leave(
    state: &StateDir,
    url: &str,
    token: &SecretString,
    config: &Path,
) -> Result<(), StateDirError> {
    let stored =
        Stored { url: url.to_owned(), token: token.expose_secret().to_owned(), config: config.to_owned() };
    let text = serde_json::to_vec(&stored).unwrap_or_default();
    state.write(FILE, &text)
}
