//! Every way in which the agent can end, each with its own exit code.

use std::fmt;
use std::io;

use ecsrunner_aws::boot::{TakeError, TaskError};
use ecsrunner_core::text::chain;
use ecsrunner_core::wire::exit::AgentExit;

use crate::agent_dir::AgentDirError;
use crate::env_file::EnvFileError;
use crate::scrub::ScrubError;

/// How the agent ended, with one sentence for people.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) exit: AgentExit,
    pub(crate) detail: String,
}

/// Why the agent stopped the listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Cause {
    /// A signal asked the agent to stop.
    Signal,
    /// Not listening for jobs within the connect limit.
    ConnectLimit,
    /// No job within the idle limit.
    IdleLimit,
    /// The job's hook did not check in within the hook limit.
    HookLimit,
    /// At the hook limit the listener had started no worker for its job.
    NoWorker,
    /// The job ran longer than the job limit.
    JobLimit,
    /// While its job ran, the listener was stopped or had no worker for the worker limit.
    Unattended,
    /// The job's hook had let it begin, and then the job was refused.
    Contradicted,
    /// The listener did not end within the exit limit after its job.
    ExitLimit,
    /// The hook refused the job.
    Refused(String),
}

impl Cause {
    /// The value of a log line's `reason`.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::ConnectLimit => "connect_limit",
            Self::IdleLimit => "idle_limit",
            Self::HookLimit => "hook_limit",
            Self::NoWorker => "no_worker",
            Self::JobLimit => "job_limit",
            Self::Unattended => "worker_limit",
            Self::Contradicted => "refused_after_check_in",
            Self::ExitLimit => "exit_limit",
            Self::Refused(_) => "job_refused",
        }
    }
}

impl Ending {
    pub(crate) fn new(exit: AgentExit, detail: impl fmt::Display) -> Self {
        Self { exit, detail: detail.to_string() }
    }

    pub(crate) fn failed(error: &dyn std::error::Error) -> Self {
        Self::new(AgentExit::Failed, chain(error))
    }

    pub(crate) fn task_unknown(error: &TaskError) -> Self {
        Self::new(AgentExit::TaskUnknown, chain(error))
    }

    pub(crate) fn no_boot_item() -> Self {
        Self::new(AgentExit::NoBootItem, "no boot item appeared within the boot limit")
    }

    pub(crate) fn not_needed() -> Self {
        Self::new(AgentExit::NotNeeded, "no job needed this warm task within its limit")
    }

    /// The item cannot be taken, or was taken but cannot be read.
    pub(crate) fn not_taken(error: &TakeError) -> Self {
        match error {
            TakeError::Unreadable { .. } => Self::new(AgentExit::BootItemUnreadable, chain(error)),
            _ => Self::boot_failed(error),
        }
    }

    pub(crate) fn boot_failed(error: &TakeError) -> Self {
        Self::new(AgentExit::BootFailed, chain(error))
    }

    pub(crate) fn boot_ambiguous(error: &TakeError) -> Self {
        Self::new(AgentExit::BootAmbiguous, format!("{}; no boot item appeared afterwards", chain(error)))
    }

    /// A signal came while no listener ran.
    pub(crate) fn interrupted() -> Self {
        Self::new(AgentExit::Interrupted, "a signal asked the agent to stop while no listener ran")
    }
}

impl From<AgentDirError> for Ending {
    fn from(error: AgentDirError) -> Self {
        Self::new(AgentExit::FilesFailed, chain(&error))
    }
}

impl From<EnvFileError> for Ending {
    fn from(error: EnvFileError) -> Self {
        Self::new(AgentExit::FilesFailed, chain(&error))
    }
}

impl From<ScrubError> for Ending {
    fn from(error: ScrubError) -> Self {
        Self::failed(&error)
    }
}

/// The listener could not be started.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` cannot be started")]
pub(crate) struct StartError {
    pub(crate) path: String,
    pub(crate) source: io::Error,
}

impl From<StartError> for Ending {
    fn from(error: StartError) -> Self {
        Self::new(AgentExit::ListenerMissing, chain(&error))
    }
}

/// The value of the last line's `reason`.
pub(crate) fn reason(exit: AgentExit) -> &'static str {
    match exit {
        AgentExit::Completed => "completed",
        AgentExit::Failed => "failed",
        AgentExit::NoBootItem => "no_boot_item",
        AgentExit::BootFailed => "boot_failed",
        AgentExit::BootAmbiguous => "boot_ambiguous",
        AgentExit::ListenerMissing => "listener_missing",
        AgentExit::NotConnected => "not_connected",
        AgentExit::ImageTooOld => "image_too_old",
        AgentExit::NoJob => "no_job",
        AgentExit::RegistrationLost => "registration_lost",
        AgentExit::ListenerCrashed => "listener_crashed",
        AgentExit::JobTimeout => "job_timeout",
        AgentExit::JobRefused => "job_refused",
        AgentExit::Interrupted => "interrupted",
        AgentExit::InterruptedBusy => "interrupted_busy",
        AgentExit::TaskUnknown => "task_unknown",
        AgentExit::BootItemUnreadable => "boot_item_unreadable",
        AgentExit::FilesFailed => "files_failed",
        AgentExit::SessionConflict => "session_conflict",
        AgentExit::SessionRefused => "session_refused",
        AgentExit::HookSilent => "hook_silent",
        AgentExit::JobNotStarted => "job_not_started",
        AgentExit::JobAbandoned => "job_abandoned",
        AgentExit::JobWithdrawn => "job_withdrawn",
        AgentExit::DirectoryUnreadable => "directory_unreadable",
        AgentExit::GithubUnavailable => "github_unavailable",
        AgentExit::ListenerHung => "listener_hung",
        AgentExit::NotNeeded => "not_needed",
        AgentExit::DockerFailed => "docker_failed",
        AgentExit::AgentAbsent => "agent_absent",
        AgentExit::AgentAltered => "agent_altered",
    }
}
