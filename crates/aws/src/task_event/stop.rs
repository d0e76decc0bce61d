//! Why a task stopped: one table for state changes and for DescribeTasks.

use std::sync::Arc;

use ecsrunner_core::wire::event::StopCause;
use ecsrunner_core::wire::exit::AgentExit;

use crate::task::tells_of_capacity;

/// ECS's facts about a stopped task.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Stopped<'a> {
    /// The task's `stopCode`.
    pub(crate) code: Option<&'a str>,
    /// The task's `stoppedReason`.
    pub(crate) reason: Option<&'a str>,
    /// The `exitCode` of its container `runner`; none if that never ran.
    pub(crate) exit_code: Option<i32>,
    /// The container's `reason`, such as `OutOfMemoryError: …`.
    pub(crate) container_reason: Option<&'a str>,
}

impl Stopped<'_> {
    pub(crate) fn cause(&self) -> StopCause {
        let agent = self.exit_code.and_then(AgentExit::from_code);
        match (self.code, agent) {
            // A runner that ended in time was not interrupted. Other exit codes follow from the interruption.
            (Some("SpotInterruption"), Some(AgentExit::Completed)) => StopCause::Agent(AgentExit::Completed),
            (Some("SpotInterruption"), _) => StopCause::SpotInterrupted,
            // The task was stopped from outside, so the runner is not at fault.
            (Some("UserInitiated"), Some(AgentExit::Interrupted | AgentExit::InterruptedBusy)) => {
                StopCause::StoppedByUser
            }
            (_, Some(exit)) => StopCause::Agent(exit),
            (Some("TaskFailedToStart"), None) => self.failed_to_start(),
            // A container that is killed after its stopTimeout has the kernel's exit code.
            (Some("UserInitiated"), None) => StopCause::StoppedByUser,
            (_, None) => StopCause::Unknown(self.words()),
        }
    }

    fn failed_to_start(&self) -> StopCause {
        let reasons = [self.reason, self.container_reason];
        match reasons.into_iter().flatten().find(|reason| tells_of_capacity(reason)) {
            Some(reason) => StopCause::NoCapacity(reason.into()),
            None => StopCause::FailedToStart(self.reasons()),
        }
    }

    fn words(&self) -> Arc<str> {
        match self.exit_code {
            None => self.reasons(),
            Some(code) => match self.container_reason.or(self.reason) {
                None => format!("exit code {code}").into(),
                Some(reason) => format!("exit code {code}: {reason}").into(),
            },
        }
    }

    /// The task's reason, or the container's if the task's is only `Task failed to start`.
    fn reasons(&self) -> Arc<str> {
        let told = |reason: &Option<&str>| reason.is_some_and(|reason| !reason.is_empty());
        let vague = |reason: &str| reason.trim_end_matches('.').eq_ignore_ascii_case("task failed to start");
        match (self.reason.filter(|_| told(&self.reason)), self.container_reason) {
            (Some(reason), Some(of_container)) if vague(reason) && !of_container.is_empty() => {
                of_container.into()
            }
            (Some(reason), _) => reason.into(),
            (None, Some(of_container)) if !of_container.is_empty() => of_container.into(),
            _ => self.code.unwrap_or("ECS gave no reason").into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(code: &str, reason: &str, exit_code: Option<i32>, container_reason: Option<&str>) -> String {
        let stopped = Stopped { code: Some(code), reason: Some(reason), exit_code, container_reason };
        format!("{:?}", stopped.cause())
    }

    const EXITED: &str = "Essential container in task exited";

    #[test]
    fn an_exit_code_of_the_agents_own_is_its_word() {
        assert_eq!(cause("EssentialContainerExited", EXITED, Some(0), None), "Agent(Completed)");
        assert_eq!(cause("EssentialContainerExited", EXITED, Some(16), None), "Agent(NoJob)");
        assert_eq!(cause("UserInitiated", "retired", Some(16), None), "Agent(NoJob)");
    }

    #[test]
    fn a_foreign_exit_code_is_told_with_its_reason() {
        let reason = "OutOfMemoryError: Container killed due to memory usage";
        assert_eq!(
            cause("EssentialContainerExited", EXITED, Some(137), Some(reason)),
            format!("Unknown(\"exit code 137: {reason}\")")
        );
        assert_eq!(
            cause("EssentialContainerExited", EXITED, Some(139), None),
            format!("Unknown(\"exit code 139: {EXITED}\")")
        );
    }

    #[test]
    fn a_task_that_never_started_says_whether_there_was_no_room() {
        let capacity = "Capacity is unavailable at this time. Please try again later or in a different availability zone";
        assert_eq!(cause("TaskFailedToStart", capacity, None, None), format!("NoCapacity({capacity:?})"));
        let pull = "CannotPullContainerError: pull image manifest has been retried 1 time(s)";
        assert_eq!(cause("TaskFailedToStart", pull, None, None), format!("FailedToStart({pull:?})"));
        assert_eq!(
            cause("TaskFailedToStart", "Task failed to start", None, Some(pull)),
            format!("FailedToStart({pull:?})")
        );
    }

    #[test]
    fn an_interruption_of_spot_is_one_unless_the_job_was_done_in_time() {
        let reason = "Your Spot Task was interrupted.";
        assert_eq!(cause("SpotInterruption", reason, Some(0), None), "Agent(Completed)");
        assert_eq!(cause("SpotInterruption", reason, Some(22), None), "SpotInterrupted");
        assert_eq!(cause("SpotInterruption", reason, Some(137), None), "SpotInterrupted");
        assert_eq!(cause("SpotInterruption", reason, None, None), "SpotInterrupted");
    }

    #[test]
    fn a_task_that_was_stopped_before_its_agent_could_speak_was_stopped_by_a_user() {
        assert_eq!(cause("UserInitiated", "retired", None, None), "StoppedByUser");
        for code in [21, 22, 137] {
            assert_eq!(cause("UserInitiated", "retired", Some(code), None), "StoppedByUser");
        }
    }

    #[test]
    fn what_else_ecs_says_is_passed_on_in_its_words() {
        for code in ["InfrastructureHealth", "TerminationNotice", "ServiceSchedulerInitiated", "Newer"] {
            assert_eq!(cause(code, "in ECS's words", None, None), "Unknown(\"in ECS's words\")");
        }
        assert_eq!(Stopped::default().cause(), StopCause::Unknown("ECS gave no reason".into()));
    }
}
