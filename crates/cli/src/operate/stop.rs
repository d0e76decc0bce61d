//! `ecsrunner runners stop`.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::anyhow;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_core::id::RunnerName;
use ecsrunner_core::records::runner::RunnerStage;

use super::find;
use crate::arguments::StopRunner;
use crate::deployment::{Deployment, Stopped};
use crate::exit::Failure;
use crate::output::print;

pub(super) async fn stop(arguments: &StopRunner) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let runner = find::runner(&deployment, &arguments.runner).await?;
    let name = RunnerName::parse(&runner.name).map_err(Failure::usage)?;
    if arguments.force && !arguments.yes && !runner.is_gone() {
        ask(&runner)?;
    }
    match deployment.stop(&name, arguments.force).await? {
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
            return Err(Failure::from(anyhow!("{name} executes {job}, and was left alone"))
                .hint("--force stops it all the same: the job fails"));
        }
    }
    Ok(())
}

/// Says what is risked, and goes on only if that is wanted.
fn ask(runner: &RunnerView) -> Result<(), Failure> {
    let risk = match runner.job {
        Some(job) if runner.state == RunnerStage::Busy => format!("job {job}, which it executes, fails"),
        _ => "a job that GitHub is just giving it fails".to_owned(),
    };
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(anyhow!("--force is not confirmed: {risk}"))
            .hint("--yes confirms it where nobody can be asked"));
    }
    // Asked in any case: whoever wants quiet has to answer, too.
    let mut err = io::stderr();
    writeln!(err, "{} is {}. Stopped at once, {risk}.", runner.name, runner.state)?;
    write!(err, "Stop it? [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(anyhow!("{} was left alone", runner.name).into())
}
