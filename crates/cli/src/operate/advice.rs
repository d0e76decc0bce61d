//! What to do about each reason.

use ecsrunner_core::reason::Code;

/// One line for whoever waits for the job.
pub(super) const fn on(code: Code) -> &'static str {
    match code {
        // What became of a webhook: no job has one of these.
        Code::Recorded | Code::NothingNew | Code::Ping => "nothing: all went well",
        Code::OtherEvent => "let the webhook send the event `Workflow jobs` alone",
        Code::NotOurs => "nothing: another runner has it",
        Code::NotRecorded => {
            "`ecsrunner doctor` checks the way of webhooks; the sweep fetches lost ones by itself within minutes"
        }
        Code::SignatureInvalid => "give the webhook at GitHub and the deployment the same secret",
        Code::BodyTooLarge | Code::BodyUnreadable => {
            "deliver it again at GitHub; it is kept for a person to look at"
        }
        Code::ContentType => "set the webhook's content type to application/json at GitHub",

        Code::LabelsEmpty => "name labels in `runs-on`, such as [self-hosted, class:small]",
        Code::LabelsNotOurs => "add the label to the job's `runs-on`, and run it again",
        Code::ClassUnknown => {
            "`ecsrunner list-class-sizes` lists the classes: correct `runs-on`, or add the class, and `ecsrunner jobs retry`"
        }
        Code::ClassInvalid => {
            "correct the class in runner_class_sizes and apply (on one machine: in its configuration, and start it anew); then `ecsrunner jobs retry`"
        }
        Code::ClassMissing => {
            "add a `class:` label to the job's `runs-on`, or make one class the default, and `ecsrunner jobs retry`"
        }
        Code::LabelNotOffered => {
            "take the label out of `runs-on`, or add it to a class, and `ecsrunner jobs retry`"
        }
        Code::ClassNotAllowed => {
            "use another class, or add the repository to the class's `repositories`, and `ecsrunner jobs retry`"
        }
        Code::RepositoryNotAllowed => {
            "add the repository to allowed_repositories and apply (on one machine: `repositories`, and start it anew); then `ecsrunner jobs retry`"
        }
        Code::RepositoryPublic => {
            "anybody could run code from a pull request: think twice before public_repositories is true"
        }
        Code::ForkNotAllowed => "run the job from a branch of the repository itself, or let `forks` be true",
        Code::EventNotAllowed => "add the event to `events`, or start the workflow by another one",

        Code::ApprovalPending => "approve the deployment on the run's page at GitHub",
        Code::ToPlan | Code::ToConfirm | Code::ToCheck => "look again in a minute",
        Code::RunnerStarting => "wait: Fargate takes half a minute to two minutes to start a task",
        Code::RunnerIdle => {
            "wait a minute; if it stays so, see whether the runner is allowed in the repository's runner group"
        }
        Code::LimitDeployment => "wait for a runner to end, or raise max_runners",
        Code::LimitClass => "wait for a runner of the class to end, or raise the class's max_runners",
        Code::LimitRepository => {
            "wait for a runner of the repository to end, or raise max_runners_per_repository"
        }
        Code::Paused => "`ecsrunner resume` lets launches go on",
        Code::NoCapacity => {
            "it is tried again by itself; ask AWS for a higher Fargate quota, or add subnets in other zones"
        }
        Code::Pace => "wait: GitHub and Fargate allow no more starts at once",
        Code::Retrying => "it is tried again by itself; if it stays so, the words above say what to mend",
        Code::ScopeHeld => {
            "see that the GitHub App is installed there, and may write administration (a repository) or self-hosted runners (an organization)"
        }
        Code::ClassHeld => {
            "`ecsrunner runners list --state gone` shows the failed runners: mend the class or its image; one is tried again by itself"
        }
        Code::MaybeTaken => "look again in a minute: GitHub is being asked",

        Code::Demand | Code::SupplyDoubtful | Code::Surplus => "nothing: runners come and go with the jobs",
        Code::Completed => "nothing: the job was executed",
        Code::IdleTimeout => "nothing: a job that still waits gets another runner",
        Code::BootFailed => {
            "`ecsrunner runners logs` shows the task's log; a job that still waits gets another runner"
        }
        Code::NoSession => "see GitHub's status page; a job that still waits gets another runner",
        Code::AgentCrashed => {
            "run the job again at GitHub; `ecsrunner runners logs` shows what its runner said last"
        }
        Code::SpotInterrupted => {
            "run the job again at GitHub; use a class with capacity on-demand for jobs that cannot be repeated"
        }
        Code::RegistrationLost => "run the job again at GitHub; somebody may have removed the runner there",
        Code::JobTimeout => "make the job shorter, or raise max_job_minutes of its class; then run it again",
        Code::StoppedByOperator | Code::Interrupted => "run the job again at GitHub",
        Code::JobRefused => {
            "`ecsrunner jobs logs` shows the reason in the job's log: run the job in a way that policy allows, or change the policy"
        }
        Code::HookSilent => {
            "`ecsrunner jobs logs` shows how far the job came; if `Set up job` takes long, raise hook_limit_secs, else check what the runner's image puts in the hook's place"
        }
        Code::JobNotStarted => {
            "nothing if it was cancelled, else run the job again at GitHub; if it stays so, see GitHub's status page"
        }
        Code::JobAbandoned => "run the job again at GitHub; `ecsrunner jobs logs` shows how far it came",
        Code::JobWithdrawn => "nothing: a job that still waits gets another runner",
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
}
