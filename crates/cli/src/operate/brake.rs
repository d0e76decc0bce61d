//! `ecsrunner pause` and `ecsrunner resume`.

use crate::arguments::BrakeArguments;
use crate::deployment::Deployment;
use crate::exit::Failure;
use crate::output::print;

pub(super) async fn pause(arguments: &BrakeArguments, paused: bool) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let aws = deployment.on_aws(if paused { "pausing" } else { "resuming" })?;
    aws.pause(paused).await?;
    let name = deployment.name();
    print(&if paused {
        format!(
            "{name} launches no more runners, from at most 30 seconds on; jobs that are executed go on, \
             and others wait\n"
        )
    } else {
        format!("{name} launches runners again, from at most 30 seconds on\n")
    })?;
    Ok(())
}
