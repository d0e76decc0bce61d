//! A task on this machine: a directory, and the one process that is its agent.
//!
//! The directory is created exclusively, so that a client token starts only one
//! task, even across restarts of the server. A process claims the directory
//! before anything else: if a crash leads to two processes, only one continues.

pub mod confinement;
mod detach;
pub mod keyrings;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ecsrunner_agent::cgroups::{CGROUP, TaskCgroup};
use ecsrunner_agent::{Keepers, engine, network};
use ecsrunner_core::id::{ServiceName, TaskId, TaskName};
use ecsrunner_core::wire::environment;
use ecsrunner_core::wire::exit::AgentExit;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::accounts::Account;
use crate::compute::AGENT;
use crate::state_dir::write_whole;
use crate::task::confinement::Confinement;

/// The first argument that makes an executable a task. The second one is the
/// task's directory, the third its confinement.
pub const TASK_SUBCOMMAND: &str = "local-task";

/// The exit code of a process whose task is claimed by another process.
const CLAIMED: u8 = 99;

const DESCRIPTION: &str = "task.json";
const CLAIM: &str = "claim";
const ALIVE: &str = "alive";
const EXIT: &str = "exit";
const MEMORY_KILL: &str = "out-of-memory";
const LOG: &str = "agent.log";

/// The fixed description of a task.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Description {
    pub(crate) task: TaskId,
    /// The name of its runner, or of a warm task.
    #[serde(rename = "runner")]
    pub(crate) name: TaskName,
    /// The runner's user id, if it is not the server's own.
    pub(crate) uid: Option<u32>,
    /// The user's primary group. Older releases did not write it.
    #[serde(default)]
    pub(crate) gid: Option<u32>,
}

impl Description {
    /// Returns the runner's user, if it is not the server's own.
    pub(crate) fn account(&self) -> Option<Account> {
        let account = Account::of(self.uid?);
        Some(Account { gid: self.gid.unwrap_or(account.gid), ..account })
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TaskDir(PathBuf);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TaskStatus {
    /// No process has claimed it.
    Unclaimed,
    /// Its process is running.
    Alive,
    /// Its process ended with this code.
    Ended(u8),
    /// Its process is gone and wrote no exit code.
    Lost,
}

impl TaskDir {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.0.join(LOG)
    }

    /// The log of a service of the task's class.
    pub(crate) fn service_log(&self, service: &ServiceName) -> PathBuf {
        self.0.join(format!("service-{service}.log"))
    }

    /// Returns the files that server and agent keep here, whether they exist or not.
    pub(crate) fn files(&self) -> [PathBuf; 6] {
        [DESCRIPTION, CLAIM, ALIVE, EXIT, MEMORY_KILL, LOG].map(|name| self.0.join(name))
    }

    pub(crate) fn describe(&self, description: &Description) -> io::Result<()> {
        write_whole(&self.0.join(DESCRIPTION), serde_json::to_string(description)?.as_bytes())
    }

    pub(crate) fn description(&self) -> io::Result<Description> {
        Ok(serde_json::from_slice(&fs::read(self.0.join(DESCRIPTION))?)?)
    }

    pub(crate) fn status(&self) -> io::Result<TaskStatus> {
        let claimed = self.0.join(CLAIM).try_exists()?;
        if !claimed {
            return Ok(TaskStatus::Unclaimed);
        }
        // In this order, because a process writes its exit code before it releases the lock.
        if self.is_alive()? {
            return Ok(TaskStatus::Alive);
        }
        match fs::read_to_string(self.0.join(EXIT)) {
            Ok(code) => Ok(code.trim().parse().map_or(TaskStatus::Lost, TaskStatus::Ended)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(TaskStatus::Lost),
            Err(error) => Err(error),
        }
    }

    fn is_alive(&self) -> io::Result<bool> {
        let file = match File::open(self.0.join(ALIVE)) {
            Ok(file) => file,
            // Claimed but not locked, or claimed by the server so that it never starts.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_) => Ok(false),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(true),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    /// Keeps that the kernel killed processes of this task for lack of memory, once its cgroup is gone.
    pub(crate) fn note_memory_kill(&self) -> io::Result<()> {
        write_whole(&self.0.join(MEMORY_KILL), b"")
    }

    /// Whether the kernel killed processes of this task, whose agent is lost, for lack of memory.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        // In this order, because it is noted before the cgroup is removed.
        TaskCgroup::of(&self.0).memory_kills().is_some_and(|kills| kills > 0)
            || self.0.join(MEMORY_KILL).exists()
    }

    /// Claims the task for this process. Returns true only for the first claim.
    pub(crate) fn claim(&self) -> io::Result<bool> {
        let claim = OpenOptions::new().create_new(true).write(true).mode(0o600).open(self.0.join(CLAIM));
        match claim {
            Ok(mut file) => {
                write!(file, "{}", std::process::id())?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends a signal to the task's process, if it is alive.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        if !self.is_alive()? {
            return Ok(());
        }
        let pid = fs::read_to_string(self.0.join(CLAIM))?;
        let pid = pid.trim().parse().map_err(|_| io::Error::other("the claim holds no process id"))?;
        match kill(Pid::from_raw(pid), signal) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes the lock that shows that this process is alive.
    fn live(&self) -> io::Result<Flock<File>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.0.join(ALIVE))?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno.into())
    }
}

/// Runs the task of a directory in this process, which must have no other
/// threads. `confinement` is a [`Confinement`] as JSON. `lookup` returns the
/// agent's variables. The agent starts its other processes from `executable`.
pub fn run(
    dir: PathBuf,
    confinement: &str,
    lookup: impl Fn(&str) -> Option<OsString>,
    executable: &str,
) -> ExitCode {
    // Before the claim: a task that is claimed is out of reach of the server's terminal.
    if let Err(error) = detach::detach() {
        return failed("leave the server's session", &error);
    }
    let dir = TaskDir(dir);
    // Locked before the claim, so that a claimed task without a lock has ended.
    let alive = match dir.live() {
        Ok(alive) => alive,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return ExitCode::from(CLAIMED),
        Err(error) => return failed("lock its directory", &error),
    };
    match dir.claim() {
        Ok(true) => {}
        Ok(false) => return ExitCode::from(CLAIMED),
        Err(error) => return failed("claim its directory", &error),
    }
    let confinement: Confinement = match serde_json::from_str(confinement) {
        Ok(confinement) => confinement,
        Err(error) => return failed("read how it is confined", &error.into()),
    };
    // Before anything is started, so that all of the task is in it.
    let cgroup = lookup(CGROUP).map(|name| TaskCgroup::named(&name.to_string_lossy()));
    if let Some(Err(error)) = cgroup.map(|cgroup| cgroup.join()) {
        return failed("enter its cgroup", &error);
    }
    // A Docker engine cannot work in what confines a job.
    let engine_dir = lookup(environment::DOCKER_DIR).map(PathBuf::from);
    let start = |engine: &PathBuf| engine::Keeper::start(executable, engine, confinement.engine_view(&dir.0));
    let engine = match engine_dir.as_ref().map(start).transpose() {
        Ok(keeper) => keeper,
        Err(error) => return failed("start the keeper of its Docker engine", &error),
    };
    // Nor can a firewall be changed there.
    let network_dir = lookup(network::DIR_VARIABLE).map(PathBuf::from);
    let start = |dir: &PathBuf| network::Keeper::start(Path::new(executable), dir);
    let network = match network_dir.as_ref().map(start).transpose() {
        Ok(keeper) => keeper,
        Err(error) => return failed("start the keeper of its network namespace", &error),
    };
    let socket = engine_dir.map(|_| dir.0.join(AGENT).join("docker.sock"));
    let user = lookup(environment::RUNNER_UID);
    // Before any process of the user is started.
    if let Some(Err(error)) = user.as_ref().map(|user| keyrings::empty(user, executable)) {
        return failed("empty the kernel's keyrings of its user", &error);
    }
    if let Err(error) = confinement.enter(&dir.0, user.is_some(), socket.as_deref()) {
        return failed("be confined", &error);
    }
    // In this process, because it holds the lock. The key in its environment only opens
    // the task's own boot item, which the agent takes before it starts the listener.
    let exit = ecsrunner_agent::run(lookup, executable, io::stdout(), Keepers { engine, network });
    let written = write_whole(&dir.0.join(EXIT), exit.code().to_string().as_bytes());
    drop(alive);
    match written {
        Ok(()) => ExitCode::from(exit.code()),
        Err(error) => failed("say how it ended", &error),
    }
}

fn failed(what: &str, error: &io::Error) -> ExitCode {
    // Standard error is the task's log. If it is gone, the exit code still reports the failure.
    let _ = writeln!(io::stderr(), "error: the task could not {what}: {error}");
    ExitCode::from(AgentExit::Failed.code())
}
