//! The file in the state directory by which a command on the same machine finds
//! the server and gets its token. Only the server's user can read it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use ecsrunner_core::id::{ServiceName, TaskId};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::state_dir::{self, StateDir, StateDirError};
use crate::task::TaskDir;

pub(crate) const FILE: &str = "server.json";

/// The address and token of a server, from its state directory.
#[derive(Clone, Debug)]
pub struct Attachment {
    pub url: String,
    /// The bearer token that the API requires.
    pub token: SecretString,
    /// The configuration file that it was started with.
    pub config: PathBuf,
    /// Why services listen on ports of their own, if they do not have a network namespace with their task.
    pub own_ports: Option<String>,
    state: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    url: String,
    token: String,
    config: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own_ports: Option<String>,
}

/// Why no server can be found by a directory.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The directory has no such file.
    #[error("{0} is not a state directory: no server has been started with it")]
    NoState(PathBuf),
    /// The file exists but cannot be used.
    #[error("{file} cannot be read")]
    Unreadable {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Attachment {
    /// Reads the file that the last server of a state directory wrote.
    ///
    /// # Errors
    ///
    /// Fails if no server wrote one, or if it cannot be read.
    pub fn read(state: &Path) -> Result<Self, AttachError> {
        let file = state.join(FILE);
        let text = std::fs::read(&file).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => AttachError::NoState(state.to_owned()),
            _ => AttachError::Unreadable { file: file.clone(), source },
        })?;
        // The file holds a secret, which the parser's message could quote.
        let stored: Stored = serde_json::from_slice(&text).map_err(|_| AttachError::Unreadable {
            file,
            source: io::Error::new(io::ErrorKind::InvalidData, "its format is not that of this release"),
        })?;
        Ok(Self {
            url: stored.url,
            token: stored.token.into(),
            config: stored.config,
            own_ports: stored.own_ports,
            state: state.to_owned(),
        })
    }

    /// Checks that others can neither change nor replace the state directory.
    ///
    /// # Errors
    ///
    /// They can, or it cannot be read.
    pub fn check_custody(&self) -> anyhow::Result<()> {
        Ok(state_dir::check(&self.state)?)
    }

    /// Opens the log of a task's agent and listener, or of a service beside them.
    ///
    /// # Errors
    ///
    /// Fails if the task is not known, or its directory has been removed.
    pub fn log(&self, task: &TaskId, service: Option<&ServiceName>) -> io::Result<File> {
        let dir = TaskDir::at(self.state.join("tasks").join(task.as_str()));
        File::open(service.map_or_else(|| dir.log(), |service| dir.service_log(service)))
    }
}

/// Writes the file for a server that serves at `url`.
pub(crate) fn leave(
    state: &StateDir,
    url: &str,
    token: &SecretString,
    config: &Path,
    own_ports: Option<String>,
) -> Result<(), StateDirError> {
    let stored = Stored {
        url: url.to_owned(),
        token: token.expose_secret().to_owned(),
        config: config.to_owned(),
        own_ports,
    };
    let text = serde_json::to_vec(&stored).map_err(|error| state.fault_of(FILE, error.into()))?;
    state.write(FILE, &text)
}

/// Refuses a configuration file whose path cannot be stored in [`FILE`].
pub(crate) fn check_config(config: &Path, mistakes: &mut Vec<String>) {
    if config.to_str().is_none() {
        mistakes.push(format!(
            "configuration file: `{}`: a path in UTF-8 is expected, because {FILE} names it for commands",
            config.display()
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_path_that_cannot_be_stored_leaves_no_empty_file() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("state")).unwrap();
        let config = Path::new(OsStr::from_bytes(b"/etc/\xff.toml"));
        let mut mistakes = Vec::new();
        check_config(config, &mut mistakes);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(leave(&state, "http://127.0.0.1:1", &SecretString::from("token"), config, None).is_err());
        assert!(!dir.path().join("state").join(FILE).exists());
        let (config, mut mistakes) = (Path::new("/etc/ecsrunner.toml"), Vec::new());
        check_config(config, &mut mistakes);
        assert_eq!(mistakes, [""; 0]);
        leave(&state, "http://127.0.0.1:1", &SecretString::from("token"), config, None).unwrap();
        assert_eq!(Attachment::read(&dir.path().join("state")).unwrap().config, config);
    }
}
