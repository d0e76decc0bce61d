//! `ecsrunner pause`, `resume` and `drain`.

use crate::arguments::BrakeArguments;
use crate::deployment::{Deployment, Stopped};
use crate::exit::Failure;
use crate::output::print;

pub(super) async fn pause(arguments: &BrakeArguments, paused: bool) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let aws = deployment.on_aws(if paused { "pausing" } else { "resuming" })?;
    aws.pause(paused).await?;
    print(&told(&deployment, paused))?;
    Ok(())
}

/// Pauses, and retires what is open and executes nothing.
pub(super) async fn drain(arguments: &BrakeArguments) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let aws = deployment.on_aws("draining")?;
    aws.pause(true).await?;
    print(&told(&deployment, true))?;
    let (mut retired, mut busy) = (0, 0);
    for name in aws.open_runners().await? {
        match aws.stop(&name, false).await? {
            Stopped::Done => retired += 1,
            Stopped::Busy(_) => busy += 1,
            Stopped::Already | Stopped::Gone => {}
        }
    }
    print(&format!(
        "{retired} runners that execute nothing are retired; {busy} execute jobs, and end with them\n"
    ))?;
    Ok(())
}

fn told(deployment: &Deployment, paused: bool) -> String {
    let name = deployment.name();
    if paused {
        format!(
            "{name} launches no more runners, from at most 30 seconds on; jobs that are executed go on, \
             and others wait\n"
        )
    } else {
        format!("{name} launches runners again, from at most 30 seconds on\n")
    }
}
