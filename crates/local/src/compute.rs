//! Runs tasks as processes, in place of ECS. They outlive the server.

pub(crate) mod install;
mod cgroups;
pub(crate) use cgroups::{ClassLimits, end as end_cgroup};
mod clean_up;
mod exit_record;
pub(crate) mod leftovers;
pub(crate) mod modes;
pub mod removal;
pub(crate) mod uids;
mod watch;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use ecsrunner_agent::cgroups::TaskCgroup;
use ecsrunner_agent::engine::Addresses;
use ecsrunner_agent::network;
use ecsrunner_aws::store::Tables;
use ecsrunner_core::decide::sweep::{SeenStatus, SeenTask};
use ecsrunner_core::id::{ClassName, HostId, InstanceId, TaskId};
use ecsrunner_core::records::task::TaskFacts;
use ecsrunner_core::rules::limits::Limits;
use ecsrunner_core::rules::placement::Placement;
use ecsrunner_core::wire::environment;
use ecsrunner_core::wire::event::{Event, StopCause, TaskChange, TaskEvent, TaskTimes};
use ecsrunner_core::wire::exit::AgentExit;
use ecsrunner_engine::chain;
use ecsrunner_engine::ports::compute::{ClientToken, Compute, ComputeError, TaskOrder};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tracing::warn;

use crate::accounts::{self, Account, RunnerUsers};
use crate::boot_front::AccessKeys;
use crate::namespaces::Namespaces;
use crate::task::confinement::Confinement;
use crate::task::confinement::mounts::PRIVATE;
use crate::task::{Description, TASK_SUBCOMMAND, TaskDir, TaskStatus};
use clean_up::{Removals, is_littered};
use uids::Uids;

/// Settings that all tasks share.
#[derive(Clone, Debug)]
pub(crate) struct TaskDefinition {
    /// The executable that tasks run.
    pub(crate) executable: PathBuf,
    pub(crate) runner_dir: PathBuf,
    /// Variables of this process that the listener may see.
    pub(crate) listener_env: Vec<String>,
    pub(crate) users: RunnerUsers,
    /// The tables with the boot items.
    pub(crate) tables: Tables,
    /// The endpoint at which a task reaches them.
    pub(crate) endpoint: String,
    pub(crate) keys: AccessKeys,
    pub(crate) limits: Limits,
    pub(crate) confinement: Confinement,
    /// What the tasks of each class may use as a whole, if tasks have cgroups of their own.
    pub(crate) cgroups: Option<ClassLimits>,
    /// The Docker engines of tasks, if a class has any.
    pub(crate) docker: Option<Engines>,
    /// The network namespaces of tasks, if a class declares services and this machine allows them.
    pub(crate) namespaces: Option<Namespaces>,
}

/// The Docker engines of tasks.
#[derive(Clone, Debug)]
pub(crate) struct Engines {
    pub(crate) classes: BTreeSet<ClassName>,
    /// The operator's arguments of `dockerd`.
    pub(crate) arguments: Vec<String>,
    /// Where engines take their networks from; `None` for `dockerd`'s own defaults.
    pub(crate) addresses: Option<Addresses>,
}

#[derive(Clone, Debug)]
pub(crate) struct Processes {
    dir: PathBuf,
    definition: Arc<TaskDefinition>,
    events: mpsc::UnboundedSender<Event>,
    uids: Arc<Mutex<Uids>>,
    removals: Arc<Removals>,
}

/// The `PATH` of jobs, unless `runner.env` passes on the server's own. That could name directories of the operator's.
pub(crate) const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Versions of a task's first and last event, which ECS also numbers.
const RUNNING: u64 = 1;
const STOPPED: u64 = 2;

/// Directories that are removed when their task has ended. As long as one is there, the task holds its user.
const LITTER: [&str; 7] = [RUNNER, HALF, AGENT, TMP, SERVICES, PRIVATE, DOCKER];
/// The runner's copy of the official runner, and its work folder.
const RUNNER: &str = "runner";
/// A copy that is not finished.
const HALF: &str = "runner.half";
/// Files that agent and hook share.
pub(crate) const AGENT: &str = "agent";
/// The job's `TMPDIR`.
const TMP: &str = "tmp";
/// Services of the class, each with a directory and a log.
const SERVICES: &str = "services";
/// The task's Docker engine, with its images and containers.
pub(crate) const DOCKER: &str = "docker";
/// Shows that the engine may have bridges and rules on the machine. It holds no user: nothing in it runs.
pub(crate) const DOCKER_NETWORK: &str = "docker-network";
/// Shows that the task may have something of a network namespace on the machine. It holds no user: nothing in it runs.
pub(crate) const NETWORK: &str = "network";

impl Processes {
    pub(crate) fn new(
        dir: PathBuf,
        definition: TaskDefinition,
        events: mpsc::UnboundedSender<Event>,
    ) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(modes::PRIVATE_DIR).create(&dir)?;
        let processes = Self {
            dir,
            definition: Arc::new(definition),
            events,
            uids: Arc::new(Mutex::new(Uids::in_dir(uids::directory())?)),
            removals: Arc::default(),
        };
        for (dir, description) in processes.list()? {
            modes::protect(&dir, description.account().as_ref())?;
            // The latest files of a user are removed first.
            processes.lock_uids().note(description.uid);
        }
        // Set explicitly, so the umask has no effect. Opened to others last, because older releases
        // left the tasks readable.
        modes::set_mode(&processes.dir, modes::upper_dir())?;
        Ok(processes)
    }

    /// Watches the tasks that an earlier server left running.
    pub(crate) fn adopt(&self) -> io::Result<()> {
        for (dir, description) in self.list()? {
            let status = match dir.status() {
                Ok(status) => status,
                Err(error) => {
                    // Its user may still be at work, so the id stays reserved. The other tasks are adopted.
                    warn!(task = %description.task, error = %chain(&error), "a task cannot be read");
                    description.uid.map_or(Ok(()), |uid| self.lock_uids().keep(uid, &description.task))?;
                    continue;
                }
            };
            let has_ended = matches!(status, TaskStatus::Ended(_) | TaskStatus::Lost);
            // Other tasks may already use the user id of a task that was cleaned up.
            if has_ended && !is_littered(&dir) {
                continue;
            }
            if let Some(uid) = description.uid {
                self.lock_uids().keep(uid, &description.task)?;
            }
            if has_ended {
                self.tell_exit(&dir, &description);
                tokio::spawn(self.clone().clean_up(dir, description));
            } else if status == TaskStatus::Alive {
                tokio::spawn(self.clone().watch_adopted(dir, description));
            }
        }
        Ok(())
    }

    fn lock_uids(&self) -> std::sync::MutexGuard<'_, Uids> {
        self.uids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self) -> io::Result<Vec<(TaskDir, Description)>> {
        let mut tasks = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let dir = TaskDir::at(entry?.path());
            match dir.description() {
                Ok(description) => tasks.push((dir, description)),
                // Not described yet: its launch continues with the same token.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    warn!(task = %dir.path().display(), error = %chain(&error), "a task's description cannot be read");
                }
            }
        }
        Ok(tasks)
    }

    fn start(&self, facts: &TaskFacts, token: &ClientToken) -> io::Result<TaskId> {
        let task = task_id(token);
        let dir = TaskDir::at(self.dir.join(task.as_str()));
        match DirBuilder::new().mode(modes::PRIVATE_DIR).create(dir.path()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if dir.status()? != TaskStatus::Unclaimed {
                    return Ok(task);
                }
            }
            Err(error) => return Err(error),
        }
        let description = match dir.description() {
            Ok(description) => description,
            Err(_) => {
                let uid = self.next_uid(&task)?;
                let gid = uid.map(|uid| Account::of(uid).gid);
                let description = Description { task: task.clone(), name: facts.name.clone(), uid, gid };
                // The next try takes another id.
                dir.describe(&description).inspect_err(|_| {
                    uid.into_iter().for_each(|uid| self.lock_uids().give_back(uid, &task));
                })?;
                description
            }
        };
        // In place of the image's pull there is the runner's own copy of GitHub's runner.
        let accepted = Some(Timestamp::now());
        let command = self.command(&dir, &description, facts)?;
        let copied = Some(Timestamp::now());
        let child = tokio::process::Command::from(command).spawn()?;
        let times = TaskTimes {
            created: accepted,
            pull_started: accepted,
            pull_stopped: copied,
            started: Some(Timestamp::now()),
        };
        self.tell(&description, RUNNING, TaskChange::Running, times);
        tokio::spawn(self.clone().watch_child(child, dir, description));
        Ok(task)
    }

    fn next_uid(&self, task: &TaskId) -> io::Result<Option<u32>> {
        match &self.definition.users {
            RunnerUsers::Shared => Ok(None),
            RunnerUsers::From(first) => self.lock_uids().take(task, accounts::ids_from(*first)).map(Some),
            RunnerUsers::Named(accounts) => {
                self.lock_uids().take(task, accounts.iter().map(|account| account.uid)).map(Some)
            }
        }
    }

    fn command(&self, dir: &TaskDir, description: &Description, facts: &TaskFacts) -> io::Result<Command> {
        let definition = &self.definition;
        let account = description.account();
        let account = account.as_ref();
        let runner_dir = install::install(&definition.runner_dir, &dir.path().join(RUNNER), account)?;
        let tmp_dir = dir.path().join(TMP);
        install::make_private(&tmp_dir, account)?;
        let log = File::options().create(true).append(true).mode(modes::PRIVATE_FILE).open(dir.log())?;
        modes::protect(dir, account)?;
        let owner = format!("{}:{}", definition.tables.boot_owners.plain, description.task);
        let (access_key_id, secret_access_key) = definition.keys.of(&owner);
        let mut command = Command::new(&definition.executable);
        command
            .arg(TASK_SUBCOMMAND)
            .arg(dir.path())
            .arg(serde_json::to_string(&definition.confinement)?)
            .env_clear()
            .env(environment::BOOT_TABLE, &definition.tables.boot)
            .env(environment::BOOT_OWNER, owner)
            .env("AWS_ENDPOINT_URL_DYNAMODB", &definition.endpoint)
            .env("AWS_REGION", "local")
            .env("AWS_ACCESS_KEY_ID", access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", secret_access_key)
            .env(environment::RUNNER_DIR, runner_dir)
            .env(environment::AGENT_DIR, dir.path().join(AGENT))
            .env(environment::TMP_DIR, tmp_dir)
            .env(environment::SERVICE_DIR, dir.path().join(SERVICES))
            .envs(environment::limits(&definition.limits, facts.max_job_minutes))
            .envs(environment::warm(facts.warm_for))
            .env(environment::STOP_TIMEOUT_SECS, watch::STOP_TIMEOUT.as_secs().to_string())
            .env(environment::LISTENER_ENV, definition.listener_env.join(","))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .current_dir(dir.path())
            // Keeps signals to the server's group, such as Ctrl-C, from the task until it has left the server's session.
            .process_group(0);
        if let Some(uid) = description.uid {
            command.env(environment::RUNNER_UID, uid.to_string());
        }
        if let Some(engines) = definition.docker.as_ref().filter(|it| it.classes.contains(&facts.class)) {
            command.env(environment::DOCKER_DIR, dir.path().join(DOCKER));
            command.env(environment::DOCKER_ARGS, serde_json::to_string(&engines.arguments)?);
            if let Some(addresses) = engines.addresses {
                install::make_private(&dir.path().join(DOCKER_NETWORK), None)?;
                command.env(environment::DOCKER_ADDRESSES, addresses.to_string());
            }
        }
        if let Some(limits) = definition.cgroups.as_ref().and_then(|it| it.get(&facts.class)) {
            let cgroup = TaskCgroup::of(dir.path());
            cgroup.create(*limits)?;
            command.env(cgroups::VARIABLE, cgroup.name());
        }
        if let Some(namespaces) = definition.namespaces.as_ref().filter(|it| it.are_of(&facts.class)) {
            let network_dir = dir.path().join(NETWORK);
            install::make_private(&network_dir, None)?;
            command.env(network::DIR_VARIABLE, network_dir).envs(namespaces.environment());
        }
        command.env("PATH", SYSTEM_PATH);
        for name in ["LANG", "ImageOS"].into_iter().chain(definition.listener_env.iter().map(String::as_str))
        {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        Ok(command)
    }

    fn tell(&self, description: &Description, version: u64, change: TaskChange, times: TaskTimes) {
        let event = Event::Task(TaskEvent {
            name: description.name.clone(),
            task: description.task.clone(),
            version,
            change,
            times,
            instance: None,
            at: Timestamp::now(),
        });
        // A server that is stopping reads the change from the directory at its next start.
        let _listener = self.events.send(event);
    }
}

/// Derives a task id from a token: 32 hexadecimal digits, as on ECS.
fn task_id(token: &ClientToken) -> TaskId {
    let digest = Sha256::digest(token.as_str());
    let text: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    #[expect(clippy::expect_used, reason = "32 hexadecimal digits are a task's id")]
    TaskId::parse(&text).expect("a task id")
}

fn cause(dir: &TaskDir, status: TaskStatus) -> StopCause {
    match status {
        TaskStatus::Ended(code) => match AgentExit::from_code(i32::from(code)) {
            Some(exit) => StopCause::Agent(exit),
            None => StopCause::Unknown(format!("exit code {code}").into()),
        },
        // ECS's word for a container whose first process was killed so.
        _ if dir.ran_out_of_memory() => StopCause::Unknown(
            "OutOfMemoryError: its process was killed, and the kernel killed processes of the task for memory".into(),
        ),
        _ => StopCause::Unknown("its process was killed".into()),
    }
}

impl Compute for Processes {
    async fn run_task(&self, order: &TaskOrder<'_>) -> Result<TaskId, ComputeError> {
        let (processes, order, token) = (self.clone(), order.task.clone(), order.token.clone());
        let started = tokio::task::spawn_blocking(move || processes.start(&order, &token)).await;
        started.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|source| {
            ComputeError::Unanswered { operation: "start a process", source: source.into() }
        })
    }

    async fn stop_task(&self, task: &TaskId, _reason: &str) -> Result<(), ComputeError> {
        let fault = |source: io::Error| ComputeError::Unanswered {
            operation: "stop a process",
            source: source.into(),
        };
        let dir = TaskDir::at(self.dir.join(task.as_str()));
        if dir.status().map_err(fault)? == TaskStatus::Unclaimed && dir.claim().map_err(fault)? {
            // The claim keeps it from ever starting.
            if let Ok(description) = dir.description() {
                let stopped = TaskChange::Stopped(StopCause::StoppedByUser);
                self.tell(&description, STOPPED, stopped, TaskTimes::default());
                tokio::spawn(self.clone().clean_up(dir, description));
            }
            return Ok(());
        }
        dir.signal(Signal::SIGTERM).map_err(fault)?;
        tokio::spawn(watch::kill_later(dir));
        Ok(())
    }

    async fn tasks(&self) -> Result<Vec<SeenTask>, ComputeError> {
        let processes = self.clone();
        let seen = tokio::task::spawn_blocking(move || processes.see()).await;
        seen.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|source| ComputeError::Unanswered {
            operation: "list the processes",
            source: source.into(),
        })
    }

    async fn host_of(
        &self,
        _instance: &InstanceId,
        _placement: &Placement,
    ) -> Result<Option<HostId>, ComputeError> {
        Ok(None)
    }

    async fn drain(&self, _instance: &InstanceId) -> Result<(), ComputeError> {
        Ok(())
    }
}

impl Processes {
    /// Returns every task, and has those removed that ended long ago. A task that cannot be read counts as running:
    /// one fault must not end the others' sweep, and nothing says that the task has ended.
    fn see(&self) -> io::Result<Vec<SeenTask>> {
        let mut tasks = Vec::new();
        for (dir, description) in self.list()? {
            let status = match dir.status() {
                Ok(status @ (TaskStatus::Ended(_) | TaskStatus::Lost)) => {
                    self.see_to(&dir, &description);
                    if watch::is_old(&dir) {
                        continue;
                    }
                    SeenStatus::Stopped(cause(&dir, status))
                }
                Ok(TaskStatus::Unclaimed) if watch::is_starting(&dir) => SeenStatus::Pending,
                Ok(TaskStatus::Unclaimed) => {
                    // The claim keeps it from ever starting. Its files and its user are free afterwards.
                    if dir.claim()? {
                        self.see_to(&dir, &description);
                    }
                    SeenStatus::Stopped(StopCause::FailedToStart("its process never started".into()))
                }
                Ok(TaskStatus::Alive) => SeenStatus::Running,
                Err(error) => {
                    warn!(task = %description.task, error = %chain(&error), "a task cannot be read");
                    SeenStatus::Running
                }
            };
            let times = TaskTimes::default();
            tasks.push(SeenTask {
                task: description.task,
                name: description.name,
                status,
                times,
                instance: None,
            });
        }
        Ok(tasks)
    }
}
