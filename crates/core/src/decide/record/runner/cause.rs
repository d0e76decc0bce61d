//! What the cause that stopped a task means: for its runner, for the job, and for what is to blame.

use crate::reason::{Code, Reason};
use crate::records::runner::{Custody, EndingKind, Runner, RunnerState};
use crate::wire::event::StopCause;
use crate::wire::exit::AgentExit;
use crate::wire::fault::{Fault, Suspect};

const LISTENER_CRASHED: &str = "the listener crashed";

/// Returns the reason that an agent, or AWS, gives for the end of the runner's job.
pub(super) fn why_the_job_ended(cause: &StopCause) -> Option<Reason> {
    match cause {
        StopCause::Agent(exit) => match exit {
            AgentExit::JobTimeout => Some(Code::JobTimeout.into()),
            AgentExit::JobRefused => Some(Code::JobRefused.into()),
            AgentExit::HookSilent => Some(Code::HookSilent.into()),
            AgentExit::JobNotStarted => Some(Code::JobNotStarted.into()),
            AgentExit::JobAbandoned => Some(Code::JobAbandoned.into()),
            AgentExit::ListenerHung => Some(Code::ListenerHung.into()),
            AgentExit::InterruptedBusy => Some(Code::Interrupted.into()),
            AgentExit::ListenerCrashed => Some(Reason::with(Code::AgentCrashed, LISTENER_CRASHED)),
            AgentExit::Completed
            | AgentExit::Failed
            | AgentExit::NoBootItem
            | AgentExit::BootFailed
            | AgentExit::BootAmbiguous
            | AgentExit::ListenerMissing
            | AgentExit::NotConnected
            | AgentExit::ImageTooOld
            | AgentExit::NoJob
            | AgentExit::RegistrationLost
            | AgentExit::Interrupted
            | AgentExit::TaskUnknown
            | AgentExit::BootItemUnreadable
            | AgentExit::FilesFailed
            | AgentExit::DockerFailed
            | AgentExit::SessionConflict
            | AgentExit::SessionRefused
            | AgentExit::JobWithdrawn
            | AgentExit::DirectoryUnreadable
            | AgentExit::GithubUnavailable
            | AgentExit::NotNeeded
            | AgentExit::AgentAbsent
            | AgentExit::AgentAltered => None,
        },
        StopCause::SpotInterrupted => Some(Code::SpotInterrupted.into()),
        _ => None,
    }
}

/// Whether [`why_the_job_ended`] gives this code and no retirement does.
pub(super) fn ends_a_job(code: Code) -> bool {
    matches!(
        code,
        Code::JobTimeout
            | Code::JobRefused
            | Code::HookSilent
            | Code::JobNotStarted
            | Code::JobAbandoned
            | Code::ListenerHung
            | Code::Interrupted
            | Code::SpotInterrupted
    )
}

/// Whether an agent that ended with this cause had taken its boot item.
pub(super) fn took_its_item(cause: &StopCause) -> bool {
    match cause {
        StopCause::Agent(exit) => match exit {
            AgentExit::Completed
            | AgentExit::ListenerMissing
            | AgentExit::NotConnected
            | AgentExit::ImageTooOld
            | AgentExit::NoJob
            | AgentExit::RegistrationLost
            | AgentExit::ListenerCrashed
            | AgentExit::JobTimeout
            | AgentExit::JobRefused
            | AgentExit::InterruptedBusy
            | AgentExit::BootItemUnreadable
            | AgentExit::FilesFailed
            | AgentExit::DockerFailed
            | AgentExit::SessionConflict
            | AgentExit::SessionRefused
            | AgentExit::HookSilent
            | AgentExit::JobNotStarted
            | AgentExit::JobAbandoned
            | AgentExit::ListenerHung
            | AgentExit::JobWithdrawn
            | AgentExit::DirectoryUnreadable
            | AgentExit::GithubUnavailable => true,
            AgentExit::Failed
            | AgentExit::TaskUnknown
            | AgentExit::NoBootItem
            | AgentExit::BootFailed
            | AgentExit::BootAmbiguous
            | AgentExit::Interrupted
            | AgentExit::NotNeeded
            | AgentExit::AgentAbsent
            | AgentExit::AgentAltered => false,
        },
        _ => false,
    }
}

/// Returns what went wrong, if the runner had no job yet.
pub(in crate::decide::record) fn fault_of(cause: &StopCause) -> Option<Fault> {
    match cause {
        StopCause::Agent(exit) => Fault::of_exit(*exit),
        // Nothing of a job was involved, whatever the words are.
        StopCause::FailedToStart(words) => match Fault::of_ecs_words(words) {
            fault if matches!(fault.suspect(), Suspect::Start | Suspect::Capacity) => Some(fault),
            _ => Some(Fault::NeverStarted),
        },
        StopCause::Unknown(words) => Some(Fault::of_ecs_words(words)),
        StopCause::NoCapacity(_) => Some(Fault::NoCapacity),
        StopCause::Missing => Some(Fault::TaskMissing),
        StopCause::SpotInterrupted | StopCause::StoppedByUser => None,
    }
}

/// Returns what is known of the end of a task that had no configuration.
pub(in crate::decide::record) fn words_of(cause: &StopCause) -> Option<String> {
    match cause {
        StopCause::Agent(exit) => Some(format!("the agent ended with exit code {}", exit.code())),
        StopCause::Unknown(words) | StopCause::FailedToStart(words) | StopCause::NoCapacity(words) => {
            Some(words.to_string())
        }
        StopCause::Missing => Some("its task is no longer there".to_owned()),
        StopCause::SpotInterrupted | StopCause::StoppedByUser => None,
    }
}

/// Returns how a runner ends whose task was stopped by this cause, and why.
pub(super) fn kind_of(cause: &StopCause, runner: &Runner) -> (EndingKind, Option<Reason>) {
    let busy = matches!(runner.state, RunnerState::Busy { .. });
    let out_of_memory = |what: &str| {
        let (class, memory) = (&runner.facts.class, runner.facts.size.memory());
        Reason::with(Code::OutOfMemory, format!("class `{class}` has {memory} MiB: {what}"))
    };
    let crashed = |what: &str| {
        let had_job = busy || matches!(runner.state, RunnerState::Booted { custody: Custody::Issued(_), .. });
        if had_job && Fault::of_ecs_words(what) == Fault::OutOfMemory {
            return (EndingKind::AgentCrashed, Some(out_of_memory(what)));
        }
        if had_job {
            (EndingKind::AgentCrashed, Some(Reason::with(Code::AgentCrashed, what)))
        } else {
            (EndingKind::BootFailed, Some(Reason::with(Code::BootFailed, what)))
        }
    };
    let boot_failed = |what: &str| (EndingKind::BootFailed, Some(Reason::with(Code::BootFailed, what)));
    let no_session = |what: &str| (EndingKind::BootFailed, Some(Reason::with(Code::NoSession, what)));
    match cause {
        StopCause::Agent(exit) => match exit {
            AgentExit::Completed => (EndingKind::Completed, None),
            // Only GitHub knows how these jobs end. The class is not at fault.
            AgentExit::JobRefused
            | AgentExit::HookSilent
            | AgentExit::JobNotStarted
            | AgentExit::JobAbandoned
            | AgentExit::ListenerHung => (EndingKind::Completed, why_the_job_ended(cause)),
            AgentExit::NoJob => (EndingKind::IdleTimeout, None),
            AgentExit::JobWithdrawn => (EndingKind::IdleTimeout, Some(Code::JobWithdrawn.into())),
            AgentExit::RegistrationLost => (EndingKind::RegistrationLost, None),
            AgentExit::JobTimeout => (EndingKind::JobTimeout, None),
            AgentExit::NoBootItem => boot_failed("its boot item never came"),
            AgentExit::NotNeeded => boot_failed("its boot item never came while it was warm"),
            AgentExit::BootFailed => boot_failed("the table of its boot item cannot be reached, or refuses"),
            AgentExit::BootItemUnreadable => {
                boot_failed("the image's agent does not understand its boot item")
            }
            AgentExit::TaskUnknown => boot_failed("ECS did not tell the agent its task or its credentials"),
            AgentExit::FilesFailed => {
                boot_failed("the agent's files could not be made, or the runner's `.env` not rewritten")
            }
            AgentExit::DockerFailed => boot_failed("its Docker engine did not come up"),
            AgentExit::BootAmbiguous => boot_failed("taking its boot item got no answer"),
            AgentExit::ListenerMissing => boot_failed("the image has no listener that can be started"),
            AgentExit::NotConnected => {
                boot_failed("the listener did not listen for jobs within the connect limit")
            }
            AgentExit::SessionConflict => no_session("another session of this runner is open"),
            AgentExit::SessionRefused => boot_failed("GitHub refused the runner's session"),
            AgentExit::GithubUnavailable => no_session("GitHub answered with errors until the connect limit"),
            AgentExit::DirectoryUnreadable => {
                boot_failed("the listener cannot list the runner's directory, or one above it")
            }
            AgentExit::ImageTooOld => boot_failed("GitHub refuses the image's runner version as too old"),
            AgentExit::AgentAbsent => boot_failed("GitHub's own image could not download the agent"),
            AgentExit::AgentAltered => {
                boot_failed("GitHub's own image downloaded an agent with another checksum")
            }
            AgentExit::ListenerCrashed => crashed(LISTENER_CRASHED),
            AgentExit::Failed => crashed("the agent failed"),
            AgentExit::Interrupted => crashed("it was interrupted"),
            // A job ran, even if no record says so.
            AgentExit::InterruptedBusy => (EndingKind::AgentCrashed, why_the_job_ended(cause)),
        },
        StopCause::Unknown(what) => crashed(what),
        StopCause::FailedToStart(what) => boot_failed(what),
        StopCause::NoCapacity(what) => (EndingKind::BootFailed, Some(Reason::with(Code::NoCapacity, what))),
        StopCause::SpotInterrupted => (EndingKind::SpotInterrupted, None),
        StopCause::StoppedByUser => (EndingKind::StoppedByOperator, None),
        StopCause::Missing => crashed("its task is no longer there"),
    }
}
