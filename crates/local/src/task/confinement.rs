//! Confines a task's process, and with it everything that its job starts: private directories, no new privileges, and
//! limits. On ECS the task's container does this.

pub(crate) mod mounts;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use ecsrunner_agent::cgroups::{CGROUP, TaskCgroup};
use ecsrunner_agent::engine::View;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// The first argument that makes an executable try a confinement. Its other arguments are those of a task.
pub const CONFINEMENT_SUBCOMMAND: &str = "local-confine";

/// How the tasks of a server are confined: `[runner]` in the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Confinement {
    /// The task sees a `/tmp`, `/var/tmp` and `/dev/shm` of its own, and can write nowhere else but to its own
    /// directory.
    pub(crate) private_files: bool,
    /// Programs get no privileges from their files: `sudo` and other set-user-ID programs do not work.
    pub(crate) no_new_privileges: bool,
    /// Further directories that tasks can write to, and share.
    pub(crate) writable: Vec<PathBuf>,
    /// Paths that a task reads, also where they are in a directory that is private to it.
    pub(crate) read: BTreeSet<PathBuf>,
    pub(crate) limits: TaskLimits,
}

/// What one task may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct TaskLimits {
    /// Processes and threads. It counts those of the runner's user.
    pub(crate) processes: u64,
    /// Open files of one process.
    pub(crate) files: u64,
    /// Memory of one process, in bytes; without a limit, the machine's.
    pub(crate) memory: Option<u64>,
}

/// The kernel ends processes of jobs before others if the machine has no memory left: from 0 (default) to 1000.
const OOM_SCORE: &str = "500";

impl Confinement {
    /// Confines this process, which has no other threads. `dir` is the task's directory, and `own_user` says whether
    /// its runner has a user of its own. `docker_socket` is that of the task's own Docker engine, if it has one.
    pub(crate) fn enter(&self, dir: &Path, own_user: bool, docker_socket: Option<&Path>) -> io::Result<()> {
        if own_user {
            // Shared memory, semaphores and queues end with the task. Without the right to it, mounts fail too.
            let separated = unshare(CloneFlags::CLONE_NEWIPC);
            if self.private_files {
                separated?;
                mounts::make_private(dir, &self.read, &self.writable, docker_socket)?;
            }
        }
        if self.no_new_privileges {
            prctl::set_no_new_privs()?;
        }
        // Docker gives containers the default. Beside them the agent would be killed in place of a container.
        if docker_socket.is_none() {
            // Where /proc is read-only, the kernel's own choice remains.
            let _best_effort = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
        }
        self.limits.set(own_user)
    }
}

impl Confinement {
    /// How the Docker engine of a task sees the machine's files: the paths that the task passes to it mean the same.
    pub(crate) fn engine_view(&self, dir: &Path) -> View {
        if self.private_files { mounts::engine_view(dir, &self.read) } else { View::default() }
    }

    /// Tries the confinement in a process of `executable`, with `dir` in place of a task's directory. The process enters
    /// `cgroup` first.
    ///
    /// # Errors
    ///
    /// This machine does not allow it. The error is the system's.
    pub(crate) fn try_out(
        &self,
        executable: &Path,
        dir: &Path,
        cgroup: Option<&TaskCgroup>,
    ) -> io::Result<()> {
        let output = Command::new(executable)
            .arg(CONFINEMENT_SUBCOMMAND)
            .arg(dir)
            .arg(serde_json::to_string(self)?)
            .env_clear()
            .envs(cgroup.map(|cgroup| (CGROUP, cgroup.name())))
            .stdin(Stdio::null())
            .output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// Enters a cgroup, if one is named, and a confinement, writes why it cannot to standard error, and ends.
#[must_use]
pub fn main(dir: &Path, confinement: &str, cgroup: Option<&str>) -> ExitCode {
    let confinement: Result<Confinement, _> = serde_json::from_str(confinement);
    let entered = cgroup.map_or(Ok(()), |name| TaskCgroup::named(name).join());
    let confined = entered.and_then(|()| Ok(confinement?)).and_then(|it| it.enter(dir, true, None));
    match confined {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _told = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

impl TaskLimits {
    /// Sets the limits of this process and its children.
    fn set(&self, own_user: bool) -> io::Result<()> {
        lower(Resource::RLIMIT_NOFILE, self.files)?;
        self.memory.map_or(Ok(()), |memory| lower(Resource::RLIMIT_DATA, memory))?;
        lower(Resource::RLIMIT_CORE, 0)?;
        // Without a user of its own, the processes of the server and of all tasks would count.
        if own_user { lower(Resource::RLIMIT_NPROC, self.processes) } else { Ok(()) }
    }
}

/// Lowers both limits to `most`, if they are higher.
fn lower(resource: Resource, most: u64) -> io::Result<()> {
    let (_, hard) = getrlimit(resource)?;
    let most = most.min(hard);
    Ok(setrlimit(resource, most, most)?)
}

/// Returns the directories of this machine that every user can write to.
pub(crate) fn public_directories() -> Vec<PathBuf> {
    let known = ["/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock", "/var/crash"];
    let resolved: BTreeSet<PathBuf> =
        known.iter().filter_map(|path| Path::new(path).canonicalize().ok()).collect();
    resolved.into_iter().collect()
}
