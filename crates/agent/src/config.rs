//! The agent's configuration: every environment variable that it reads.
//!
//! No other file reads a variable of the agent. The job-started hook reads
//! GitHub's variables, which belong to `hook.rs`.

use ecsrunner_core::wire::environment;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ecsrunner_aws::boot::{Credentials, TaskEndpoints};
use serde::{Deserialize, Serialize};

use self::reader::Reader;
pub use self::reader::may_pass;
use crate::cgroups;
use crate::engine::Addresses;
use crate::network;

mod reader;

/// One variable of the agent's environment, as the documentation lists it.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    pub name: &'static str,
    /// The value if it is not set; `None` if it is required, or has no default.
    pub default: Option<&'static str>,
    pub meaning: &'static str,
}

macro_rules! variables {
    ($($id:ident = $name:expr, $default:expr, $meaning:literal;)*) => {
        $(const $id: Variable = Variable { name: $name, default: $default, meaning: $meaning };)*
        /// Every variable that the agent reads.
        pub const VARIABLES: &[Variable] = &[$($id),*];
    };
}

variables! {
    BOOT_TABLE = environment::BOOT_TABLE, None, "Name of the DynamoDB table that holds the boot item.";
    BOOT_ROLE = environment::BOOT_ROLE, None, "Unique id of the task's role; this id followed by the task's id is the key of the boot item.";
    METADATA = "ECS_CONTAINER_METADATA_URI_V4", None, "ECS's endpoint for the task's id, and for the states and the statistics of its containers; ECS sets it.";
    RELATIVE_CREDENTIALS = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", None, "ECS's path for the credentials of the task's role; ECS sets it.";
    FULL_CREDENTIALS = "AWS_CONTAINER_CREDENTIALS_FULL_URI", None, "The same, where the variable above is not set.";
    CREDENTIALS_TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN", None, "Sent to the URL above.";
    BOOT_OWNER = environment::BOOT_OWNER, None, "Key of the boot item, in place of the five above: the agent is not in a task, and has an access key.";
    ENDPOINT_DYNAMODB = "AWS_ENDPOINT_URL_DYNAMODB", None, "DynamoDB's URL; the Region's own by default.";
    ENDPOINT = "AWS_ENDPOINT_URL", None, "The same, where the variable above is not set.";
    REGION = "AWS_REGION", None, "The AWS Region that requests are signed for.";
    DEFAULT_REGION = "AWS_DEFAULT_REGION", None, "The same, where the variable above is not set.";
    ACCESS_KEY_ID = "AWS_ACCESS_KEY_ID", None, "The access key, with `ECSRUNNER_BOOT_OWNER`.";
    SECRET_ACCESS_KEY = "AWS_SECRET_ACCESS_KEY", None, "Its secret.";
    SESSION_TOKEN = "AWS_SESSION_TOKEN", None, "Its session token; may be missing.";
    CA_BUNDLE = "AWS_CA_BUNDLE", None, "A PEM file of the certificate authorities to trust, and no others; Mozilla's by default.";
    CAPACITY_PROVIDER = environment::CAPACITY_PROVIDER, None, "`FARGATE_SPOT` if a signal can mean the interruption of Spot capacity.";
    RUNNER_DIR = environment::RUNNER_DIR, Some("/home/runner"), "Holds `bin/Runner.Listener`; the job's HOME.";
    AGENT_DIR = environment::AGENT_DIR, Some("/run/ecsrunner"), "Where the hook scripts, their rules and the FIFO are made; for one runner alone.";
    TMP_DIR = environment::TMP_DIR, None, "An existing directory that becomes `TMPDIR` of the listener and its job.";
    SERVICE_DIR = environment::SERVICE_DIR, None, "Where the services of the class run as processes, each in a directory of its own, with their logs beside it; without it they are containers of the task.";
    DOCKER_DIR = environment::DOCKER_DIR, None, "The directory of the task's Docker engine, and what makes it the task of a Docker class: the agent, which must be root, starts `dockerd` before the listener. The directory must be on a file system that the engine's storage driver can use.";
    DOCKER_ARGS = environment::DOCKER_ARGS, None, "Further arguments of `dockerd`: a JSON list of texts.";
    DOCKER_ADDRESSES = environment::DOCKER_ADDRESSES, None, "Addresses from which engines that share a machine take their networks, such as `10.201.0.0/16`; without it `dockerd` has its own defaults, for an engine that has its network to itself.";
    DOCKER_LIMIT = environment::DOCKER_LIMIT_SECS, Some("60"), "How long the Docker engine may take until it answers.";
    CGROUP = cgroups::CGROUP, None, "Name of the task's cgroup on one machine, in which the agent already is: what the job uses is measured there.";
    NETWORK_DIR = network::DIR_VARIABLE, None, "A directory of the task's, and what gives the task a network namespace of its own where the agent is root: services of the class have their declared ports there.";
    NETWORK_ADDRESSES = network::ADDRESSES_VARIABLE, Some("10.202.0.0/16"), "Addresses from which the machine's tasks take theirs, four for each.";
    NETWORK_LOOPBACK = network::LOOPBACK_VARIABLE, None, "Addresses on the machine's loopback that the task reaches from its namespace, separated by commas, such as `127.0.0.1:3128`.";
    RUNNER_UID = environment::RUNNER_UID, None, "User and group id of the listener, if the agent is root; the agent's own by default.";
    BOOT_LIMIT = environment::BOOT_LIMIT_SECS, Some("300"), "How long to wait for the boot item.";
    WARM_LIMIT = environment::WARM_LIMIT_SECS, None, "How long a warm task waits for its boot item, in place of the limit above, which is then that of the table's first answer; the task polls once a second.";
    CONNECT_LIMIT = environment::CONNECT_LIMIT_SECS, Some("120"), "How long the listener may take to listen for jobs.";
    IDLE_LIMIT = environment::IDLE_LIMIT_SECS, Some("900"), "How long a connected runner waits for a job; at least 600 except in tests, since retirement relies on it.";
    HOOK_LIMIT = environment::HOOK_LIMIT_SECS, Some("300"), "How long a job may run until its job-started hook has checked in; the runner downloads the job's actions before that.";
    JOB_LIMIT = environment::JOB_LIMIT_SECS, Some("21600"), "How long a job may run.";
    EXIT_LIMIT = environment::EXIT_LIMIT_SECS, Some("90"), "How long the listener may take to end after its job; the listener itself gives up on its session after 30 seconds.";
    WORKER_LIMIT = environment::WORKER_LIMIT_SECS, Some("60"), "How long the listener may be stopped (SIGSTOP), or have no worker process, while its job runs.";
    STOP_TIMEOUT = environment::STOP_TIMEOUT_SECS, Some("120"), "The container's stopTimeout: the listener is killed 5 seconds before it ends. A running job needs at least 25 to end; values below 6 are refused.";
    RETRY_DELAY = environment::RETRY_DELAY_MS, Some("5000"), "Pause before a listener that ended with an exception (exit code 2) or with a new configuration (6) is started again.";
    LISTENER_ENV = environment::LISTENER_ENV, None, "Names of further variables to pass to the listener and its job, separated by commas; of `ACTIONS_RUNNER_*` only `ACTIONS_RUNNER_ACTION_ARCHIVE_CACHE` and `ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT`. The latter copies the output of every step to the agent's log.";
    ACTION_ARCHIVE_CACHE = "ACTIONS_RUNNER_ACTION_ARCHIVE_CACHE", None, "Passed to the listener and its job, where it is set: a directory of downloaded actions, `<owner>_<name>/<sha>.tar.gz`.";
    PATH = "PATH", Some("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), "Passed to the listener and its job.";
    LANG = "LANG", Some("C.UTF-8"), "Passed to the listener and its job.";
    LANGUAGE = "LANGUAGE", None, "Passed to the listener and its job, where it is set.";
    LC_ALL = "LC_ALL", None, "Passed to the listener and its job, where it is set.";
    DEBIAN_FRONTEND = "DEBIAN_FRONTEND", None, "Passed to the listener and its job, where it is set.";
    IMAGE_OS = "ImageOS", None, "Passed to the listener and its job, where it is set.";
}

/// The agent's settings. `Debug` shows no secret.
#[derive(Debug)]
pub struct Config {
    /// How to take the boot item.
    pub boot: BootConfig,
    /// Everything that is needed once the boot item is taken. Holds nothing of AWS.
    pub supervision: Supervision,
}

/// Where the boot item is and how to reach it.
#[derive(Debug)]
pub struct BootConfig {
    pub table: String,
    pub identity: Identity,
    pub endpoint: String,
    /// The Region that requests are signed for.
    pub region: String,
    /// Certificate authorities to trust instead of Mozilla's.
    pub ca_bundle: Option<PathBuf>,
    /// How long to wait for the item; in a warm task, for the table's first answer.
    pub limit: Duration,
    /// How long a warm task waits for the item; `None` if the task is not warm.
    pub warm_limit: Option<Duration>,
}

/// The key of the boot item, and the credentials that sign the request for it.
#[derive(Debug)]
pub enum Identity {
    /// Given by the environment.
    Told { owner: String, credentials: Credentials },
    /// Read from ECS's endpoints.
    OfTask {
        /// The unique id of the task's role.
        role: String,
        endpoints: TaskEndpoints,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Supervision {
    pub listener: ListenerConfig,
    /// The directory of the hook's files, for one runner alone.
    pub agent_dir: PathBuf,
    /// The executable that runs the agent's subcommands.
    pub executable: String,
    /// Where services run as processes; `None` in an ECS task.
    pub service_dir: Option<PathBuf>,
    /// The Docker engine of the task; `None` unless its class has one.
    pub docker: Option<DockerConfig>,
    /// The task's network namespace; `None` unless it is to have one.
    #[serde(default)]
    pub network: Option<NetworkConfig>,
    /// Whether the agent runs in an ECS task, whose cgroup and file system are its job's alone.
    #[serde(default)]
    pub in_task: bool,
    /// The name of the task's cgroup on one machine, if it has one.
    #[serde(default)]
    pub cgroup: Option<String>,
    /// ECS's endpoint for the states of the task's containers and their statistics; `None` outside of a task, or once
    /// nothing needs it.
    pub metadata: Option<String>,
    /// The task's capacity provider, if known.
    pub capacity_provider: Option<String>,
    pub limits: Limits,
}

/// How the task's Docker engine is started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DockerConfig {
    /// The engine's own directory.
    pub dir: PathBuf,
    /// Further arguments of `dockerd`.
    pub arguments: Vec<String>,
    /// Where its networks are taken from; `None` for `dockerd`'s own defaults.
    pub addresses: Option<Addresses>,
    /// How long it may take until it answers.
    pub limit: Duration,
}

/// How the task's network namespace is made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NetworkConfig {
    /// Where its addresses are taken from.
    pub addresses: network::Addresses,
    /// What it reaches on the machine's loopback, at the same address.
    pub loopback: Vec<SocketAddr>,
}

/// How the listener is started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerConfig {
    /// Holds `bin/Runner.Listener`; its working directory and its HOME.
    pub runner_dir: PathBuf,
    /// User and group id of the listener, if the agent is root.
    pub uid: Option<u32>,
    /// Its `TMPDIR`.
    pub tmp_dir: Option<PathBuf>,
    /// Variables that are passed on from the agent's environment.
    pub environment: Vec<(String, OsString)>,
}

/// Measured by a monotonic clock, so that setting the system's clock has no effect.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// From the listener's first start until it listens for jobs.
    pub connect: Duration,
    /// From then to the job's start.
    pub idle: Duration,
    /// From the job's start until its hook has checked in.
    pub hook: Duration,
    /// From the job's start to its end.
    pub job: Duration,
    /// From the job's end to the listener's.
    pub exit: Duration,
    /// How long the listener may be stopped, or have no worker, while its job runs.
    pub worker: Duration,
    /// From a signal to the end of the container.
    pub stop: Duration,
    /// The pause before a listener is started again.
    pub retry: Duration,
}

/// Every fault of the environment at once.
#[derive(Debug)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the environment through `lookup`, usually [`std::env::var_os`].
    /// `executable` is the path of this process's executable.
    ///
    /// # Errors
    ///
    /// Names all variables that are missing or invalid; shows no secret's value.
    pub fn from_env(
        lookup: impl Fn(&str) -> Option<OsString>,
        executable: &str,
    ) -> Result<Self, ConfigError> {
        Reader::read(lookup, executable)
    }
}

#[cfg(test)]
mod tests;
