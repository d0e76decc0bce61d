//! How a runner's agent ended: the exit code of its process, which the control
//! plane reads from the task's state change.
//!
//! A code never says how a job ended. Only GitHub knows that.

/// How the agent ended. The codes are pinned: AWS stores them, and control planes
/// of other releases read them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AgentExit {
    /// 0: the listener said that its one job ended, with any result.
    Completed,
    /// 1: the agent itself failed.
    Failed,
    /// 10: no boot item appeared within the boot limit.
    NoBootItem,
    /// 11: the boot item's table could not be reached, or refused the request.
    BootFailed,
    /// 12: the boot item may have been taken, but no answer came.
    BootAmbiguous,
    /// 13: the listener is missing, not executable or could not be started.
    ListenerMissing,
    /// 14: the listener did not listen for jobs within the connect limit.
    NotConnected,
    /// 15: GitHub refuses this runner's version: the image is too old.
    ImageTooOld,
    /// 16: no job came within the idle limit.
    NoJob,
    /// 17: the listener said that its registration was deleted, and saw no job.
    RegistrationLost,
    /// 18: the listener ended in a way that no other code describes.
    ListenerCrashed,
    /// 19: the job ran longer than its limit and was ended, which GitHub shows as a failure.
    JobTimeout,
    /// 20: policy refused the job, and none of its steps was executed.
    JobRefused,
    /// 21: stopped by a signal while no job ran.
    Interrupted,
    /// 22: stopped by a signal while a job ran.
    InterruptedBusy,
    /// 23: ECS did not tell the task's id, or the credentials of its role.
    TaskUnknown,
    /// 24: the boot item was taken, but this agent does not understand it.
    BootItemUnreadable,
    /// 25: the agent's own files could not be created, or the runner's `.env` could not be rewritten.
    FilesFailed,
    /// 26: another session of this runner is open at GitHub.
    SessionConflict,
    /// 27: GitHub refused the runner's session (HTTP status 401 or 403).
    SessionRefused,
    /// 28: the job's hook did not check in within the hook limit, and the job was ended.
    HookSilent,
    /// 29: GitHub gave the listener a job that did not start: GitHub did not let it start, or it was cancelled before.
    JobNotStarted,
    /// 30: the runner lost its job: GitHub took it away, or did not answer its renewals.
    JobAbandoned,
    /// 31: the listener ended by itself while it waited; usually the offered job was gone.
    JobWithdrawn,
    /// 32: the listener cannot list its directory or a parent directory.
    DirectoryUnreadable,
    /// 33: GitHub answered the listener's requests for a session with errors until the connect limit.
    GithubUnavailable,
    /// 34: while its job ran, the listener was stopped (SIGSTOP), or had no worker, until the worker limit; or the job was
    /// refused after its hook had let it begin.
    ListenerHung,
    /// 35: no job needed this warm task within its limit.
    NotNeeded,
    /// 36: the Docker engine of a Docker class did not come up.
    DockerFailed,
    /// 40: GitHub's own image could not download the agent.
    AgentAbsent,
    /// 41: GitHub's own image downloaded an agent with another checksum.
    AgentAltered,
}

impl AgentExit {
    /// Every ending, in the order of its code.
    pub const ALL: [Self; 31] = [
        Self::Completed,
        Self::Failed,
        Self::NoBootItem,
        Self::BootFailed,
        Self::BootAmbiguous,
        Self::ListenerMissing,
        Self::NotConnected,
        Self::ImageTooOld,
        Self::NoJob,
        Self::RegistrationLost,
        Self::ListenerCrashed,
        Self::JobTimeout,
        Self::JobRefused,
        Self::Interrupted,
        Self::InterruptedBusy,
        Self::TaskUnknown,
        Self::BootItemUnreadable,
        Self::FilesFailed,
        Self::SessionConflict,
        Self::SessionRefused,
        Self::HookSilent,
        Self::JobNotStarted,
        Self::JobAbandoned,
        Self::JobWithdrawn,
        Self::DirectoryUnreadable,
        Self::GithubUnavailable,
        Self::ListenerHung,
        Self::NotNeeded,
        Self::DockerFailed,
        Self::AgentAbsent,
        Self::AgentAltered,
    ];

    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Completed => 0,
            Self::Failed => 1,
            Self::NoBootItem => 10,
            Self::BootFailed => 11,
            Self::BootAmbiguous => 12,
            Self::ListenerMissing => 13,
            Self::NotConnected => 14,
            Self::ImageTooOld => 15,
            Self::NoJob => 16,
            Self::RegistrationLost => 17,
            Self::ListenerCrashed => 18,
            Self::JobTimeout => 19,
            Self::JobRefused => 20,
            Self::Interrupted => 21,
            Self::InterruptedBusy => 22,
            Self::TaskUnknown => 23,
            Self::BootItemUnreadable => 24,
            Self::FilesFailed => 25,
            Self::SessionConflict => 26,
            Self::SessionRefused => 27,
            Self::HookSilent => 28,
            Self::JobNotStarted => 29,
            Self::JobAbandoned => 30,
            Self::JobWithdrawn => 31,
            Self::DirectoryUnreadable => 32,
            Self::GithubUnavailable => 33,
            Self::ListenerHung => 34,
            Self::NotNeeded => 35,
            Self::DockerFailed => 36,
            Self::AgentAbsent => 40,
            Self::AgentAltered => 41,
        }
    }

    /// Returns the ending for an exit code; `None` for a code that the agent never
    /// uses, such as 137 of a killed process.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| i32::from(exit.code()) == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_reads_back_and_is_given_once() {
        for exit in AgentExit::ALL {
            assert_eq!(AgentExit::from_code(i32::from(exit.code())), Some(exit));
        }
        assert_eq!(AgentExit::from_code(137), None);
    }

    #[test]
    fn exit_codes_are_never_renumbered() {
        let codes: Vec<u8> = AgentExit::ALL.iter().map(|exit| exit.code()).collect();
        let pinned: Vec<u8> = [0, 1].into_iter().chain(10..=36).chain([40, 41]).collect();
        assert_eq!(codes, pinned);
    }
}
