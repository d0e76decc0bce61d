//! `ecsrunner runners stop`.

use anyhow::anyhow;
use ecsrunner_core::id::RunnerName;

use super::find;
use crate::arguments::StopRunner;
use crate::deployment::{Deployment, Stopped};
use crate::exit::Failure;
use crate::output::print;

pub(super) async fn stop(arguments: &StopRunner) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let aws = deployment.on_aws("stopping a runner")?;
    let name = find::runner(&deployment, &arguments.runner).await?.name;
    let name = RunnerName::parse(&name).map_err(Failure::usage)?;
    match aws.stop(&name, arguments.force).await? {
        Stopped::Done if arguments.force => {
            print(&format!("{name} is stopped, and with it the job that it executes, if it does\n"))?;
        }
        Stopped::Done => {
            print(&format!(
                "{name} is retired: it takes no job any more, and ends; one that it was given already it executes\n"
            ))?;
        }
        Stopped::Already => print(&format!("{name} is ending already\n"))?,
        Stopped::Gone => print(&format!("{name} is gone already\n"))?,
        Stopped::Busy(job) => {
            let job = job.map_or_else(|| "a job".to_owned(), |job| format!("job {job}"));
            return Err(anyhow!("{name} executes {job}, and was left alone").into())
                .map_err(|failure: Failure| failure.hint("--force stops it all the same: the job fails"));
        }
    }
    Ok(())
}
