//! What an operator asks and does, beside a deployment's records: the brake, a
//! channel into a task, a task's log, and how things stand on AWS.

mod cluster;
mod image;
mod queue;
mod quota;
mod tasks;

use std::error::Error;
use std::fmt;

use ecsrunner_core::id::{Deployment, TaskId};
use jiff::Timestamp;
use secrecy::SecretString;

use crate::connection::Connection;
use crate::fault::Fault;
use crate::parameters;

pub use cluster::ClusterInfo;
pub use image::ImageInfo;
pub use queue::QueueInfo;
pub use quota::Quota;
pub use tasks::TaskInfo;

/// The container that a task definition of ours has.
const CONTAINER: &str = "runner";
/// What the task definitions' `awslogs-stream-prefix` is.
const STREAM_PREFIX: &str = "runner";

#[derive(Debug)]
pub struct Operator<'a> {
    connection: &'a Connection,
}

/// A channel that ECS Exec opened: whoever holds it is in the task.
#[derive(Debug)]
pub struct Channel {
    pub session_id: String,
    /// Where it is spoken.
    pub stream_url: String,
    /// What opens it: a secret.
    pub token: SecretString,
    /// What Session Manager calls the container: `ecs:<cluster>_<task>_<runtime>`.
    pub target: String,
}

/// A line of a task's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogLine {
    /// When it was written.
    pub at: Option<Timestamp>,
    pub text: String,
}

/// A part of a task's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogPage {
    /// The lines, the earliest first.
    pub lines: Vec<LogLine>,
    /// Where the next part begins; what it was asked with, at the end.
    pub next: Option<String>,
}

/// An operator's call that brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// AWS refused it, or gave no answer.
    #[error("{action} on `{target}` failed")]
    Failed {
        action: &'static str,
        /// What it was done to.
        target: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// There is nothing of that name.
    #[error("there is no {0}")]
    Missing(String),
    /// The task does not run, in ECS's words.
    #[error("the task is {0}, not RUNNING")]
    NotRunning(String),
    /// The task was started without ECS Exec.
    #[error("the task was started without ECS Exec")]
    ExecOff,
}

fn failed(action: &'static str, target: impl fmt::Display, fault: Fault) -> OperateError {
    OperateError::Failed { action, target: target.to_string(), source: Box::new(fault) }
}

impl<'a> Operator<'a> {
    /// An operator of whatever that connection's caller may do.
    #[must_use]
    pub fn new(connection: &'a Connection) -> Self {
        Self { connection }
    }

    /// Writes the brake: dispatchers read it within 25 s.
    ///
    /// # Errors
    ///
    /// AWS's.
    pub async fn pause(&self, deployment: &Deployment, paused: bool) -> Result<(), OperateError> {
        let name = parameters::paused_name(deployment);
        self.connection
            .ssm()
            .put_parameter()
            .name(&name)
            .value(if paused { "true" } else { "false" })
            .r#type(aws_sdk_ssm::types::ParameterType::String)
            .overwrite(true)
            .send()
            .await
            .map_err(|error| failed("ssm:PutParameter", name, Fault::of(&error)))?;
        Ok(())
    }

    /// Opens a channel to a command in a task's container.
    ///
    /// # Errors
    ///
    /// AWS's; the task is gone, does not run, or was started without ECS Exec.
    pub async fn open_channel(
        &self,
        cluster: &str,
        task: &TaskId,
        command: &str,
    ) -> Result<Channel, OperateError> {
        let runtime = self.runtime(cluster, task).await?;
        let opened = self
            .connection
            .ecs()
            .execute_command()
            .cluster(cluster)
            .task(task.as_str())
            .container(CONTAINER)
            .interactive(true)
            .command(command)
            .send()
            .await
            .map_err(|error| failed("ecs:ExecuteCommand", task, Fault::of(&error)))?;
        let session = opened.session;
        let parts = session.and_then(|session| {
            Some((session.session_id?, session.stream_url?, SecretString::from(session.token_value?)))
        });
        let (session_id, stream_url, token) = parts.ok_or_else(|| {
            failed("ecs:ExecuteCommand", task, Fault::of_answer("there is no session in it"))
        })?;
        let target = format!("ecs:{}_{}_{runtime}", last(cluster), last(task.as_str()));
        Ok(Channel { session_id, stream_url, token, target })
    }

    async fn runtime(&self, cluster: &str, task: &TaskId) -> Result<String, OperateError> {
        const ACTION: &str = "ecs:DescribeTasks";
        let answer = self
            .connection
            .ecs()
            .describe_tasks()
            .cluster(cluster)
            .tasks(task.as_str())
            .send()
            .await
            .map_err(|error| failed(ACTION, task, Fault::of(&error)))?;
        let Some(described) = answer.tasks().first() else {
            return Err(OperateError::Missing(format!(
                "task `{task}`: ECS forgets a task an hour after it stops"
            )));
        };
        let status = described.last_status().unwrap_or("unknown");
        if status != "RUNNING" {
            return Err(OperateError::NotRunning(status.to_owned()));
        }
        if !described.enable_execute_command() {
            return Err(OperateError::ExecOff);
        }
        let container = described.containers().iter().find(|it| it.name() == Some(CONTAINER));
        let runtime = container.and_then(|it| it.runtime_id()).map(str::to_owned);
        runtime.ok_or_else(|| OperateError::NotRunning("without its container".to_owned()))
    }

    /// A part of a task's log, from its beginning or from where a part before ended.
    ///
    /// # Errors
    ///
    /// AWS's; [`OperateError::Missing`] while nothing has been logged.
    pub async fn log(&self, group: &str, task: &TaskId, from: Option<&str>) -> Result<LogPage, OperateError> {
        let stream = format!("{STREAM_PREFIX}/{CONTAINER}/{}", last(task.as_str()));
        let page = self
            .connection
            .logs()
            .get_log_events()
            .log_group_name(group)
            .log_stream_name(&stream)
            .start_from_head(true)
            .set_next_token(from.map(str::to_owned))
            .send()
            .await
            .map_err(|error| {
                let fault = Fault::of(&error);
                match fault.code.as_deref() {
                    Some("ResourceNotFoundException") => {
                        OperateError::Missing(format!("log `{group}`/`{stream}`"))
                    }
                    _ => failed("logs:GetLogEvents", &stream, fault),
                }
            })?;
        let lines = page.events.unwrap_or_default().into_iter().map(|event| LogLine {
            at: event.timestamp.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
            text: event.message.unwrap_or_default(),
        });
        Ok(LogPage { lines: lines.collect(), next: page.next_forward_token })
    }
}

/// What follows the last slash of an ARN.
fn last(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
