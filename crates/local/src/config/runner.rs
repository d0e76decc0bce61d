//! `[runner]`: the official runner, the users of runners, and what a task has on this machine.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ecsrunner_agent::{AddressesError, engine, network};
use ecsrunner_core::rules::class::Catalogue;
use serde::Deserialize;

use super::Reader;
use crate::{accounts, preflight};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunnerEntry {
    pub(super) dir: PathBuf,
    #[serde(default)]
    pub(super) env: Vec<String>,
    #[serde(default)]
    pub(super) users: Option<Vec<String>>,
    #[serde(default)]
    pub(super) first_uid: Option<u32>,
    #[serde(default)]
    pub(super) tasks: TasksEntry,
    #[serde(default)]
    pub(super) docker: DockerEntry,
    #[serde(default)]
    pub(super) network: NetworkEntry,
}

/// How the Docker engines of tasks are started: `[runner.docker]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DockerEntry {
    /// Further arguments of each `dockerd`.
    pub(crate) dockerd_args: Vec<String>,
    /// The addresses of containers; empty for the defaults of `dockerd`, which only one engine at once can have.
    pub(crate) addresses: String,
}

impl Default for DockerEntry {
    fn default() -> Self {
        Self { dockerd_args: Vec::new(), addresses: "10.201.0.0/16".to_owned() }
    }
}

impl DockerEntry {
    /// Returns the addresses, if engines take their networks from any.
    pub(crate) fn addresses(&self) -> Result<Option<engine::Addresses>, AddressesError> {
        if self.addresses.is_empty() { Ok(None) } else { self.addresses.parse().map(Some) }
    }
}

/// The network namespaces of tasks whose class declares services: `[runner.network]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NetworkEntry {
    /// The addresses of tasks; empty if no task is to have a namespace.
    pub(crate) addresses: String,
    /// What these tasks reach on this machine's loopback.
    pub(crate) loopback: Vec<String>,
}

impl Default for NetworkEntry {
    fn default() -> Self {
        Self { addresses: "10.202.0.0/16".to_owned(), loopback: Vec::new() }
    }
}

impl NetworkEntry {
    /// Returns the addresses, if tasks are to have namespaces.
    pub(crate) fn addresses(&self) -> Result<Option<network::Addresses>, AddressesError> {
        if self.addresses.is_empty() { Ok(None) } else { self.addresses.parse().map(Some) }
    }

    /// Returns the addresses on loopback. Those that are none were refused when the configuration was read.
    pub(crate) fn loopback(&self) -> impl Iterator<Item = SocketAddr> {
        self.loopback.iter().filter_map(|text| on_loopback(text))
    }
}

fn on_loopback(text: &str) -> Option<SocketAddr> {
    text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback() && address.port() != 0)
}

/// How the tasks of this machine are confined: `[runner.tasks]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TasksEntry {
    /// Whether each task has its own `/tmp`, `/var/tmp` and `/dev/shm`, and can write nowhere else. By default it has,
    /// if the server is root and this machine allows it.
    pub(crate) private_files: Option<bool>,
    pub(crate) no_new_privileges: bool,
    /// Further directories that tasks can write to, and share.
    pub(crate) writable: Vec<PathBuf>,
    /// Whether a task as a whole has no more memory than its class. By default it has not, if the server is root and
    /// this machine has cgroups that it may use.
    pub(crate) limit_memory: Option<bool>,
    /// Processes and threads of one task.
    pub(crate) max_processes: u64,
    /// Open files of one process.
    pub(crate) max_files: u64,
    /// Memory of one process, in MiB.
    pub(crate) max_process_memory: Option<u64>,
}

impl Default for TasksEntry {
    fn default() -> Self {
        Self {
            private_files: None,
            no_new_privileges: true,
            writable: Vec::new(),
            limit_memory: None,
            max_processes: 4_096,
            max_files: 65_536,
            max_process_memory: None,
        }
    }
}

/// The listener in an unpacked actions/runner.
pub(crate) const LISTENER: &str = "bin/Runner.Listener";

impl Reader<'_> {
    pub(super) fn check_runner(
        &mut self,
        runner: &RunnerEntry,
        classes: Option<&Catalogue>,
        max_runners: Option<u32>,
    ) {
        self.check_runner_dir(&runner.dir);
        preflight::check_variables(&runner.env, &mut self.mistakes);
        self.check_tasks(&runner.tasks);
        if let Err(error) = runner.docker.addresses() {
            self.mistake("runner.docker.addresses", &error);
        }
        self.check_network(runner, classes);
        self.check_users(runner, max_runners);
    }

    fn check_tasks(&mut self, tasks: &TasksEntry) {
        for (key, value, least) in [
            ("max_processes", Some(tasks.max_processes), 64),
            ("max_files", Some(tasks.max_files), 256),
            ("max_process_memory", tasks.max_process_memory, 256),
        ] {
            if let Some(value) = value.filter(|value| *value < least) {
                let what = format_args!(
                    "{value} is too few for the official runner itself: at least {least} is expected"
                );
                self.mistake(&format!("runner.tasks.{key}"), &what);
            }
        }
        for dir in &tasks.writable {
            if !dir.is_absolute() || !dir.is_dir() {
                let what =
                    format_args!("`{}` is not an existing directory with an absolute path", dir.display());
                self.mistake("runner.tasks.writable", &what);
            }
        }
    }

    fn check_network(&mut self, runner: &RunnerEntry, classes: Option<&Catalogue>) {
        for text in runner.network.loopback.iter().filter(|text| on_loopback(text).is_none()) {
            let what = format_args!(
                "`{text}` is no address on loopback: an address with a port is expected, such as `127.0.0.1:3128`"
            );
            self.mistake("runner.network.loopback", &what);
        }
        let has_engines = classes.is_some_and(|classes| !preflight::engines(classes).is_empty());
        match (runner.network.addresses(), runner.docker.addresses()) {
            (Err(error), _) => self.mistake("runner.network.addresses", &error),
            (Ok(Some(own)), Ok(Some(of_engines))) if has_engines => {
                let (network, prefix) = of_engines.network();
                if own.overlaps(network, prefix) {
                    let what =
                        format_args!("{own} overlaps runner.docker.addresses: other addresses are expected");
                    self.mistake("runner.network.addresses", &what);
                }
            }
            _ => {}
        }
    }

    fn check_users(&mut self, runner: &RunnerEntry, max_runners: Option<u32>) {
        if runner.first_uid == Some(0) {
            self.mistake("runner.first_uid", &"0 is root: a user id above all accounts is expected");
        }
        let Some(users) = &runner.users else { return };
        if runner.first_uid.is_some() {
            self.mistake("runner", &"either `users` or `first_uid` is expected, not both");
        }
        let mut seen = HashSet::new();
        for name in users.iter().filter(|name| !seen.insert(name.as_str())) {
            self.mistake("runner.users", &format_args!("`{name}` is named twice"));
        }
        let named = u32::try_from(seen.len()).unwrap_or(u32::MAX);
        if let Some(needed) = max_runners.filter(|needed| named < *needed) {
            let s = if named == 1 { " is" } else { "s are" };
            let command = accounts::command(needed);
            let what = format_args!(
                "{named} account{s} named, but limits.max_runners is {needed}: name {needed} accounts (create \
                 them with `{command}`), or lower limits.max_runners"
            );
            self.mistake("runner.users", &what);
        }
    }

    fn check_runner_dir(&mut self, dir: &Path) {
        preflight::check_characters("runner.dir", dir, &mut self.mistakes);
        let listener = dir.join(LISTENER);
        if !listener.is_file() {
            let what =
                format_args!("{} does not exist: an unpacked actions/runner is expected", listener.display());
            self.mistake("runner.dir", &what);
        } else if listener.canonicalize().ok() != dir.canonicalize().ok().map(|dir| dir.join(LISTENER)) {
            // The listener uses the directory above its executable as its root.
            let what = format_args!(
                "{} is behind a symbolic link, as after a self-update of the runner: a freshly unpacked \
                 actions/runner is expected",
                listener.display()
            );
            self.mistake("runner.dir", &what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(network: &str, class: &str) -> Vec<String> {
        let runner: RunnerEntry = toml::from_str(&format!("dir = '/x'\n[network]\n{network}")).unwrap();
        let class = format!("cpu = 2048\nmemory = 4096\ncompute = 'managed-instances'\n{class}");
        let entries = [("a".to_owned(), toml::from_str(&class).unwrap())].into();
        let (classes, errors) = Catalogue::read(&entries);
        assert_eq!(errors.len(), 0, "{errors:?}");
        let mut reader = Reader::of(Path::new("config.toml"));
        reader.check_network(&runner, Some(&classes));
        reader.mistakes
    }

    #[test]
    fn addresses_of_tasks_are_a_range_beside_that_of_engines() {
        assert_eq!(mistakes("", "docker = true"), Vec::<String>::new());
        assert_eq!(mistakes("addresses = ''", "docker = true"), Vec::<String>::new());
        assert_eq!(mistakes("addresses = '10.201.4.0/24'", ""), Vec::<String>::new());
        assert_eq!(
            mistakes("addresses = '10.201.4.0/24'", "docker = true"),
            [
                "runner.network.addresses: 10.201.4.0/24 overlaps runner.docker.addresses: other addresses are expected"
            ]
        );
        assert_eq!(
            mistakes("addresses = '10.202.0.0/31'", ""),
            [
                "runner.network.addresses: `10.202.0.0/31` is no range of addresses: the first address and a length from 8 \
              to 30 are expected, such as `10.201.0.0/16`"
            ]
        );
    }

    #[test]
    fn what_tasks_reach_on_loopback_is_addresses_there_with_ports() {
        assert_eq!(mistakes("loopback = ['127.0.0.1:3128', '[::1]:80']", ""), Vec::<String>::new());
        for text in ["localhost:3128", "127.0.0.1", "127.0.0.1:0", "10.0.0.1:3128"] {
            assert_eq!(
                mistakes(&format!("loopback = ['{text}']"), ""),
                [format!(
                    "runner.network.loopback: `{text}` is no address on loopback: an address with a port is expected, \
                     such as `127.0.0.1:3128`"
                )]
            );
        }
    }
}
