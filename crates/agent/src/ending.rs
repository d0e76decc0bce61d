//! Every way in which the agent ends, and the one code that each has.

use std::fmt;
use std::io;

use ecsrunner_aws::boot::{TakeError, TaskError};
use ecsrunner_core::exit::AgentExit;

use crate::agent_dir::AgentDirError;
use crate::listener::NOT_STARTED;
use crate::log::chain;
use crate::phase::Phase;
use crate::processes::Status;
use crate::scrub::ScrubError;

/// How the agent ended, and one sentence on it for a person.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) exit: AgentExit,
    pub(crate) detail: String,
}

/// Why the agent ended the listener, rather than the listener itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Cause {
    /// A signal asked the agent to stop.
    Signal,
    /// No connection within the connect limit.
    ConnectLimit,
    /// No job within the idle limit.
    IdleLimit,
    /// The job ran past its limit.
    JobLimit,
    /// The listener outlived its job for longer than the exit limit.
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
            Self::JobLimit => "job_limit",
            Self::ExitLimit => "exit_limit",
            Self::Refused(_) => "job_refused",
        }
    }
}

/// The listener's end, with what is needed to judge it.
pub(crate) struct ListenerEnd<'a> {
    /// Why the agent stopped it, and the phase it was in then.
    pub(crate) stopped: Option<(&'a Cause, &'a Phase)>,
    /// The phase it ended in.
    pub(crate) phase: &'a Phase,
    /// How its process ended.
    pub(crate) status: Status,
}

impl Ending {
    fn new(exit: AgentExit, detail: impl fmt::Display) -> Self {
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

    /// The item cannot be taken, or was taken in vain.
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
        Self::new(AgentExit::BootAmbiguous, format!("{}; nothing followed", chain(error)))
    }

    /// A signal came while no listener ran.
    pub(crate) fn interrupted() -> Self {
        Self::new(AgentExit::Interrupted, "a signal asked the agent to stop while no listener ran")
    }

    /// The time for connecting or for a job ran out between two starts of the listener.
    pub(crate) fn retried_too_long(cause: &Cause) -> Self {
        let exit = match cause {
            Cause::ConnectLimit => AgentExit::NotConnected,
            _ => AgentExit::NoJob,
        };
        Self::new(exit, "the listener asked to be started again until its time ran out")
    }

    /// A listener that ended, whatever ended it. Its codes are documented
    /// nowhere; they are those of the official runner's source.
    pub(crate) fn of_listener(end: &ListenerEnd<'_>) -> Self {
        match end.stopped {
            Some((cause, then)) => Self::of_stopped(cause, then, end),
            None => Self::of_itself(end),
        }
    }

    fn of_stopped(cause: &Cause, then: &Phase, end: &ListenerEnd<'_>) -> Self {
        let completed = matches!(then, Phase::Completed { .. }) && end.status == Status::Code(0);
        match cause {
            Cause::Refused(reason) => Self::new(AgentExit::JobRefused, reason),
            Cause::JobLimit => Self::new(AgentExit::JobTimeout, "the job ran longer than its limit"),
            Cause::ExitLimit => Self::new(
                AgentExit::ListenerCrashed,
                "the listener outlived its job for longer than the exit limit",
            ),
            Cause::Signal if completed => {
                Self::new(AgentExit::Completed, "a signal came when the job had completed")
            }
            // A job may also have come at the last moment: it was cancelled then.
            Cause::Signal | Cause::IdleLimit | Cause::ConnectLimit if end.phase.job_seen() => {
                Self::new(AgentExit::InterruptedBusy, format!("stopped while a job ran ({})", cause.reason()))
            }
            Cause::Signal => Self::new(AgentExit::Interrupted, "a signal asked the agent to stop"),
            Cause::IdleLimit => Self::new(AgentExit::NoJob, "no job came within the idle limit"),
            Cause::ConnectLimit => {
                Self::new(AgentExit::NotConnected, "the listener did not connect within the connect limit")
            }
        }
    }

    fn of_itself(end: &ListenerEnd<'_>) -> Self {
        match (end.status, end.phase) {
            (Status::Code(0), Phase::Completed { result, .. }) => {
                Self::new(AgentExit::Completed, format!("the job completed: {result}"))
            }
            // Some paths of the listener never say that a job completed.
            (Status::Code(0), Phase::Running { .. }) => {
                Self::new(AgentExit::Completed, "the listener ended after its job without naming the result")
            }
            (Status::Code(0), _) => Self::new(
                AgentExit::RegistrationLost,
                "the listener ended without a job: its registration is gone",
            ),
            (Status::Code(7), _) => Self::new(
                AgentExit::ImageTooOld,
                "GitHub refuses this version of the runner: the image is too old",
            ),
            (Status::Code(code), _) if code == i32::from(NOT_STARTED) => {
                Self::new(AgentExit::ListenerMissing, "the listener cannot be started as its user")
            }
            (status, _) => Self::new(AgentExit::ListenerCrashed, format!("the listener ended: {status}")),
        }
    }
}

impl From<AgentDirError> for Ending {
    fn from(error: AgentDirError) -> Self {
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
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn running() -> Phase {
        Phase::Running { job: "build".into(), since: Instant::now() }
    }

    fn completed() -> Phase {
        Phase::Completed { job: "build".into(), result: "Succeeded".into(), since: Instant::now() }
    }

    fn stopped(cause: &Cause, then: &Phase, phase: &Phase, code: i32) -> AgentExit {
        let end = ListenerEnd { stopped: Some((cause, then)), phase, status: Status::Code(code) };
        Ending::of_listener(&end).exit
    }

    #[test]
    fn a_job_that_comes_while_an_idle_runner_is_stopped_was_interrupted() {
        let exit = stopped(&Cause::IdleLimit, &Phase::Listening, &running(), 0);
        assert_eq!(exit, AgentExit::InterruptedBusy);
        assert_eq!(stopped(&Cause::IdleLimit, &Phase::Listening, &Phase::Listening, 0), AgentExit::NoJob);
    }

    #[test]
    fn a_signal_after_the_job_leaves_a_completed_job_completed() {
        assert_eq!(stopped(&Cause::Signal, &completed(), &completed(), 0), AgentExit::Completed);
        assert_eq!(stopped(&Cause::Signal, &running(), &completed(), 0), AgentExit::InterruptedBusy);
    }

    #[test]
    fn a_listener_that_does_not_end_by_itself_after_its_job_proves_nothing() {
        assert_eq!(stopped(&Cause::ExitLimit, &completed(), &completed(), 0), AgentExit::ListenerCrashed);
    }
}
