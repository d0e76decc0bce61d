//! The environment variables with which a control plane configures an agent.
//! `docs/configuration.md` explains each and lists the agent's defaults.

use jiff::SignedDuration;

use crate::rules::limits::Limits;

/// The runner's name. ECS returns it in each state change of the task, which
/// carries no tags.
pub const RUNNER: &str = "ECSRUNNER_RUNNER";
/// The capacity provider of the task.
pub const CAPACITY_PROVIDER: &str = "ECSRUNNER_CAPACITY_PROVIDER";

/// The DynamoDB table that holds the boot item.
pub const BOOT_TABLE: &str = "ECSRUNNER_BOOT_TABLE";
/// The unique id of the task's role: the first half of the boot item's key.
pub const BOOT_ROLE: &str = "ECSRUNNER_BOOT_ROLE";
/// The key of the boot item, for an agent that does not run in a task.
pub const BOOT_OWNER: &str = "ECSRUNNER_BOOT_OWNER";

/// The directory of the official runner.
pub const RUNNER_DIR: &str = "ECSRUNNER_RUNNER_DIR";
/// The agent's own directory.
pub const AGENT_DIR: &str = "ECSRUNNER_AGENT_DIR";
/// The directory that becomes the job's `TMPDIR`.
pub const TMP_DIR: &str = "ECSRUNNER_TMP_DIR";
/// The directory in which services run as processes.
pub const SERVICE_DIR: &str = "ECSRUNNER_SERVICE_DIR";
/// The directory of the task's Docker engine: its data, its state and its log. Only the task of a Docker class has it.
pub const DOCKER_DIR: &str = "ECSRUNNER_DOCKER_DIR";
/// Further arguments of `dockerd`, as a JSON list of texts.
pub const DOCKER_ARGS: &str = "ECSRUNNER_DOCKER_ARGS";
/// Addresses from which the networks of a machine's Docker engines are taken, such as `10.201.0.0/16`.
pub const DOCKER_ADDRESSES: &str = "ECSRUNNER_DOCKER_ADDRESSES";
/// Seconds until the Docker engine must answer.
pub const DOCKER_LIMIT_SECS: &str = "ECSRUNNER_DOCKER_LIMIT_SECS";
/// User and group id of the listener.
pub const RUNNER_UID: &str = "ECSRUNNER_RUNNER_UID";
/// Names of further variables that are passed to the listener and its job.
pub const LISTENER_ENV: &str = "ECSRUNNER_LISTENER_ENV";

/// Seconds to wait for the boot item.
pub const BOOT_LIMIT_SECS: &str = "ECSRUNNER_BOOT_LIMIT_SECS";
/// Seconds for which a warm task waits for its boot item. It then polls once a second, and the boot limit is only that of
/// the table's first answer.
pub const WARM_LIMIT_SECS: &str = "ECSRUNNER_WARM_LIMIT_SECS";
/// Seconds until the listener must listen for jobs.
pub const CONNECT_LIMIT_SECS: &str = "ECSRUNNER_CONNECT_LIMIT_SECS";
/// Seconds for which a connected runner waits for a job.
pub const IDLE_LIMIT_SECS: &str = "ECSRUNNER_IDLE_LIMIT_SECS";
/// Seconds from a job's start until its hook must have checked in.
pub const HOOK_LIMIT_SECS: &str = "ECSRUNNER_HOOK_LIMIT_SECS";
/// Seconds for which a job may run.
pub const JOB_LIMIT_SECS: &str = "ECSRUNNER_JOB_LIMIT_SECS";
/// Seconds that the listener may take to end after its job.
pub const EXIT_LIMIT_SECS: &str = "ECSRUNNER_EXIT_LIMIT_SECS";
/// Seconds for which a listener may be stopped, or have no worker, while its job runs.
pub const WORKER_LIMIT_SECS: &str = "ECSRUNNER_WORKER_LIMIT_SECS";
/// The container's stop timeout, in seconds.
pub const STOP_TIMEOUT_SECS: &str = "ECSRUNNER_STOP_TIMEOUT_SECS";
/// Milliseconds to wait before the listener is started again.
pub const RETRY_DELAY_MS: &str = "ECSRUNNER_RETRY_DELAY_MS";

/// How long a warm task outlasts its greatest age by itself. The control plane ends it before, unless that is gone.
const WARM_MARGIN: SignedDuration = SignedDuration::from_mins(15);

/// Returns the variable that makes a task a warm one.
#[must_use]
pub fn warm(waits: Option<SignedDuration>) -> Option<(&'static str, String)> {
    waits.map(|waits| (WARM_LIMIT_SECS, (waits + WARM_MARGIN).as_secs().to_string()))
}

/// Returns the variables that carry a deployment's limits, in seconds.
#[must_use]
pub fn limits(limits: &Limits, max_job_minutes: u32) -> [(&'static str, String); 5] {
    [
        (BOOT_LIMIT_SECS, limits.boot_limit_secs.to_string()),
        (CONNECT_LIMIT_SECS, limits.connect_limit_secs.to_string()),
        (IDLE_LIMIT_SECS, limits.idle_limit_secs.to_string()),
        (HOOK_LIMIT_SECS, limits.hook_limit_secs().to_string()),
        (JOB_LIMIT_SECS, (u64::from(max_job_minutes) * 60).to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_is_told_each_limit() {
        let told = |name: &str| limits(&Limits::default(), 360).into_iter().find(|(told, _)| *told == name);
        assert_eq!(told("ECSRUNNER_HOOK_LIMIT_SECS").unwrap().1, "300");
        assert_eq!(told("ECSRUNNER_JOB_LIMIT_SECS").unwrap().1, "21600");
    }
}
