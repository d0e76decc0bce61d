//! `ecsrunner runners logs`.

use std::time::Duration;

use anyhow::anyhow;
use ecsrunner_aws::operate::OperateError;
use ecsrunner_core::id::TaskId;

use super::find;
use crate::arguments::RunnerLogs;
use crate::deployment::Deployment;
use crate::exit::Failure;
use crate::output::{clean, is_for_people, print, say};

/// CloudWatch Logs allows ten reads a second of one stream's account; lines come later than this anyway.
const PERIOD: Duration = Duration::from_secs(2);

pub(super) async fn logs(arguments: &RunnerLogs) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let aws = deployment.on_aws("CloudWatch Logs")?;
    let mut runner = find::runner(&deployment, &arguments.runner).await?;
    let for_people = is_for_people();
    let mut told = false;
    let mut from: Option<String> = None;
    loop {
        if let Some(task) = &runner.task {
            let task = TaskId::parse(task).map_err(Failure::usage)?;
            match aws.log(&task, from.as_deref()).await {
                Ok(page) => {
                    for line in &page.lines {
                        let text = line.text.trim_end();
                        // What a job writes must not speak to a terminal.
                        let text = if for_people { clean_but_tabs(text) } else { text.to_owned() };
                        print(&format!("{text}\n"))?;
                    }
                    // The same token again is the end, as it is now.
                    if page.next.is_some() && page.next != from {
                        from = page.next;
                        continue;
                    }
                }
                Err(OperateError::Missing(_)) if arguments.follow => {}
                Err(error @ OperateError::Missing(_)) => {
                    return Err(Failure::not_found(error).hint(
                        "a task logs nothing before its container runs, and logs are kept for a while only",
                    ));
                }
                Err(error) => return Err(Failure::of_aws(error)),
            }
        } else if !arguments.follow {
            return Err(Failure::not_found(anyhow!("runner {} has no task yet", runner.name)));
        }
        if !arguments.follow || runner.state == "gone" {
            return Ok(());
        }
        if from.is_none() && !told {
            say("nothing is logged yet: waiting");
            told = true;
        }
        tokio::time::sleep(PERIOD).await;
        if let Some(now) = deployment.runner(&runner.name).await? {
            runner = now;
        }
    }
}

fn clean_but_tabs(text: &str) -> String {
    text.split('\t').map(clean).collect::<Vec<_>>().join("\t")
}
