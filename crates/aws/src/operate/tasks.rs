//! The current tasks.

use aws_sdk_ecs::primitives::DateTime;
use aws_sdk_ecs::types::{DesiredStatus, Task, TaskField};
use ecsrunner_core::id::{Deployment, TaskId};
use jiff::Timestamp;

use super::{OperateError, Operator, failed, last};
use crate::ecs::list::name_of;
use crate::fault::Fault;
use crate::task::{CONTAINER, TaskInfo, started_by};

/// ListTasks' and DescribeTasks' limit.
const PAGE: usize = 100;
/// How many pages of a list are read at most.
const MAX_PAGES: usize = 50;
const LIST: &str = "ecs:ListTasks";
const DESCRIBE: &str = "ecs:DescribeTasks";

impl Operator<'_> {
    /// Describes a task. `None` once ECS has forgotten it, an hour after it stopped.
    ///
    /// # Errors
    ///
    /// Those of AWS.
    pub async fn task(&self, cluster: &str, task: &TaskId) -> Result<Option<TaskInfo>, OperateError> {
        Ok(self.describe(cluster, vec![task.as_str().to_owned()]).await?.pop())
    }

    /// Lists the deployment's tasks that are not to stop.
    ///
    /// # Errors
    ///
    /// Those of AWS.
    pub async fn tasks(&self, cluster: &str, deployment: &Deployment) -> Result<Vec<TaskInfo>, OperateError> {
        let (mut arns, mut next) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let page = self
                .connection
                .ecs()
                .list_tasks()
                .cluster(cluster)
                .started_by(started_by(deployment))
                .desired_status(DesiredStatus::Running)
                .set_next_token(next)
                .send()
                .await
                .map_err(|error| failed(LIST, cluster, Fault::of(&error)))?;
            arns.extend(page.task_arns.unwrap_or_default());
            next = page.next_token;
            if next.is_none() {
                break;
            }
        }
        if next.is_some() {
            // A partial list would look complete.
            return Err(failed(LIST, cluster, Fault::of_answer("there are more tasks than can be listed")));
        }
        let mut tasks = Vec::new();
        for some in arns.chunks(PAGE) {
            tasks.extend(self.describe(cluster, some.to_vec()).await?);
        }
        Ok(tasks)
    }

    async fn describe(&self, cluster: &str, tasks: Vec<String>) -> Result<Vec<TaskInfo>, OperateError> {
        let described = self
            .connection
            .ecs()
            .describe_tasks()
            .cluster(cluster)
            .set_tasks(Some(tasks))
            .include(TaskField::Tags)
            .send()
            .await
            .map_err(|error| failed(DESCRIBE, cluster, Fault::of(&error)))?;
        Ok(described.tasks().iter().map(info).collect())
    }
}

fn info(task: &Task) -> TaskInfo {
    let text = |text: Option<&str>| text.map(str::to_owned);
    let time =
        |time: Option<&DateTime>| time.and_then(|time| Timestamp::from_nanosecond(time.as_nanos()).ok());
    let container = task.containers().iter().find(|container| container.name() == Some(CONTAINER));
    TaskInfo {
        task: last(task.task_arn().unwrap_or_default()).to_owned(),
        runner: name_of(task).map(|runner| runner.to_string()),
        last_status: task.last_status().unwrap_or("unknown").to_owned(),
        desired_status: task.desired_status().unwrap_or("unknown").to_owned(),
        capacity_provider: text(task.capacity_provider_name()),
        cpu: task.cpu().and_then(|cpu| cpu.parse().ok()),
        availability_zone: text(task.availability_zone()),
        created_at: time(task.created_at()),
        started_at: time(task.started_at()),
        stopped_at: time(task.stopped_at()),
        stop_code: text(task.stop_code().map(aws_sdk_ecs::types::TaskStopCode::as_str)),
        stopped_reason: text(task.stopped_reason()),
        exit_code: container.and_then(|container| container.exit_code()),
        container_reason: text(container.and_then(|container| container.reason())),
    }
}
