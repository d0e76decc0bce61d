//! `ecsrunner runners stop`.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::anyhow;
use ecsrunner_api::operation::Stopped;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_core::id::RunnerName;
use ecsrunner_core::records::runner::RunnerStage;
use serde::Serialize;

use super::find;
use crate::arguments::StopRunner;
use crate::deployment::Deployment;
use crate::exit::Failure;
use crate::output::{self, print};

#[derive(Serialize)]
struct Document {
    runner: String,
    stopped: How,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum How {
    /// It takes no new job, and ends after a job that it may already have.
    Retired,
    /// It was stopped with `--force`.
    Stopped,
    AlreadyEnding,
    AlreadyGone,
}

pub(super) async fn stop(arguments: &StopRunner) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let runner = find::runner(&deployment, &arguments.runner).await?;
    if runner.launched_for.is_none() {
        return Err(Failure::usage(anyhow!("`{}` is a warm task and has no job", runner.name)).hint(
            "to end warm tasks, lower `warm.count` of their class, or pause the deployment with `ecsrunner pause`",
        ));
    }
    let name = RunnerName::parse(&runner.name).map_err(Failure::usage)?;
    if arguments.force && !arguments.yes && !runner.is_gone() {
        ask(&runner)?;
    }
    let stopped = match deployment.stop(&name, arguments.force).await? {
        Stopped::Done if arguments.force => How::Stopped,
        Stopped::Done => How::Retired,
        Stopped::Already => How::AlreadyEnding,
        Stopped::Gone => How::AlreadyGone,
        Stopped::Busy(job) => {
            let job = job.map_or_else(|| "a job".to_owned(), |job| format!("job {job}"));
            return Err(Failure::from(anyhow!("{name} runs {job} and was not stopped"))
                .hint("use --force to stop it anyway: the job fails"));
        }
    };
    if arguments.format.json {
        output::print_json(&Document { runner: runner.name, stopped })?;
        return Ok(());
    }
    print(&match stopped {
        How::Retired => {
            format!("retired {name}: it takes no new job, and ends after a job that it may already have\n")
        }
        How::Stopped => format!("stopped {name}; if it was running a job, the job fails\n"),
        How::AlreadyEnding => format!("{name} is already ending\n"),
        How::AlreadyGone => format!("{name} is already gone\n"),
    })?;
    Ok(())
}

/// Names the risk, and asks for confirmation.
fn ask(runner: &RunnerView) -> Result<(), Failure> {
    let risk = match runner.job {
        Some(job) if runner.state == RunnerStage::Busy => format!("its job {job} fails"),
        _ => "a job that GitHub assigns to it meanwhile fails".to_owned(),
    };
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(anyhow!("--force needs confirmation: {risk}"))
            .hint("add --yes to confirm without a prompt"));
    }
    // Asks even with `--quiet`: an answer is needed.
    let mut err = io::stderr();
    writeln!(err, "Runner {} is {}. If it is stopped now, {risk}.", runner.name, runner.state)?;
    write!(err, "Stop it? [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(anyhow!("{} was not stopped", runner.name).into())
}
