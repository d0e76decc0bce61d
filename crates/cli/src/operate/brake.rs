//! `ecsrunner pause`, `resume` and `drain`.

use ecsrunner_core::id::RunnerName;

use crate::arguments::BrakeArguments;
use crate::deployment::{Deployment, Query, Stopped};
use crate::exit::Failure;
use crate::output::{print, say};

pub(super) async fn pause(arguments: &BrakeArguments, paused: bool) -> Result<(), Failure> {
    let (deployment, is_paused) = match Deployment::connect(&arguments.target).await {
        Ok(deployment) => {
            let is_paused = deployment.pause(paused).await?;
            (deployment.name(), is_paused)
        }
        // The brake has to hold whatever else is broken.
        Err(failure) if failure.is_of_parameters() => {
            let name = Deployment::pause_blindly(&arguments.target, paused).await?;
            say(&format!("note: its parameters cannot be read: {failure}"));
            (name, paused)
        }
        Err(failure) => return Err(failure),
    };
    if is_paused && !paused {
        say("note: it stays paused by its own settings: `paused` is true in them");
    } else {
        print(&told(&deployment, paused))?;
    }
    Ok(())
}

/// Pauses, and retires what is open and executes nothing.
pub(super) async fn drain(arguments: &BrakeArguments) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    deployment.pause(true).await?;
    print(&told(&deployment.name(), true))?;
    let (mut retired, mut busy) = (0, 0);
    for runner in deployment.runners(&Query::default().open()).await? {
        let name = RunnerName::parse(&runner.name)?;
        match deployment.stop(&name, false).await? {
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

fn told(deployment: &str, paused: bool) -> String {
    if paused {
        format!(
            "{deployment} launches no more runners, from at most 30 seconds on; jobs that are executed go on, \
             and others wait\n"
        )
    } else {
        format!("{deployment} launches runners again, from at most 30 seconds on\n")
    }
}
