//! Derives the agent's ending from the listener's exit code, its phase and its
//! messages before the job.
//!
//! The exit codes are undocumented. Seen with the official runner 2.336: 2 is
//! any exception, and 0 also follows a lost registration. The job's result is
//! never derived here, since only GitHub knows it.

use ecsrunner_core::wire::exit::AgentExit;

use crate::ending::{Cause, Ending};
use crate::lines::ABANDONED;
use crate::listener::NOT_STARTED;
use crate::phase::Phase;
use crate::processes::Status;
use crate::words::{Word, Words};

/// 2 is any exception in the listener, which may not occur at the next start.
/// 6 means that the listener wrote a new configuration and asks to be started
/// with it (read in the official runner 2.336).
const RETRYABLE: [Status; 2] = [Status::Code(2), Status::Code(6)];
const SESSION_CONFLICT: Status = Status::Code(5);
const VERSION_DEPRECATED: Status = Status::Code(7);

/// How the listener ended, and the facts that explain it.
pub(crate) struct ListenerEnd<'a> {
    /// Why the agent stopped it, and the phase it was in then.
    pub(crate) stopped: Option<(&'a Cause, &'a Phase)>,
    /// The phase it ended in.
    pub(crate) phase: &'a Phase,
    /// Its messages before it had a job.
    pub(crate) words: &'a Words,
    pub(crate) status: Status,
}

impl ListenerEnd<'_> {
    /// Whether another start may succeed: the listener had no job, and none of
    /// its messages means that it would end in the same way.
    pub(crate) fn is_retryable(&self) -> bool {
        RETRYABLE.contains(&self.status)
            && self.stopped.is_none()
            && !self.phase.job_seen()
            && matches!(self.words.word(), None | Some(Word::SessionConflict | Word::Unavailable))
    }

    /// Returns the agent's ending.
    pub(crate) fn judge(&self) -> Ending {
        match self.stopped {
            Some((cause, then)) => self.judge_stopped(cause, then),
            None => self.judge_own_end(),
        }
    }

    fn judge_stopped(&self, cause: &Cause, then: &Phase) -> Ending {
        match cause {
            Cause::Refused(reason) => return Ending::new(AgentExit::JobRefused, reason),
            Cause::HookLimit => {
                return Ending::new(
                    AgentExit::HookSilent,
                    "the job's hook did not check in within the hook limit: the job was ended",
                );
            }
            Cause::NoWorker => {
                return Ending::new(
                    AgentExit::JobNotStarted,
                    "the listener had started no worker for its job by the hook limit: GitHub did not let the job start",
                );
            }
            Cause::Unattended => {
                return Ending::new(
                    AgentExit::ListenerHung,
                    "while its job ran, the listener was stopped or had no worker until the worker limit",
                );
            }
            Cause::Contradicted => {
                return Ending::new(
                    AgentExit::ListenerHung,
                    "the job's hook had let it begin, and then it was refused: one of both was the job's own",
                );
            }
            Cause::JobLimit => {
                return Ending::new(AgentExit::JobTimeout, "the job ran longer than its limit");
            }
            Cause::ExitLimit | Cause::Signal | Cause::IdleLimit | Cause::ConnectLimit => {}
        }
        if let Phase::Completed { result, .. } = then {
            let detail =
                format!("the job ended; the listener outlived it and was stopped ({})", cause.reason());
            return completed(result, detail);
        }
        // A job may have started after the decision to stop.
        if self.phase.job_seen() {
            let detail = format!("stopped while a job ran ({})", cause.reason());
            return Ending::new(AgentExit::InterruptedBusy, detail);
        }
        match cause {
            Cause::Signal => Ending::new(AgentExit::Interrupted, "a signal asked the agent to stop"),
            Cause::ConnectLimit => self.not_connected("the listener did not listen within the connect limit"),
            // It had listened, was started again, and got no session this time.
            _ if *then == Phase::Starting => self.not_connected(STARTED_AGAIN),
            _ => self.no_job("no job came within the idle limit"),
        }
    }

    fn judge_own_end(&self) -> Ending {
        match self.phase {
            // The listener's exit code after its job does not concern the job.
            Phase::Completed { result, .. } if self.status == Status::Code(0) => {
                completed(result, "the job ended".to_owned())
            }
            Phase::Completed { result, .. } => {
                completed(result, format!("the job ended; the listener ended with {}", self.status))
            }
            Phase::Running { .. } if self.status == Status::Code(0) => Ending::new(
                AgentExit::JobNotStarted,
                "the listener ended without reporting the end of its job: GitHub did not let it start, or it \
                 was cancelled before it started",
            ),
            Phase::Running { .. } => self.crashed("the listener ended during its job"),
            Phase::Listening if self.status == Status::Code(0) => self.lost().unwrap_or_else(|| {
                let detail = "the listener ended by itself while it waited; usually the offered job was gone";
                Ending::new(AgentExit::JobWithdrawn, detail)
            }),
            Phase::Starting | Phase::Listening => self.failed().unwrap_or_else(|| match self.status {
                Status::Code(code) if code == i32::from(NOT_STARTED) => {
                    Ending::new(AgentExit::ListenerMissing, "the listener cannot be started as its user")
                }
                _ => self.crashed("the listener ended"),
            }),
        }
    }

    /// The ending if a limit is reached between two starts of the listener.
    pub(crate) fn judge_retries(&self, cause: &Cause) -> Ending {
        match cause {
            Cause::IdleLimit if *self.phase == Phase::Listening => self.no_job(STARTED_AGAIN),
            _ => self.not_connected(STARTED_AGAIN),
        }
    }

    fn not_connected(&self, detail: &str) -> Ending {
        self.failed().unwrap_or_else(|| self.with_words(AgentExit::NotConnected, detail))
    }

    fn no_job(&self, detail: &str) -> Ending {
        self.lost().unwrap_or_else(|| self.with_words(AgentExit::NoJob, detail))
    }

    fn crashed(&self, what: &str) -> Ending {
        let detail = format!("{what} with {}", self.status);
        // Messages from before the job do not explain a crash during it.
        if self.phase.job_seen() {
            return Ending::new(AgentExit::ListenerCrashed, detail);
        }
        self.with_words(AgentExit::ListenerCrashed, &detail)
    }

    /// The ending that follows from the listener's messages or from an unambiguous exit code.
    fn failed(&self) -> Option<Ending> {
        if let Some(lost) = self.lost() {
            return Some(lost);
        }
        let (exit, detail) = match self.words.word() {
            Some(Word::Deprecated) => (AgentExit::ImageTooOld, TOO_OLD),
            _ if self.status == VERSION_DEPRECATED => (AgentExit::ImageTooOld, TOO_OLD),
            _ if self.status == SESSION_CONFLICT => (AgentExit::SessionConflict, CONFLICT),
            // A listener that listens has a session.
            Some(Word::SessionConflict) if *self.phase == Phase::Starting => {
                (AgentExit::SessionConflict, CONFLICT)
            }
            Some(Word::SessionRefused) if *self.phase == Phase::Starting => {
                (AgentExit::SessionRefused, "GitHub refused the runner's session")
            }
            // A listener that was killed by a signal from elsewhere has another fault.
            Some(Word::Unavailable)
                if *self.phase == Phase::Starting
                    && (self.stopped.is_some() || matches!(self.status, Status::Code(_))) =>
            {
                (AgentExit::GithubUnavailable, "GitHub answered the listener with errors")
            }
            Some(Word::DirectoryUnreadable) => (
                AgentExit::DirectoryUnreadable,
                "the runner's directory and each one above it must be listable by the listener's user",
            ),
            _ => return None,
        };
        Some(self.with_words(exit, detail))
    }

    fn lost(&self) -> Option<Ending> {
        let is_lost = self.words.word() == Some(Word::RegistrationDeleted);
        is_lost
            .then(|| self.with_words(AgentExit::RegistrationLost, "GitHub deleted the runner's registration"))
    }

    fn with_words(&self, exit: AgentExit, detail: &str) -> Ending {
        Ending::new(exit, format!("{detail}{}", self.words.suffix()))
    }
}

const STARTED_AGAIN: &str = "the listener was started again until the limit was reached";
const TOO_OLD: &str = "GitHub refuses this version of the runner: the image is too old";
const CONFLICT: &str = "GitHub has another session of this runner open";

fn completed(result: &str, detail: String) -> Ending {
    match result {
        ABANDONED => Ending::new(
            AgentExit::JobAbandoned,
            "the runner lost the job: GitHub took it away, or did not answer its renewals",
        ),
        _ => Ending::new(AgentExit::Completed, detail),
    }
}

#[cfg(test)]
mod tests;
