//! How the agent of a runner ended: its process's exit code, which the control
//! plane reads from the task's state change.

/// An ending of the agent. The codes are pinned: they are stored by AWS and
/// read by control planes of other releases.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AgentExit {
    /// 0: one job was executed, whatever its result, and the listener ended by itself.
    Completed,
    /// 1: the agent itself failed.
    Failed,
    /// 10: no boot item appeared within the boot limit.
    NoBootItem,
    /// 11: the boot item's table could not be reached, or refuses.
    BootFailed,
    /// 12: the boot item may have been taken, but no answer came back.
    BootAmbiguous,
    /// 13: the listener is missing, not executable or could not be started.
    ListenerMissing,
    /// 14: the listener did not connect to GitHub within the connect limit.
    NotConnected,
    /// 15: GitHub refuses this runner's version: the image is too old.
    ImageTooOld,
    /// 16: no job came within the idle limit.
    NoJob,
    /// 17: the listener ended by itself without having seen a job: its registration is gone.
    RegistrationLost,
    /// 18: the listener crashed, or ended with a code that promises nothing.
    ListenerCrashed,
    /// 19: the job ran longer than its limit and was cancelled.
    JobTimeout,
    /// 20: policy refused the job; no step of it was executed.
    JobRefused,
    /// 21: stopped by a signal while no job ran.
    Interrupted,
    /// 22: stopped by a signal while a job ran.
    InterruptedBusy,
    /// 23: ECS did not tell the task's id, or the credentials of its role.
    TaskUnknown,
    /// 24: the boot item was taken, and is none that this agent understands.
    BootItemUnreadable,
    /// 25: the agent's own files could not be made, as on a full disk.
    FilesFailed,
}

impl AgentExit {
    /// Every ending, in the order of its code.
    pub const ALL: [Self; 18] = [
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
    ];

    /// The process's exit code.
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
        }
    }

    /// The ending that a process's exit code means; `None` for a code that the
    /// agent never gives, such as 137 of a killed process.
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
}
