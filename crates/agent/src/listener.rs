//! `bin/Runner.Listener run`: the official runner's process, one job long.
//!
//! Not `run.sh`, which hides the listener's exit codes.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Gid, Pid, Uid, User, geteuid};
use secrecy::{ExposeSecret, SecretString};

use crate::config::ListenerConfig;
use crate::ending::StartError;
use crate::output::Outputs;

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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
}

impl Account {
    /// The configured user, where the agent may switch to one: its group is
    /// that of the user's account, or has the same number.
    pub(crate) fn of(config: &ListenerConfig) -> Option<Self> {
        let uid = Uid::from_raw(config.uid.filter(|_| geteuid().is_root())?);
        let account = User::from_uid(uid).ok().flatten();
        Some(Self { uid, gid: account.map_or(Gid::from_raw(uid.as_raw()), |account| account.gid) })
    }
}

/// A started listener. Dropping it ends nothing.
pub(crate) struct Listener {
    pub(crate) pid: Pid,
}

impl Listener {
    /// Starts it in a process group of its own, with a clean environment.
    pub(crate) fn start(
        config: &ListenerConfig,
        account: Option<Account>,
        hook_script: &Path,
        jit: &SecretString,
    ) -> Result<(Self, Outputs), StartError> {
        let path = config.runner_dir.join("bin/Runner.Listener");
        let mut command = Command::new(&path);
        command
            .arg("run")
            .current_dir(&config.runner_dir)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env_clear()
            .envs(config.environment.iter().map(|(name, value)| (name, value)))
            .env(HOME, &config.runner_dir)
            .env(HOOK, hook_script)
            .env(DEPRECATED_EXIT_CODE, "1")
            .env(TRAP_SIGNALS, "1")
            .env(JIT_CONFIG, jit.expose_secret());
        if account.map_or(geteuid(), |account| account.uid).is_root() {
            command.env(ALLOW_ROOT, "1");
        }
        if let Some(account) = account {
            // The standard library drops the supplementary groups with this.
            command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
        }
        Self::spawn(&mut command).map_err(|source| StartError { path: path.display().to_string(), source })
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

/// Whoever is gone needs no signal; whoever is another user's by now (sudo)
/// cannot be sent one. The end of the listener shows either.
fn ignore_missing(result: Result<(), Errno>) {
    debug_assert!(matches!(result, Ok(()) | Err(Errno::ESRCH | Errno::EPERM)), "{result:?}");
}
