//! Operators' calls to AWS, without a deployment's records: pausing launches, a
//! channel into a task, a task's log, the state of resources on AWS, and storing
//! secrets.

mod cluster;
mod function;
mod image;
mod network;
mod queue;
mod quota;
mod secrets;
mod tasks;

use std::error::Error;
use std::fmt;

use ecsrunner_core::id::{Deployment, ServiceName, TaskId};
use jiff::Timestamp;
use secrecy::SecretString;

use crate::connection::Connection;
use crate::fault::Fault;
use crate::parameters;
use crate::task::{CONTAINER, STREAM_PREFIX};

pub use cluster::ClusterInfo;
pub use image::{ImageInfo, registry_outside_ecr};
pub use network::{Endpoint, NetworkInfo, Route, RouteTable, Subnet};
pub use queue::QueueInfo;
pub use quota::Quota;
pub use secrets::Content;

#[derive(Debug)]
pub struct Operator<'a> {
    connection: &'a Connection,
}

/// A channel of ECS Exec, which gives access to the task.
#[derive(Debug)]
pub struct Channel {
    pub session_id: String,
    pub stream_url: String,
    /// The token that opens the stream: a secret.
    pub token: SecretString,
    /// Session Manager's name of the container: `ecs:<cluster>_<task>_<runtime>`.
    pub target: String,
}

/// A line of a task's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogLine {
    pub at: Option<Timestamp>,
    pub text: String,
}

/// A part of a task's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogPage {
    /// The earliest line comes first.
    pub lines: Vec<LogLine>,
    /// Where the next part begins. At the end it equals the request's position.
    pub next: Option<String>,
}

/// An operator's call failed.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// AWS refused the call or gave no answer.
    #[error("{action} on `{target}` failed")]
    Failed {
        action: &'static str,
        target: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Nothing has that name.
    #[error("there is no {0}")]
    Missing(String),
    /// The task is not running. Holds ECS's status.
    #[error("the task is {0}, not RUNNING")]
    NotRunning(String),
    #[error("the task was started without ECS Exec")]
    ExecOff,
    /// The secret of this name or ARN cannot be used before it is restored.
    #[error("secret `{0}` is scheduled for deletion")]
    Deleted(String),
    /// A secret's value has another form than expected.
    #[error("secret `{secret}`: {fault}")]
    Form {
        /// Its name or ARN.
        secret: String,
        /// The fault, without the value.
        fault: &'static str,
    },
}

fn failed(action: &'static str, target: impl fmt::Display, fault: Fault) -> OperateError {
    OperateError::Failed { action, target: target.to_string(), source: Box::new(fault) }
}

impl<'a> Operator<'a> {
    /// An operator with the permissions of the connection's caller.
    #[must_use]
    pub fn new(connection: &'a Connection) -> Self {
        Self { connection }
    }

    /// Pauses or resumes launches: dispatchers read the parameter within 25 s.
    ///
    /// # Errors
    ///
    /// Those of AWS.
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
    /// Those of AWS. The task is gone, is not running, or was started without ECS Exec.
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
            failed("ecs:ExecuteCommand", task, Fault::of_answer("the answer has no session"))
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

    /// A part of the log of a task's runner, or of a service beside it, from the beginning or from the end of an earlier
    /// part.
    ///
    /// # Errors
    ///
    /// Those of AWS. [`OperateError::Missing`] while nothing has been logged.
    pub async fn log(
        &self,
        group: &str,
        task: &TaskId,
        service: Option<&ServiceName>,
        from: Option<&str>,
    ) -> Result<LogPage, OperateError> {
        let container = service.map_or(CONTAINER, ServiceName::as_str);
        let stream = format!("{STREAM_PREFIX}/{container}/{task}");
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

/// The part of an ARN after the last slash.
fn last(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
