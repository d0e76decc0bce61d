//! What to do about each reason.

use ecsrunner_core::reason::Code;

/// What an advice says of a job that is still open.
pub(super) const RETRY: &str = "run `ecsrunner jobs retry`";

/// The advice on a job that waits because GitHub limits the rate of calls.
pub(super) const THROTTLED: &str = "wait: GitHub limits the rate of calls, and launches go on by themselves";

/// Returns one line of advice for the person who waits for the job.
pub(super) const fn on(code: Code) -> &'static str {
    match code {
        // Outcomes of webhooks. No job has one of these reasons.
        Code::Recorded | Code::NothingNew | Code::Ping => "nothing to do",
        Code::OtherEvent => "set the webhook to send only the event `Workflow jobs`",
        Code::NotOurs => "nothing to do: another runner has the job",
        Code::NotRecorded => {
            "run `ecsrunner doctor` to check the webhook setup; the sweep finds lost webhooks within minutes"
        }
        Code::SignatureInvalid => "set the same secret for the webhook at GitHub and for the deployment",
        Code::BodyTooLarge | Code::BodyUnreadable => "redeliver it at GitHub; it is also kept for inspection",
        Code::ContentType => "set the webhook's content type to application/json at GitHub",

        Code::LabelsEmpty => "add labels to `runs-on`, such as [self-hosted, class:small]",
        Code::LabelsNotOurs => "add the label to the job's `runs-on`, and run the job again",
        Code::ClassUnknown => {
            "correct `runs-on` (`ecsrunner list-class-sizes` lists the classes), or add the class and run `ecsrunner jobs retry`"
        }
        Code::ClassInvalid => {
            "correct the class in runner_class_sizes and apply (on one machine: in the configuration, and restart the server); then run `ecsrunner jobs retry`"
        }
        Code::ClassMissing => {
            "add a `class:` label to the job's `runs-on`, or make one class the default and run `ecsrunner jobs retry`"
        }
        Code::LabelNotOffered => {
            "remove the label from `runs-on`, or add it to a class and run `ecsrunner jobs retry`"
        }
        Code::ClassNotAllowed => {
            "use another class, or add the repository to the class's `repositories` and run `ecsrunner jobs retry`"
        }
        Code::RepositoryNotAllowed => {
            "add the repository to allowed_repositories and apply (on one machine: to `repositories`, and restart the server); then run `ecsrunner jobs retry`"
        }
        Code::RepositoryPublic => {
            "anyone could run code through a pull request: think carefully before you set public_repositories to true"
        }
        Code::ForkNotAllowed => "run the job from a branch of the repository itself, or set `forks` to true",
        Code::EventNotAllowed => "add the event to `events`, or start the workflow with another event",

        Code::ApprovalPending => "approve the deployment on the run's page at GitHub",
        Code::ToPlan | Code::ToConfirm | Code::ToCheck => "run the command again in a minute",
        Code::RunnerStarting => {
            "wait: a task on Fargate takes 20 to 60 seconds to start, one on a managed instance a minute or two"
        }
        Code::RunnerIdle => {
            "wait a minute; if nothing changes, check that the runner group allows the repository"
        }
        Code::LimitDeployment => "wait for a runner to end, or raise max_runners",
        Code::LimitClass => "wait for a runner of the class to end, or raise the class's max_runners",
        Code::LimitRepository => {
            "wait for a runner of the repository to end, or raise max_runners_per_repository"
        }
        Code::Paused => "run `ecsrunner resume` to resume launches",
        Code::BudgetSpent => {
            "wait until the period ends, or raise the budget; `ecsrunner costs` shows what was spent"
        }
        Code::NoCapacity => {
            "launches are retried automatically; request a higher Fargate quota, or add subnets in other zones"
        }
        Code::Pace => "wait: the launch rate that GitHub and Fargate allow is used up",
        Code::Retrying => "it is retried automatically; if it keeps failing, fix the error above",
        Code::ScopeHeld => {
            "check that the GitHub App is installed there, with write access to administration (repository) or self-hosted runners (organization)"
        }
        Code::GithubUnavailable => "wait: launches go on within a minute of GitHub's return",
        Code::PoolHeld => {
            "see what the runners say with `ecsrunner runners logs`: something about this repository or its labels keeps them from connecting; a launch is retried automatically"
        }
        Code::PoolRefused => {
            "restrict the runner group to the repositories that this deployment serves (`ecsrunner doctor` checks it), or find who else uses the job's labels"
        }
        Code::PoolUnused => {
            "check that the job's runner group allows the repository, and that `runs-on` names no label or group that these runners lack"
        }
        Code::ImageUnavailable => {
            "wait for the next build, or set `image_fallback` for the class; `ecsrunner doctor` shows why the image cannot be used"
        }
        Code::ClassHeld => {
            "fix the class or its image (`ecsrunner runners list --state gone` shows the failed runners); a launch is retried automatically"
        }
        Code::MaybeTaken => "run the command again in a minute: GitHub is being asked",

        Code::Demand | Code::SupplyDoubtful | Code::Surplus => {
            "nothing to do: runners are launched and retired with demand"
        }
        Code::Completed => "nothing to do: the job was executed",
        Code::IdleTimeout => "nothing to do: a job that still waits gets another runner",
        Code::BootFailed => {
            "read the task's log with `ecsrunner runners logs`; a job that still waits gets another runner"
        }
        Code::NoSession => "check GitHub's status page; a job that still waits gets another runner",
        Code::OutOfMemory => {
            "let the job use less memory, or run it in a class that has more; `ecsrunner costs --right-size` shows what jobs use"
        }
        Code::AgentCrashed => {
            "run the job again at GitHub; `ecsrunner runners logs` shows the runner's last lines"
        }
        Code::SpotInterrupted => {
            "run the job again at GitHub; use a class with on-demand capacity for jobs that cannot be repeated"
        }
        Code::RegistrationLost => "run the job again at GitHub; the runner may have been removed there",
        Code::JobTimeout => {
            "make the job shorter, or raise max_job_minutes of its class; then run the job again"
        }
        Code::Withdrawn => "nothing to do: a job that still waits gets another runner",
        Code::StoppedByOperator | Code::Interrupted => "run the job again at GitHub",
        Code::JobRefused => {
            "run the job in a way that the policy allows, or change the policy; `ecsrunner jobs logs` shows the reason in the job's log"
        }
        Code::HookSilent => {
            "if `Set up job` takes long in `ecsrunner jobs logs`, raise hook_limit_secs; otherwise check whether the runner's image replaces the hook"
        }
        Code::JobNotStarted => {
            "run the job again at GitHub unless it was cancelled; if that fails too, check GitHub's status page"
        }
        Code::JobAbandoned => "run the job again at GitHub; `ecsrunner jobs logs` shows how far the job got",
        Code::ListenerHung => {
            "check whether the job signals processes that are not its own; `ecsrunner jobs logs` shows how far it got"
        }
        Code::JobWithdrawn => "nothing to do: a job that still waits gets another runner",
    }
}

/// Returns the advice for a deployment on one machine, where it is another one.
pub(super) const fn on_one_machine(code: Code) -> Option<&'static str> {
    match code {
        Code::RunnerStarting => Some("wait: a runner takes some seconds to start and to connect to GitHub"),
        Code::Pace => Some("wait: the launch rate that GitHub allows is used up"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_one_line_of_advice() {
        for code in Code::ALL {
            let advice = on(*code);
            assert!(!advice.is_empty() && !advice.contains('\n') && !advice.ends_with('.'), "{code:?}");
        }
    }

    #[test]
    fn a_runner_that_starts_on_one_machine_waits_for_no_fargate() {
        for code in [Code::RunnerStarting, Code::Pace] {
            assert!(on(code).contains("Fargate"), "{code:?}");
            assert!(on_one_machine(code).is_some_and(|advice| !advice.contains("Fargate")), "{code:?}");
        }
    }
}
