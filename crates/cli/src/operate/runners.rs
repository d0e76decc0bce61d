//! `ecsrunner runners list`.

use std::io::Write;
use std::time::Duration;

use anyhow::anyhow;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_core::records::runner::RunnerStage;
use jiff::Timestamp;
use serde::Serialize;

use crate::arguments::{ListRunners, PastArguments};
use crate::deployment::{Deployment, Query, State};
use crate::exit::Failure;
use crate::interrupt::Interrupts;
use crate::output::{self, Rows, between, or_none, print, short, span_or_none, usd_or_none};

const PERIOD: Duration = Duration::from_secs(2);
/// Moves the cursor home and clears the screen below it.
const REDRAW: &str = "\x1b[H\x1b[J";

#[derive(Serialize)]
struct Document<'a> {
    runners: &'a [RunnerView],
}

pub(super) async fn list(arguments: &ListRunners) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    if !arguments.watch {
        let runners = read(&deployment, arguments).await?;
        if arguments.format.json {
            output::print_json(&Document { runners: &runners })?;
        } else {
            print(&text(&runners, output::is_for_people(), Timestamp::now()))?;
        }
        return Ok(());
    }
    if !output::is_for_people() {
        return Err(Failure::usage(anyhow!("--watch needs a terminal, and stdout is not a terminal")));
    }
    let mut interrupts = Interrupts::begin()?;
    loop {
        let drawn = async {
            let runners = read(&deployment, arguments).await?;
            let now = Timestamp::now();
            let table = text(&runners, true, now);
            // `anstream` would remove these escapes if colours are off.
            write!(std::io::stdout(), "{REDRAW}{}, {now:.0}\n\n{table}", deployment.name())?;
            std::io::stdout().flush()?;
            tokio::time::sleep(PERIOD).await;
            Ok::<_, Failure>(())
        };
        tokio::select! {
            drawn = drawn => drawn?,
            () = interrupts.next() => return Ok(()),
        }
    }
}

async fn read(deployment: &Deployment, arguments: &ListRunners) -> Result<Vec<RunnerView>, Failure> {
    let mut query = Query::of(&arguments.past);
    query.class.clone_from(&arguments.class);
    query.state = arguments.state.map(State::Runner);
    deployment.runners(&query).await
}

impl Query {
    /// Returns the query of these flags.
    pub(super) fn of(past: &PastArguments) -> Self {
        Self {
            repository: past.repository.clone(),
            since: Some(past.since.time(Timestamp::now())),
            limit: Some(past.limit as usize),
            ..Self::default()
        }
    }
}

fn text(runners: &[RunnerView], for_people: bool, now: Timestamp) -> String {
    if for_people && runners.is_empty() {
        return "no runners\n".to_owned();
    }
    let mut rows = Rows::new(["RUNNER", "STATE", "CLASS", "REPOSITORY", "JOB>", "AGE>", "COST>"]);
    for runner in runners {
        let ended = if runner.is_gone() { runner.reached(RunnerStage::Gone) } else { Some(now) };
        rows.add([
            short(&runner.name, for_people),
            runner
                .ending
                .as_ref()
                .map_or_else(|| runner.state.to_string(), |ending| format!("{}: {ending}", runner.state)),
            runner.class.clone(),
            or_none(runner.repository.as_deref()),
            or_none(runner.job.map(|job| job.to_string()).as_deref()),
            span_or_none(between(runner.began(), ended)),
            usd_or_none(runner.cost_usd),
        ]);
    }
    rows.text(for_people)
}
