//! `ecsrunner runners details`.

use std::fmt::Write;

use ecsrunner_api::runner::RunnerView;
use jiff::Timestamp;

use super::{find, peaks};
use crate::arguments::RunnerDetails;
use crate::deployment::Deployment;
use crate::exit::Failure;
use crate::output::{self, between, clean, or_none, print, span, usd_or_none};

pub(super) async fn details(arguments: &RunnerDetails) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let mut runner = find::runner(&deployment, &arguments.runner).await?;
    runner.runner_version = deployment.runner_version(&runner.name).await?;
    if arguments.format.json {
        output::print_json(&runner)?;
    } else {
        print(&text(&runner, Timestamp::now())?)?;
    }
    Ok(())
}

fn text(runner: &RunnerView, now: Timestamp) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let ending = runner.ending.as_ref().map(|ending| format!(" ({ending})")).unwrap_or_default();
    writeln!(text, "{}: {}{ending}", runner.name, runner.state)?;
    if let Some(reason) = &runner.reason {
        writeln!(text, "because  {} [{}]", clean(&reason.text), reason.code)?;
    }
    writeln!(text)?;
    for (name, value) in [
        ("class", runner.class.clone()),
        ("pool", or_none(runner.pool.as_deref())),
        ("repository", or_none(runner.repository.as_deref())),
        ("started for", runner.launched_for.map_or_else(|| or_none(None), |job| format!("job {job}"))),
        (
            if runner.is_gone() { "executed" } else { "executes" },
            runner.job.map_or_else(|| or_none(None), |job| format!("job {job}")),
        ),
        ("task", or_none(runner.task.as_deref())),
        ("version", or_none(runner.runner_version.as_deref())),
        ("cost", usd_or_none(runner.cost_usd)),
    ] {
        writeln!(text, "{name:<12} {value}")?;
    }
    for (name, value) in runner.peaks.iter().flat_map(peaks::lines) {
        writeln!(text, "{name:<12} {value}")?;
    }
    if let Some(other) = &runner.warm {
        let name = if runner.launched_for.is_some() { "warm task" } else { "used by" };
        writeln!(text, "{name:<12} {other}")?;
    }
    writeln!(text)?;
    let mut before = None;
    for stage in &runner.timeline {
        let after = between(before, Some(stage.at)).map(|after| format!("+{}", span(after)));
        writeln!(text, "{:.3}  {:<9} {}", stage.at, stage.state, after.unwrap_or_default())?;
        before = Some(stage.at);
    }
    if !runner.is_gone()
        && let Some(last) = before
    {
        writeln!(text, "\n{} for {}", runner.state, span(now.duration_since(last)))?;
    }
    Ok(text.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n"))
}
