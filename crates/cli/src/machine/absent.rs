//! In place of the local mode, on a system that has none: nothing can be read, and the error says why.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use ecsrunner_core::id::{ServiceName, TaskId};
use ecsrunner_core::rules::class::Catalogue;
use ecsrunner_core::rules::settings::Settings;
use ecsrunner_github::{ApiUrl, Client};
use secrecy::SecretString;

/// A file or directory of a server on Linux.
#[derive(Debug, thiserror::Error)]
#[error("{} is of a server on Linux, and this is {}", .0.display(), std::env::consts::OS)]
pub(crate) struct Absent(PathBuf);

#[derive(Debug, thiserror::Error)]
pub(crate) enum AttachError {
    #[error(transparent)]
    NoState(#[from] Absent),
    #[error("{file} cannot be read")]
    #[expect(dead_code, reason = "the commands tell it apart, and only Linux has such a file")]
    Unreadable {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Values that override a configuration.
#[derive(Clone, Debug, Default)]
#[expect(dead_code, reason = "there is no configuration to override")]
pub(crate) struct Overrides {
    pub(crate) github_api_url: Option<String>,
    pub(crate) webhook_secret_file: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub(crate) struct Attachment {
    pub(crate) url: String,
    pub(crate) token: SecretString,
    pub(crate) config: PathBuf,
}

impl Attachment {
    pub(crate) fn read(state: &Path) -> Result<Self, AttachError> {
        Err(Absent(state.to_owned()).into())
    }

    pub(crate) fn check_custody(&self) -> anyhow::Result<()> {
        Err(Absent(self.config.clone()).into())
    }

    pub(crate) fn log(&self, _task: &TaskId, _service: Option<&ServiceName>) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

pub(crate) fn check_program(program: &Path) -> anyhow::Result<()> {
    Err(Absent(program.to_owned()).into())
}

#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) github_api: ApiUrl,
    pub(crate) github: Client,
    pub(crate) exposed: Vec<PathBuf>,
}

impl Config {
    pub(crate) fn read(file: &Path, _overrides: &Overrides) -> Result<Self, Absent> {
        Err(Absent(file.to_owned()))
    }

    pub(crate) fn rules(file: &Path) -> Result<(Settings, Catalogue), Absent> {
        Err(Absent(file.to_owned()))
    }
}
