//! `ecsrunner replay`: shows the decisions for recorded events. The functions
//! that decide are those of a deployment. Nothing is carried out.
//!
//! Signatures are not verified, because there are no secrets offline: the
//! recording is trusted.

pub(crate) mod events;
mod memory;
mod decision;
mod told;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use ecsrunner_core::wire::event::Event;
use ecsrunner_engine::Ruleset;
use ecsrunner_entries as entries;
use jiff::Timestamp;
use serde_json::Value;

use super::{classes, input};
use crate::arguments::ReplayArguments;
use crate::deployment::Deployment;
use crate::environment;
use crate::exit::{DONE, FAILURE, Failure};
use crate::machine::Config;
use crate::output::{self, clean, print, say};

use events::{Arrival, Heard, documents};
use memory::Memory;
use told::{Heading, Replayed};

pub(super) async fn replay(arguments: &ReplayArguments) -> Result<u8, Failure> {
    let text = input::text(&arguments.file)?;
    let rules = rules(arguments).await?;
    let replayed = replay_events(&text, &rules);
    let file = input::name(&arguments.file);
    for aside in replayed.set_aside() {
        say(&format!("{file}, document {}: {}", aside.number, clean(&aside.fault)));
    }
    if replayed.is_empty() {
        return Err(Failure::usage(anyhow!("{file} contains no event"))
            .hint("expected EventBridge events or `workflow_job` payloads, in JSON"));
    }
    if arguments.format.json {
        output::print_json(&replayed)?;
    } else {
        print(&replayed.text())?;
    }
    Ok(if replayed.set_aside().is_empty() { DONE } else { FAILURE })
}

/// Returns the rules from files if files are named, or else from the deployment.
async fn rules(arguments: &ReplayArguments) -> Result<Ruleset, Failure> {
    if let (Some(settings), Some(classes)) = (&arguments.settings, &arguments.classes) {
        return rules_of_parameters(settings, classes);
    }
    let target = &arguments.target;
    let is_named = target.deployment.is_some() || target.local.is_some();
    let by_environment = || environment::text(environment::CONFIG).filter(|_| !is_named).map(PathBuf::from);
    match arguments.config.clone().or_else(by_environment) {
        Some(file) => {
            let (settings, catalogue) = Config::rules(&file).map_err(Failure::usage)?;
            Ok(Ruleset { settings, catalogue, subnets: Vec::new(), images: None })
        }
        None => Deployment::connect(target).await?.rules(),
    }
}

/// Reads the parameter files. As in a deployment, an invalid class is left out, and its jobs are refused
/// with the reason.
fn rules_of_parameters(settings_file: &Path, classes_file: &Path) -> Result<Ruleset, Failure> {
    let (catalogue, mistakes) = classes::catalogue(classes_file)?;
    for mistake in mistakes {
        say(&format!("{}: {}", classes_file.display(), clean(&mistake)));
    }
    let table: serde_json::Map<String, Value> = serde_json::from_str(&input::text(settings_file)?)
        .with_context(|| format!("{} is not a JSON object of settings", settings_file.display()))
        .map_err(Failure::usage)?;
    let table = table.into_iter().map(|(key, value)| (key, entries::of_json(value))).collect();
    let mut mistakes = Vec::new();
    let settings =
        entries::settings(table, &mut mistakes).ok_or_else(|| classes::mistaken(settings_file, &mistakes))?;
    Ok(Ruleset { settings, catalogue, subnets: Vec::new(), images: None })
}

/// Replays events in the order of the recording, which is the order of arrival.
fn replay_events(text: &str, rules: &Ruleset) -> Replayed {
    let mut replayed = Replayed::default();
    let mut memory = Memory::new(rules);
    let mut now = Timestamp::MIN;
    for (number, document) in (1..).zip(documents(text)) {
        let arrival = document.and_then(|document| Arrival::read(&document));
        let heard = arrival.and_then(|arrival| {
            // Events come from several clocks. Time never runs backwards.
            let at = now.max(arrival.at);
            Ok((at, arrival.heard(&rules.settings.deployment, at)?))
        });
        match heard {
            Ok((at, heard)) => {
                now = at;
                for (at, decisions) in memory.pass(now) {
                    replayed.time_passed(at, decisions);
                }
                hear(heard, now, &mut memory, &mut replayed);
            }
            Err(fault) => replayed.put_aside(number, &fault),
        }
    }
    replayed
}

fn hear(heard: Heard, now: Timestamp, memory: &mut Memory<'_>, replayed: &mut Replayed) {
    let (heading, (outcome, decisions)) = match heard {
        Heard::Job(event) => (Heading::of_job(&event), memory.record(&Event::Job(event), now)),
        Heard::Task(event) => (Heading::of_task(&event), memory.record(&Event::Task(event), now)),
        Heard::Other { event, outcome } => (Heading::of_other(event), (outcome, Vec::new())),
    };
    replayed.happened(now, heading, &outcome, decisions);
}

#[cfg(test)]
mod tests;
