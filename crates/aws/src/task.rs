//! What ECS says of any task of ours, whichever call or event says it.

use ecsrunner_core::id::{Deployment, TaskId};

/// The name of the container that the agent is.
pub const CONTAINER: &str = "runner";

/// Parts of messages about missing capacity, in lower case. The messages about
/// quotas begin with `You’ve`, whose apostrophe is U+2019, so only a part is
/// matched. A subnet without free addresses counts as missing capacity, since
/// another subnet may have some.
const CAPACITY_WORDS: [&str; 5] = [
    "capacity is unavailable",
    "limit on the number of vcpus",
    "limit on the number of tasks you can run",
    "insufficientfreeaddressesinsubnet",
    "not enough free addresses in subnet",
];

/// Returns `startedBy` of a deployment's tasks, which tells them from others in the same cluster.
pub(crate) fn started_by(deployment: &Deployment) -> String {
    format!("ecsrunner/{deployment}")
}

/// Whether a message of ECS is about missing capacity.
pub(crate) fn tells_of_capacity(words: &str) -> bool {
    let words = words.to_lowercase();
    CAPACITY_WORDS.iter().any(|some| words.contains(some))
}

/// A task's id, the last part of its ARN.
pub(crate) fn task_id(arn: &str) -> Option<TaskId> {
    TaskId::parse(arn.rsplit('/').next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_known_by_the_last_part_of_its_arn() {
        let arn = "arn:aws:ecs:eu-west-1:123456789012:task/ci/0123456789abcdef0123456789abcdef";
        assert_eq!(task_id(arn).unwrap().as_str(), "0123456789abcdef0123456789abcdef");
        assert_eq!(task_id(""), None);
    }
}
