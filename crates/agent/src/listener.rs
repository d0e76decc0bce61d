//! Starts `bin/Runner.Listener run`, the official runner's process for one job.
//! It does not start `run.sh`, which hides the listener's exit codes.
//!
//! If the listener is to run as another user than the agent, it needs that
//! user's groups, as after a login: password-less sudo depends on them. A process
//! can set only its own groups. So the agent starts its own executable as a
//! launcher, which switches to that user and then executes the listener.

use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Gid, Pid, Uid, User, execv, geteuid, initgroups, setgid, setgroups, setuid};
use secrecy::{ExposeSecret, SecretString};

use crate::agent_dir::AgentDir;
use crate::config::{ListenerConfig, Supervision};
use crate::docker::has_docker;
use crate::ending::StartError;
use crate::env_file;
use crate::output::Outputs;

/// The subcommand of the launcher. Its arguments are the user's id and the
/// listener's path.
pub(crate) const LISTENER_SUBCOMMAND: &str = "agent-listener";
/// The launcher's exit code if it could not execute the listener. The listener
/// itself ends with 0 to 7, or with 143 after TERM.
pub(crate) const NOT_STARTED: u8 = 210;

const HOME: &str = "HOME";
const TMPDIR: &str = "TMPDIR";
const PATH: &str = "PATH";
/// Docker's variable for the daemon's address.
const DOCKER_HOST: &str = "DOCKER_HOST";
/// Docker's variable for an address in its own configuration. It counts more than the other one.
const DOCKER_CONTEXT: &str = "DOCKER_CONTEXT";
/// The listener reads this one and removes it from its own environment.
const JIT_CONFIG: &str = "ACTIONS_RUNNER_INPUT_JITCONFIG";
const HOOK: &str = "ACTIONS_RUNNER_HOOK_JOB_STARTED";
/// Set only if jobs get a note about their runner.
const COMPLETED_HOOK: &str = "ACTIONS_RUNNER_HOOK_JOB_COMPLETED";
/// Set only if the class declares services, or if there is no Docker: the runner then
/// calls the container hook.
const CONTAINER_HOOKS: &str = "ACTIONS_RUNNER_CONTAINER_HOOKS";
/// Makes the listener end with code 7 if a message says that its version is too
/// old. If GitHub refuses the session for that reason, the code is 1 in any case.
const DEPRECATED_EXIT_CODE: &str = "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE";

/// The official runner's variables that the operator or the image may set. Only
/// the agent may set the others with this prefix, such as hooks and configurations.
pub(crate) const PASSED_VARIABLES: [&str; 2] =
    ["ACTIONS_RUNNER_ACTION_ARCHIVE_CACHE", "ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT"];

/// Variables that can make bash execute something before its script, or end
/// without executing it. The official runner 2.336 starts the job-started hook as
/// `bash -e PATH`. Exported functions, `BASH_FUNC_*`, have the same effect.
const BASH_VARIABLES: [&str; 3] = ["BASH_ENV", "SHELLOPTS", "BASHOPTS"];

/// Whether only the agent may set a variable, and not the image. The official
/// runner 2.336 ignores case in the names of some variables.
pub(crate) fn is_reserved(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let of_runner = upper.starts_with("ACTIONS_RUNNER_") && !PASSED_VARIABLES.contains(&name);
    // These configure the demo's stand-in for the listener.
    let of_ours = upper.starts_with("ECSRUNNER_") && !upper.starts_with("ECSRUNNER_SIM_");
    let of_bash = BASH_VARIABLES.contains(&name) || name.starts_with("BASH_FUNC_");
    name == HOME || of_runner || of_ours || of_bash
}

/// Removes from the runner's `.env` every variable that the agent sets. `has_engine` says whether the task has a Docker
/// engine of its own.
pub(crate) fn hold_env_file(
    config: &ListenerConfig,
    has_engine: bool,
) -> Result<env_file::EnvFile, env_file::EnvFileError> {
    let own_tmp = config.tmp_dir.is_some();
    let names_engine = |name: &str| has_engine && (name == DOCKER_HOST || name == DOCKER_CONTEXT);
    env_file::hold(&config.runner_dir, |name| {
        is_reserved(name) || (own_tmp && name == TMPDIR) || names_engine(name)
    })
}

/// The listener's user, if it is not the agent's own.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    /// Its name, if it has an account.
    name: Option<String>,
}

impl Account {
    /// The configured user, if the agent is root and can switch to it.
    pub(crate) fn of(config: &Supervision) -> Option<Self> {
        let uid = config.listener.uid.filter(|_| geteuid().is_root())?;
        Some(Self::by_id(uid))
    }

    /// The group is that of the user's account. Without an account it has the user's number.
    fn by_id(uid: u32) -> Self {
        let account = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        Self {
            uid: Uid::from_raw(uid),
            gid: account.as_ref().map_or(Gid::from_raw(uid), |account| account.gid),
            name: account.map(|account| account.name),
        }
    }

    /// Switches this process to the user with this id.
    pub(crate) fn assume_by_id(uid: &OsStr) -> io::Result<()> {
        let uid = uid.to_str().and_then(|uid| uid.parse().ok());
        Self::by_id(uid.ok_or_else(|| io::Error::other("no user id is given"))?).assume()
    }

    /// Switches this process to the user, with exactly the groups of its account.
    fn assume(&self) -> io::Result<()> {
        match &self.name {
            Some(name) => initgroups(&CString::new(name.as_str())?, self.gid)?,
            None => setgroups(&[self.gid])?,
        }
        setgid(self.gid)?;
        Ok(setuid(self.uid)?)
    }
}

/// Switches to the user and executes the listener. Returns only on failure.
pub(crate) fn become_listener(uid: &OsStr, program: &Path) -> ExitCode {
    let Err(error) = try_become_listener(uid, program);
    // The agent copies this line to its own output.
    let _told = writeln!(io::stderr(), "error: `{}` cannot be started: {error}", program.display());
    ExitCode::from(NOT_STARTED)
}

fn try_become_listener(uid: &OsStr, program: &Path) -> io::Result<std::convert::Infallible> {
    Account::assume_by_id(uid)?;
    let program = CString::new(program.as_os_str().as_bytes())?;
    Ok(execv(&program, &[program.as_c_str(), c"run"])?)
}

/// What executes the containers of jobs.
pub(crate) enum Containers {
    /// The task's own Docker engine, at this address.
    Engine(String),
    /// The container hook, for the services that the class declares.
    Services,
    /// The machine's Docker, if it has one, or else the container hook, which refuses them.
    Machine,
}

/// A started listener. Dropping it does not end the process.
pub(crate) struct Listener {
    pub(crate) pid: Pid,
}

impl Listener {
    /// Starts it in a process group of its own, with a clean environment.
    /// `env_file` holds the variables of its `.env`.
    pub(crate) fn start(
        config: &Supervision,
        account: Option<&Account>,
        dir: &AgentDir,
        env_file: &[(String, Vec<u8>)],
        jit: &SecretString,
        containers: &Containers,
    ) -> Result<(Self, Outputs), StartError> {
        let listener = &config.listener;
        let path = listener.runner_dir.join("bin/Runner.Listener");
        let failed = |source| StartError { path: path.display().to_string(), source };
        let mut command = match account {
            None => Command::new(&path),
            // Checked here, because the launcher would report it less clearly.
            Some(_) => is_executable(&path).map(|()| Command::new(&config.executable)).map_err(failed)?,
        };
        match account {
            None => command.arg("run"),
            Some(account) => command.arg(LISTENER_SUBCOMMAND).arg(account.uid.to_string()).arg(&path),
        };
        command
            .current_dir(&listener.runner_dir)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env_clear()
            .envs(listener.environment.iter().map(|(name, value)| (name, value)))
            .env(HOME, &listener.runner_dir)
            .env(HOOK, dir.script())
            .env(DEPRECATED_EXIT_CODE, "1")
            .env(JIT_CONFIG, jit.expose_secret());
        if let Some(script) = dir.completed_script() {
            command.env(COMPLETED_HOOK, script);
        }
        if let Some(tmp_dir) = &listener.tmp_dir {
            command.env(TMPDIR, tmp_dir);
        }
        match containers {
            Containers::Engine(host) => drop(command.env(DOCKER_HOST, host).env_remove(DOCKER_CONTEXT)),
            Containers::Machine if reaches_docker(listener, env_file) => {}
            Containers::Machine | Containers::Services => {
                command.env(CONTAINER_HOOKS, dir.container_script());
            }
        }
        Self::spawn(&mut command).map_err(failed)
    }

    /// The child's handle is dropped: the agent itself reaps all children.
    fn spawn(command: &mut Command) -> io::Result<(Self, Outputs)> {
        let mut child = command.spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let missing = || io::Error::other("no pipe to its output");
        let stdout: OwnedFd = child.stdout.take().ok_or_else(missing)?.into();
        let stderr: OwnedFd = child.stderr.take().ok_or_else(missing)?.into();
        Ok((Self { pid: Pid::from_raw(pid) }, Outputs::new(stdout.into(), stderr.into())?))
    }

    /// Asks the listener process, not its group, to end its job and then itself. A process that a job has stopped is
    /// continued: it would not receive the signal otherwise.
    pub(crate) fn interrupt(&self) {
        ignore_missing(kill(self.pid, Signal::SIGINT));
        ignore_missing(kill(self.pid, Signal::SIGCONT));
    }

    /// Kills the listener and its process group. [`crate::processes::kill_descendants`]
    /// kills processes that left the group.
    pub(crate) fn kill_group(&self) {
        ignore_missing(killpg(self.pid, Signal::SIGKILL));
    }
}

/// Whether jobs can use Docker, given the environment that the listener will have.
fn reaches_docker(config: &ListenerConfig, env_file: &[(String, Vec<u8>)]) -> bool {
    let given = |name: &str| {
        let (_, value) = config.environment.iter().rev().find(|(known, _)| known == name)?;
        Some(value.as_os_str())
    };
    let value = |name: &str| env_file::value(env_file, name).or_else(|| given(name)).map(OsString::from);
    let path = value(PATH).unwrap_or_default();
    let names_host = value(DOCKER_HOST).is_some_and(|host| !host.is_empty());
    has_docker(&path, &config.runner_dir, names_host)
}

fn is_executable(path: &Path) -> io::Result<()> {
    let found = fs::metadata(path)?;
    let executable = found.is_file() && found.permissions().mode() & 0o111 != 0;
    if executable { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// Ignores that the process has ended, or now runs as another user (sudo). The
/// end of the listener shows both.
fn ignore_missing(result: Result<(), Errno>) {
    debug_assert!(matches!(result, Ok(()) | Err(Errno::ESRCH | Errno::EPERM)), "{result:?}");
}
