//! `ecsrunner simulate`: runs a load on the real engine in virtual time, and shows
//! how long jobs would wait, what runners would cost, and which limit comes first.

mod file;
mod section;
mod surroundings;
mod source;
mod shape;
mod recorded;
mod arrivals;
mod report;
mod text;
mod chart;

use std::fs;
use std::time::Instant;

use anyhow::Context;
use ecsrunner_world::load::{self, Load};
use jiff::SignedDuration;
use tracing::info;

use crate::arguments::SimulateArguments;
use crate::exit::Failure;
use crate::log;
use crate::output::{self, print, say};

use arrivals::arrivals;
use file::Scenario;
use report::Report;

/// How long jobs that still wait after the last day are followed: GitHub ends them after a day.
const AFTERWARDS: SignedDuration = SignedDuration::from_hours(24);

pub(crate) fn run(arguments: &SimulateArguments) -> Result<(), Failure> {
    log::init_for_simulation();
    let scenario = Scenario::read(&arguments.file)?;
    if scenario.has_reruns() {
        say("note: `rerun` is not simulated: a job that loses its runner fails, and is not run again");
    }
    let begun = Instant::now();
    let report = simulate(scenario);
    info!(elapsed_ms = begun.elapsed().as_millis(), "simulated");
    if let Some(file) = &arguments.svg {
        fs::write(file, chart::svg(&report))
            .with_context(|| format!("the chart {} cannot be written", file.display()))?;
    }
    if arguments.format.json {
        output::print_json(&report)?;
    } else {
        print(&text::text(&report, output::width_for_people()))?;
    }
    Ok(())
}

fn simulate(scenario: Scenario) -> Report {
    let Scenario { seed, from, days, rules, surroundings, sources } = scenario;
    let (kinds, arrivals) = arrivals(&sources, seed, from, days);
    let last = arrivals.last().map_or(from, |arrival| arrival.at);
    let end_of_days = from + SignedDuration::from_hours(24) * i32::try_from(days).unwrap_or(i32::MAX);
    let load = Load {
        seed,
        rules,
        surroundings,
        kinds: kinds.clone(),
        from,
        until: end_of_days.max(last) + AFTERWARDS,
        arrivals: Box::new(arrivals.into_iter()),
    };
    let (tally, ended_at) = load::run(load);
    Report::new(&tally, &kinds, seed, from, ended_at)
}
