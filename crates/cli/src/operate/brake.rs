//! `ecsrunner pause`, `resume` and `drain`.

use ecsrunner_api::operation::Stopped;
use ecsrunner_core::id::TaskName;
use serde::Serialize;

use crate::arguments::BrakeArguments;
use crate::deployment::{Deployment, Query};
use crate::exit::Failure;
use crate::output::{self, print, say};

/// The result of `pause` and `resume`, as the API answers `POST /api/v1/pause`.
#[derive(Serialize)]
struct Brake {
    paused: bool,
}

/// The result of `drain`, with names of runners.
#[derive(Serialize)]
struct Drained {
    paused: bool,
    retired: Vec<String>,
    /// They end after their jobs.
    busy: Vec<String>,
}

pub(super) async fn pause(arguments: &BrakeArguments, paused: bool) -> Result<(), Failure> {
    let (deployment, is_paused) = match Deployment::connect(&arguments.target).await {
        Ok(deployment) => {
            let is_paused = deployment.pause(paused).await?;
            (deployment.name(), is_paused)
        }
        // A pause has to work even if other parameters are broken.
        Err(failure) if failure.is_of_parameters() => {
            let name = Deployment::pause_blindly(&arguments.target, paused).await?;
            say(&format!("note: the deployment's parameters are invalid: {failure}"));
            (name, paused)
        }
        Err(failure) => return Err(failure),
    };
    let stays_paused = is_paused && !paused;
    if stays_paused {
        say("note: launches stay paused, because `paused` is true in the deployment's settings");
    }
    if arguments.format.json {
        output::print_json(&Brake { paused: is_paused })?;
    } else if !stays_paused {
        print(&told(&deployment, paused))?;
    }
    Ok(())
}

/// Pauses launches, and retires open runners that have no job.
pub(super) async fn drain(arguments: &BrakeArguments) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let paused = deployment.pause(true).await?;
    if !arguments.format.json {
        print(&told(&deployment.name(), true))?;
    }
    let mut drained = Drained { paused, retired: Vec::new(), busy: Vec::new() };
    for runner in deployment.runners(&Query::default().open()).await? {
        // The plan ends warm tasks: while launches are paused, no class keeps any.
        let TaskName::Runner(name) = TaskName::parse(&runner.name)? else { continue };
        match deployment.stop(&name, false).await? {
            Stopped::Done => drained.retired.push(runner.name),
            Stopped::Busy(_) => drained.busy.push(runner.name),
            Stopped::Already | Stopped::Gone => {}
        }
    }
    if arguments.format.json {
        output::print_json(&drained)?;
    } else {
        let (retired, busy) = (drained.retired.len(), drained.busy.len());
        print(&format!("retired runners: {retired}; busy runners, which end after their jobs: {busy}\n"))?;
    }
    Ok(())
}

fn told(deployment: &str, paused: bool) -> String {
    if paused {
        format!(
            "{deployment} stops launching runners within 30 seconds; running jobs continue, and other jobs wait\n"
        )
    } else {
        format!("{deployment} resumes launching runners within 30 seconds\n")
    }
}
