//! `bin/Runner.Listener run`: the official runner's process, one job long.
//!
//! Not `run.sh`, which hides the listener's exit codes.
//!
//! Where it is to be another user than the agent, it has to have that user's
//! groups, as after a login: password-less sudo goes by them. Only a process
//! itself can take them on, so the agent starts itself as the listener's
//! forerunner, which becomes that user and then the listener.

use std::ffi::{CString, OsStr};
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

use crate::config::Supervision;
use crate::ending::StartError;
use crate::output::Outputs;

/// The first argument that asks an executable to be the listener's forerunner;
/// the user's id and the listener's path follow.
pub(crate) const LISTENER_SUBCOMMAND: &str = "agent-listener";
/// The forerunner's exit code where it could not become the listener; the
/// listener has none above 7.
pub(crate) const NOT_STARTED: u8 = 210;

const HOME: &str = "HOME";
/// The listener reads this one and removes it from its own environment.
const JIT_CONFIG: &str = "ACTIONS_RUNNER_INPUT_JITCONFIG";
const HOOK: &str = "ACTIONS_RUNNER_HOOK_JOB_STARTED";
/// Exit code 7 where GitHub refuses the runner's version.
const DEPRECATED_EXIT_CODE: &str = "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE";
/// As in the official image: the listener takes INT itself.
const TRAP_SIGNALS: &str = "RUNNER_MANUALLY_TRAP_SIG";
/// Without it, the listener refuses to run as root, with exit code 0.
const ALLOW_ROOT: &str = "RUNNER_ALLOW_RUNASROOT";

/// The variables that the agent gives the listener beside those of
/// [`ListenerConfig::environment`]. There are no others.
pub(crate) const OWN_VARIABLES: [&str; 6] =
    [HOME, JIT_CONFIG, HOOK, DEPRECATED_EXIT_CODE, TRAP_SIGNALS, ALLOW_ROOT];

/// Who the listener is, where that is not the agent's own user.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    /// Its name, where it has an account.
    name: Option<String>,
}

impl Account {
    /// The configured user, where the agent may switch to one.
    pub(crate) fn of(config: &Supervision) -> Option<Self> {
        let uid = config.listener.uid.filter(|_| geteuid().is_root())?;
        Some(Self::by_id(uid))
    }

    /// The group is that of the user's account, or has the same number.
    fn by_id(uid: u32) -> Self {
        let account = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        Self {
            uid: Uid::from_raw(uid),
            gid: account.as_ref().map_or(Gid::from_raw(uid), |account| account.gid),
            name: account.map(|account| account.name),
        }
    }

    /// Makes this process that user, with the groups of its account and no others.
    fn assume(&self) -> io::Result<()> {
        match &self.name {
            Some(name) => initgroups(&CString::new(name.as_str())?, self.gid)?,
            None => setgroups(&[self.gid])?,
        }
        setgid(self.gid)?;
        Ok(setuid(self.uid)?)
    }
}

/// Makes this process the listener, as that user; returns only where it cannot.
pub(crate) fn become_listener(uid: &OsStr, program: &Path) -> ExitCode {
    let Err(error) = try_become_listener(uid, program);
    // The agent passes it on before it ends.
    let _told = writeln!(io::stderr(), "error: `{}` cannot be started: {error}", program.display());
    ExitCode::from(NOT_STARTED)
}

fn try_become_listener(uid: &OsStr, program: &Path) -> io::Result<std::convert::Infallible> {
    let uid = uid.to_str().and_then(|uid| uid.parse().ok());
    Account::by_id(uid.ok_or_else(|| io::Error::other("no user id is given"))?).assume()?;
    let program = CString::new(program.as_os_str().as_bytes())?;
    Ok(execv(&program, &[program.as_c_str(), c"run"])?)
}

/// A started listener. Dropping it ends nothing.
pub(crate) struct Listener {
    pub(crate) pid: Pid,
}

impl Listener {
    /// Starts it in a process group of its own, with a clean environment.
    pub(crate) fn start(
        config: &Supervision,
        account: Option<&Account>,
        hook_script: &Path,
        jit: &SecretString,
    ) -> Result<(Self, Outputs), StartError> {
        let listener = &config.listener;
        let path = listener.runner_dir.join("bin/Runner.Listener");
        let failed = |source| StartError { path: path.display().to_string(), source };
        let mut command = match account {
            None => Command::new(&path),
            // The forerunner tells less well what is wrong with it.
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
            .env(HOOK, hook_script)
            .env(DEPRECATED_EXIT_CODE, "1")
            .env(TRAP_SIGNALS, "1")
            .env(JIT_CONFIG, jit.expose_secret());
        if account.map_or(geteuid(), |account| account.uid).is_root() {
            command.env(ALLOW_ROOT, "1");
        }
        Self::spawn(&mut command).map_err(failed)
    }

    /// The child's handle is dropped: the agent reaps by itself.
    fn spawn(command: &mut Command) -> io::Result<(Self, Outputs)> {
        let mut child = command.spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let missing = || io::Error::other("no pipe to its output");
        let stdout: OwnedFd = child.stdout.take().ok_or_else(missing)?.into();
        let stderr: OwnedFd = child.stderr.take().ok_or_else(missing)?.into();
        Ok((Self { pid: Pid::from_raw(pid) }, Outputs::new(stdout.into(), stderr.into())?))
    }

    /// Sends a signal to the listener and everything in its group.
    pub(crate) fn signal_group(&self, signal: Signal) {
        ignore_missing(killpg(self.pid, signal));
    }

    /// Sends a signal to the listener alone.
    pub(crate) fn signal(&self, signal: Signal) {
        ignore_missing(kill(self.pid, signal));
    }
}

fn is_executable(path: &Path) -> io::Result<()> {
    let found = fs::metadata(path)?;
    let executable = found.is_file() && found.permissions().mode() & 0o111 != 0;
    if executable { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// Whoever is gone needs no signal; whoever is another user's by now (sudo)
/// cannot be sent one. The end of the listener shows either.
fn ignore_missing(result: Result<(), Errno>) {
    debug_assert!(matches!(result, Ok(()) | Err(Errno::ESRCH | Errno::EPERM)), "{result:?}");
}
