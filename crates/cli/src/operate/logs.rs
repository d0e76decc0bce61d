//! `ecsrunner runners logs`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
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
/// A longer line of a file is printed in pieces. A job shapes the file.
const MAX_LINE_BYTES: usize = 64 * 1024;

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
                if let Some(file) = file {
                    each_line(file, print_line)?;
                }
                Ok(true)
            }
        }
    }
}

/// Reads lines up to the present end of a log.
fn each_line(log: &mut impl BufRead, mut each: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut piece = log.by_ref().take(MAX_LINE_BYTES.try_into().unwrap_or(u64::MAX));
        if piece.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        each(&String::from_utf8_lossy(&line))?;
    }
}

fn print_line(line: &str) -> io::Result<()> {
    let text = line.trim_end();
    // The output of a job must not control the terminal.
    let text = if is_for_people() { clean_but_tabs(text) } else { text.to_owned() };
    print(&format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_an_end_is_read_in_pieces() {
        let text = format!("a\n{}\nb", "x".repeat(2 * MAX_LINE_BYTES + 7));
        let mut lines = Vec::new();
        each_line(&mut text.as_bytes(), |line| {
            lines.push(line.to_owned());
            Ok(())
        })
        .unwrap();
        let lengths: Vec<usize> = lines.iter().map(String::len).collect();
        assert_eq!(lengths, [2, MAX_LINE_BYTES, MAX_LINE_BYTES, 8, 1]);
        assert_eq!(lines.concat(), text);
    }
}
