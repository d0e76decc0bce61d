//! Lists the deployment's current tasks.

use std::collections::BTreeSet;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::primitives::DateTime;
use aws_sdk_ecs::types::{DesiredStatus, Task, TaskField};
use ecsrunner_core::decide::sweep::{SeenStatus, SeenTask};
use ecsrunner_core::id::{Deployment, TaskName};
use ecsrunner_core::wire::environment;
use ecsrunner_core::wire::event::TaskTimes;
use ecsrunner_engine::ports::compute::ComputeError;
use jiff::Timestamp;
use tracing::warn;

use super::Fleet;
use super::answer::failed;
use super::request::RUNNER_TAG;
use crate::task::{CONTAINER, instance_id, task_id};
use crate::task_event::stop::Stopped;

/// ListTasks' and DescribeTasks' limit.
const PAGE: usize = 100;
/// How many pages of running tasks are read at most, and as many of stopped ones.
/// GitHub's rate limits keep a deployment far below that many tasks.
const MAX_PAGES: usize = 50;
const LIST: &str = "ListTasks";
const DESCRIBE: &str = "DescribeTasks";

pub(super) async fn tasks(client: &Client, fleet: &Fleet) -> Result<Vec<SeenTask>, ComputeError> {
    // A task that stops between the calls is in both lists.
    let mut arns = BTreeSet::new();
    let all = list(client, fleet, DesiredStatus::Running, &mut arns).await?;
    if !all {
        // If this counted as complete, the missing tasks would count as lost.
        let message = format!("there are more than {} tasks", MAX_PAGES * PAGE);
        return Err(ComputeError::Unanswered { operation: LIST, source: message.into() });
    }
    if !list(client, fleet, DesiredStatus::Stopped, &mut arns).await? {
        warn!(pages = MAX_PAGES, "some of the stopped tasks are left out");
    }
    let arns: Vec<String> = arns.into_iter().collect();
    let mut seen = Vec::new();
    for some in arns.chunks(PAGE) {
        let described = client
            .describe_tasks()
            .cluster(&fleet.cluster)
            .set_tasks(Some(some.to_vec()))
            .include(TaskField::Tags)
            .send()
            .await
            .map_err(|error| failed(DESCRIBE, &error))?;
        // Tasks in `failures` are MISSING: already forgotten, or not yet described.
        seen.extend(described.tasks().iter().filter_map(|task| seen_task(task, &fleet.deployment)));
    }
    Ok(seen)
}

/// Adds the ARNs of the tasks with this desired status. Returns false if there are too many.
async fn list(
    client: &Client,
    fleet: &Fleet,
    desired: DesiredStatus,
    arns: &mut BTreeSet<String>,
) -> Result<bool, ComputeError> {
    let mut next = None;
    for _ in 0..MAX_PAGES {
        let page = client
            .list_tasks()
            .cluster(&fleet.cluster)
            .started_by(fleet.started_by())
            .desired_status(desired.clone())
            .set_next_token(next)
            .send()
            .await
            .map_err(|error| failed(LIST, &error))?;
        arns.extend(page.task_arns().iter().cloned());
        next = page.next_token;
        if next.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn seen_task(task: &Task, deployment: &Deployment) -> Option<SeenTask> {
    Some(SeenTask {
        task: task_id(task.task_arn()?)?,
        name: name_of(task).filter(|name| name.belongs_to(deployment))?,
        status: status_of(task),
        times: times_of(task),
        instance: task.container_instance_arn().and_then(instance_id),
    })
}

/// The name with which the task was launched, from the tag or else from the variable, since StopTask deletes a task's tags.
pub(crate) fn name_of(task: &Task) -> Option<TaskName> {
    let tag = task.tags().iter().find(|tag| tag.key() == Some(RUNNER_TAG)).and_then(|tag| tag.value());
    let variable = || {
        let containers = task.overrides()?.container_overrides();
        let container = containers.iter().find(|container| container.name() == Some(CONTAINER))?;
        let variable =
            container.environment().iter().find(|variable| variable.name() == Some(environment::RUNNER))?;
        variable.value()
    };
    TaskName::parse(tag.or_else(variable)?).ok()
}

fn times_of(task: &Task) -> TaskTimes {
    let time = |at: Option<&DateTime>| at.and_then(|at| Timestamp::from_nanosecond(at.as_nanos()).ok());
    TaskTimes {
        created: time(task.created_at()),
        pull_started: time(task.pull_started_at()),
        pull_stopped: time(task.pull_stopped_at()),
        started: time(task.started_at()),
    }
}

fn status_of(task: &Task) -> SeenStatus {
    match task.last_status().unwrap_or_default() {
        "STOPPED" | "DELETED" => {
            let container = task.containers().iter().find(|container| container.name() == Some(CONTAINER));
            let stopped = Stopped {
                code: task.stop_code().map(|code| code.as_str()),
                reason: task.stopped_reason(),
                exit_code: container.and_then(|container| container.exit_code()),
                container_reason: container.and_then(|container| container.reason()),
            };
            SeenStatus::Stopped(stopped.cause())
        }
        // Stopping: the container ran if the task has `started_at`.
        "DEACTIVATING" | "STOPPING" | "DEPROVISIONING" if task.started_at().is_none() => SeenStatus::Pending,
        "RUNNING" | "DEACTIVATING" | "STOPPING" | "DEPROVISIONING" => SeenStatus::Running,
        _ => SeenStatus::Pending,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{Container, ContainerOverride, KeyValuePair, Tag, TaskOverride, TaskStopCode};

    use super::*;

    const RUNNER: &str = "ecsr-ci-abcdefghij-01arz3ndektsv4rrffq69g5fav";

    fn seen(task: aws_sdk_ecs::types::builders::TaskBuilder) -> Option<SeenTask> {
        let arn = "arn:aws:ecs:eu-west-1:123456789012:task/ci/0123456789abcdef";
        seen_task(&task.task_arn(arn).build(), &Deployment::parse("ci").unwrap())
    }

    fn tagged(runner: &str) -> aws_sdk_ecs::types::builders::TaskBuilder {
        Task::builder().tags(Tag::builder().key(RUNNER_TAG).value(runner).build())
    }

    #[test]
    fn a_task_is_joined_to_its_runner_by_the_tag_and_without_tags_by_its_variable() {
        let by_tag = seen(tagged(RUNNER).last_status("RUNNING")).unwrap();
        assert_eq!((by_tag.name.as_str(), by_tag.task.as_str()), (RUNNER, "0123456789abcdef"));
        let variable = KeyValuePair::builder().name(environment::RUNNER).value(RUNNER).build();
        let container = ContainerOverride::builder().name(CONTAINER).environment(variable).build();
        let overrides = TaskOverride::builder().container_overrides(container).build();
        let stopped = Task::builder()
            .overrides(overrides)
            .last_status("STOPPED")
            .stop_code(TaskStopCode::EssentialContainerExited)
            .containers(Container::builder().name(CONTAINER).exit_code(0).build());
        let by_variable = seen(stopped).unwrap();
        assert_eq!(by_variable.name.as_str(), RUNNER);
        assert_eq!(format!("{:?}", by_variable.status), "Stopped(Agent(Completed))");
    }

    #[test]
    fn a_task_of_another_deployment_or_of_nobody_is_not_ours() {
        assert!(seen(tagged("ecsr-other-abcdefghij-01arz3ndektsv4rrffq69g5fav")).is_none());
        assert!(seen(tagged("someone's")).is_none());
        assert!(seen(Task::builder()).is_none());
    }

    #[test]
    fn a_task_on_its_way_down_has_run_if_it_has_started() {
        let status = |last: &str, started: Option<i64>| {
            let task = tagged(RUNNER).last_status(last).set_started_at(started.map(DateTime::from_secs));
            seen(task).unwrap().status
        };
        assert_eq!(status("PROVISIONING", None), SeenStatus::Pending);
        assert_eq!(status("ACTIVATING", None), SeenStatus::Pending);
        assert_eq!(status("RUNNING", Some(1)), SeenStatus::Running);
        assert_eq!(status("DEPROVISIONING", Some(1)), SeenStatus::Running);
        assert_eq!(status("DEPROVISIONING", None), SeenStatus::Pending);
    }
}
