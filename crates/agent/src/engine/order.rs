//! What a keeper is told about the engine that it runs.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::network::Addresses;
use crate::cgroups::TaskCgroup;

/// How an engine sees the files of this machine. On one machine a task has a `/tmp` of its
/// own, and its engine must see the same one: a job passes paths to it.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct View {
    /// Directories, and where each is seen.
    pub binds: Vec<(PathBuf, PathBuf)>,
    /// Paths that stay visible, also below such a place.
    pub kept: Vec<PathBuf>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The engine's own directory.
    pub(crate) dir: PathBuf,
    /// The socket of the runner's user.
    pub(crate) socket: PathBuf,
    /// The runner's user and group, if they are not this process's own.
    pub(crate) owner: Option<(u32, u32)>,
    /// The executable that runs the agent's subcommands.
    pub(crate) executable: String,
    pub(crate) dockerd: PathBuf,
    /// The operator's arguments of `dockerd`.
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, OsString)>,
    /// Where the engine's networks are taken from; `None` for `dockerd`'s own defaults.
    pub(crate) addresses: Option<Addresses>,
    /// Seconds until the engine must answer.
    pub(crate) limit_secs: u64,
    pub(crate) view: View,
}

impl Order {
    const FILE: &str = "engine.json";

    /// The images, containers and volumes.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The output of `dockerd`.
    pub(crate) fn log(dir: &Path) -> PathBuf {
        dir.join("dockerd.log")
    }

    /// The cgroup of this engine's task. No other task of the machine has this name.
    pub(crate) fn cgroup(dir: &Path) -> String {
        TaskCgroup::of(dir.parent().unwrap_or(dir)).name().to_owned()
    }

    /// The cgroup of all containers of this engine.
    pub(crate) fn containers(dir: &Path) -> String {
        format!("{}/containers", Self::cgroup(dir))
    }

    /// The runner's user, if it is not this process's own.
    pub(crate) fn runner(&self) -> Option<u32> {
        self.owner.map(|(uid, _)| uid)
    }

    pub(crate) fn write(&self) -> io::Result<()> {
        let file = self.dir.join(Self::FILE);
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(file)?;
        file.write_all(&serde_json::to_vec(self)?)
    }

    pub(crate) fn read(dir: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(dir.join(Self::FILE))?)?)
    }
}
