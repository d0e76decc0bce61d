//! `ecsrunner runners logs`.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::time::Duration;

use anyhow::anyhow;
#[cfg(feature = "aws")]
use ecsrunner_aws::operate::OperateError;
use ecsrunner_core::id::{ServiceName, TaskId};
use ecsrunner_core::rules::service::RUNNER;

use super::find;
use crate::arguments::RunnerLogs;
#[cfg(feature = "aws")]
use crate::deployment::AwsDeployment;
use crate::deployment::{Deployment, LocalServer};
use crate::exit::Failure;
use crate::output::{clean_but_tabs, is_for_people, print, say};

/// The time between reads. CloudWatch Logs allows 10 reads a second for each account.
const PERIOD: Duration = Duration::from_secs(2);

pub(super) async fn logs(arguments: &RunnerLogs) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let mut runner = find::runner(&deployment, &arguments.runner).await?;
    let service = arguments.container.as_deref().filter(|name| *name != RUNNER);
    let service = service.map(ServiceName::parse).transpose().map_err(Failure::usage)?;
    let mut is_announced = false;
    let mut log: Option<Log> = None;
    loop {
        if let Some(task) = &runner.task {
            let task = TaskId::parse(task).map_err(Failure::usage)?;
            let log = log.get_or_insert_with(|| Log::of(&deployment, service.as_ref()));
            if !log.print_news(&task).await? && !arguments.follow {
                let of = service.map(|service| format!(" of the service {service}")).unwrap_or_default();
                return Err(Failure::not_found(anyhow!("task {task} has no log{of}"))
                    .hint("wait until the task's container runs; an old log may have been deleted"));
            }
        } else if !arguments.follow {
            return Err(Failure::not_found(anyhow!("runner {} has no task yet", runner.name)));
        }
        if !arguments.follow || runner.is_gone() {
            return Ok(());
        }
        if log.as_ref().is_none_or(Log::is_empty) && !is_announced {
            say("waiting for the first log line");
            is_announced = true;
        }
        tokio::time::sleep(PERIOD).await;
        if let Some(now) = deployment.runner(&runner.name).await? {
            runner = now;
        }
    }
}

/// A task's log, and the position up to which it was printed.
enum Log<'a> {
    #[cfg(feature = "aws")]
    CloudWatch {
        aws: &'a AwsDeployment,
        service: Option<&'a ServiceName>,
        from: Option<String>,
    },
    File {
        server: &'a LocalServer,
        service: Option<&'a ServiceName>,
        file: Option<BufReader<File>>,
    },
}

impl<'a> Log<'a> {
    fn of(deployment: &'a Deployment, service: Option<&'a ServiceName>) -> Self {
        match deployment {
            #[cfg(feature = "aws")]
            Deployment::Aws(aws) => Self::CloudWatch { aws, service, from: None },
            Deployment::Local(server) => Self::File { server, service, file: None },
        }
    }

    /// Returns whether the log had no content yet.
    fn is_empty(&self) -> bool {
        match self {
            #[cfg(feature = "aws")]
            Self::CloudWatch { from, .. } => from.is_none(),
            Self::File { file, .. } => file.is_none(),
        }
    }

    /// Prints new lines. Returns `false` if there is no log.
    async fn print_news(&mut self, task: &TaskId) -> Result<bool, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::CloudWatch { aws, service, from } => loop {
                let page = match aws.log(task, *service, from.as_deref()).await {
                    Ok(page) => page,
                    Err(OperateError::Missing(_)) => return Ok(false),
                    Err(error) => return Err(Failure::of_aws(error)),
                };
                for line in &page.lines {
                    print_line(&line.text)?;
                }
                // A repeated token means the present end of the log.
                if page.next.is_none() || page.next == *from {
                    return Ok(true);
                }
                *from = page.next;
            },
            Self::File { server, service, file } => {
                let attachment = server.attachment("a task's log")?;
                if file.is_none() {
                    match attachment.log(task, *service) {
                        Ok(opened) => *file = Some(BufReader::new(opened)),
                        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
                        Err(error) => return Err(error.into()),
                    }
                }
                let mut line = Vec::new();
                while let Some(file) = file.as_mut() {
                    line.clear();
                    if file.read_until(b'\n', &mut line)? == 0 {
                        break;
                    }
                    print_line(&String::from_utf8_lossy(&line))?;
                }
                Ok(true)
            }
        }
    }
}

fn print_line(line: &str) -> std::io::Result<()> {
    let text = line.trim_end();
    // The output of a job must not control the terminal.
    let text = if is_for_people() { clean_but_tabs(text) } else { text.to_owned() };
    print(&format!("{text}\n"))
}
