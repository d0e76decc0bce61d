//! `ecsrunner pause`, `resume` and `drain`.

use ecsrunner_core::id::RunnerName;

use crate::arguments::BrakeArguments;
use crate::deployment::{Deployment, Query, Stopped};
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

/// Pauses, and retires what is open and executes nothing.
pub(super) async fn drain(arguments: &BrakeArguments) -> Result<(), Failure> {
    pause(arguments, true).await?;
    let deployment = Deployment::connect(&arguments.target).await?;
    let aws = deployment.on_aws("draining")?;
    let (mut retired, mut busy) = (0, 0);
    for state in ["reserved", "starting", "booted", "busy"] {
        let query = Query { state: Some(state.to_owned()), ..Query::default() };
        for runner in deployment.runners(&query).await? {
            let name = RunnerName::parse(&runner.name).map_err(Failure::usage)?;
            match aws.stop(&name, false).await? {
                Stopped::Done => retired += 1,
                Stopped::Busy(_) => busy += 1,
                Stopped::Already | Stopped::Gone => {}
            }
        }
    }
    print(&format!(
        "{retired} runners that execute nothing are retired; {busy} execute jobs, and end with them\n"
    ))?;
    Ok(())
}
