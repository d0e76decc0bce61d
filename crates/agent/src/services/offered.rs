//! What the container hook knows about services: a file in the agent's directory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ecsrunner_core::id::{RunnerName, ServiceName};
use ecsrunner_core::rules::service::offer::Offer;
use serde::{Deserialize, Serialize};

/// The services of the runner's class, and where they are.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Offered {
    pub(crate) offer: Offer,
    pub(crate) at: At,
}

/// Where services run.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum At {
    /// In containers of the same ECS task, whose states this endpoint tells. Agents of older releases do not tell
    /// their runner's name.
    Containers {
        metadata: String,
        #[serde(default)]
        runner: Option<RunnerName>,
    },
    /// In processes of this machine. Each has either a process or a reason why it
    /// has none.
    Processes { processes: BTreeMap<ServiceName, Process>, ended: BTreeMap<ServiceName, String> },
}

/// A service as a process.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Process {
    /// The port that takes the place of the declared one.
    pub(crate) port: u16,
    /// Its own directory.
    pub(crate) dir: PathBuf,
}

impl Process {
    /// Fills in the process's own port and directory.
    pub(crate) fn filled_in(&self, text: &str) -> String {
        text.replace("{port}", &self.port.to_string()).replace("{dir}", &self.dir.to_string_lossy())
    }
}

/// `services.json`, which is missing if no class declares services.
pub(crate) fn path(agent_dir: &Path) -> PathBuf {
    agent_dir.join("services.json")
}

impl Offered {
    /// Reads the file. Returns `None` if there is none.
    pub(crate) fn read(agent_dir: &Path) -> io::Result<Option<Self>> {
        match fs::read(path(agent_dir)) {
            // The parser's words could quote the value of a variable.
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| io::Error::other(format!("no JSON at line {}", error.line()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn is_of_processes(&self) -> bool {
        matches!(self.at, At::Processes { .. })
    }

    /// The ports that take the place of declared ones.
    pub(crate) fn host_ports(&self) -> BTreeMap<ServiceName, u16> {
        match &self.at {
            At::Containers { .. } => BTreeMap::new(),
            At::Processes { processes, .. } => {
                processes.iter().map(|(name, process)| (name.clone(), process.port)).collect()
            }
        }
    }

    /// A service's process, or why it has none. Reads neither for a container.
    pub(crate) fn process(&self, name: &ServiceName) -> Option<Result<Process, String>> {
        let At::Processes { processes, ended } = &self.at else { return None };
        match ended.get(name) {
            Some(why) => Some(Err(why.clone())),
            None => processes.get(name).cloned().map(Ok),
        }
    }
}
