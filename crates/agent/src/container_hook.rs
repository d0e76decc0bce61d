//! The container hook, which the official runner calls in place of Docker.
//!
//! It serves `services:` by those that the runner's class declares: it compares
//! what the job asks for with them, waits until they are ready, and answers
//! their ports. It fails every call that would execute something in a container:
//! if a hook does nothing and exits with 0, such a step succeeds. The runner
//! calls it only if GitHub's job message allows container hooks
//! (`DistributedTask.AllowRunnerContainerHooks`). Otherwise the runner itself
//! fails the job in `Initialize containers`, with its own message (all seen with
//! the official runner 2.336).

mod call;
mod output;
mod ready;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use ecsrunner_core::id::ServiceName;
use ecsrunner_core::rules::service::demand::{Asked, Met, compare};
use serde_json::json;

use crate::services::offered::Offered;
use call::Call;
use ready::Waiting;

/// The subcommand that runs the container hook. Its argument is the agent's
/// directory. Scripts of agents before services have none.
pub(crate) const CONTAINER_HOOK_SUBCOMMAND: &str = "agent-container-hook";

/// Larger than any call of the runner.
const INPUT_LIMIT_BYTES: u64 = 16 * 1024 * 1024;
/// Longer than any sentence of ours.
const SENTENCE_CHARS: usize = 1000;
const DOCUMENT: &str = "see docs/semantics.md of ecsrunner";

/// Answers one call of the runner and returns the exit code.
///
/// `cleanup_job` succeeds, because the runner calls it after a failure too.
/// Every call that is not answered fails with a sentence, also one that cannot be
/// parsed. `variable` looks up the environment, which is that of the runner.
pub(crate) fn container_hook(
    agent_dir: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
    input: impl Read,
    out: impl Write,
) -> u8 {
    let mut told = Told(out);
    let offered = agent_dir
        .map_or(Ok(None), |dir| Offered::read(dir).map(|offered| offered.map(|offered| (dir, offered))));
    let answer = match (Call::read(input.take(INPUT_LIMIT_BYTES), &variable), offered) {
        (Ok(Call::Cleanup { services }), offered) => {
            // Nothing here may fail, because the job's result is already known.
            if let Ok(Some((dir, offered))) = offered {
                ready::tell_ended(&offered, &services, &mut told);
                output::show(dir, &offered, &services, &mut told);
            }
            Ok(())
        }
        (Ok(Call::Prepare(prepare)), Ok(offered)) => {
            prepared(&prepare, offered.as_ref().map(|(dir, offered)| (*dir, offered)), &mut told)
        }
        (Ok(Call::Prepare(_)), Err(error)) => {
            Err(vec![format!("what this runner knows about its services cannot be read: {error}")])
        }
        (Ok(Call::Execute { what }), offered) => {
            let offered = offered.ok().flatten();
            Err(vec![no_docker(what, offered.as_ref().map(|(_, offered)| offered))])
        }
        (Err(fault), _) => Err(vec![fault]),
    };
    match answer {
        Ok(()) => 0,
        Err(sentences) => {
            sentences.iter().for_each(|sentence| told.error(sentence));
            1
        }
    }
}

fn no_docker(what: &str, offered: Option<&Offered>) -> String {
    let engines = offered.and_then(|offered| offered.offer.engines());
    let engines = engines.map(|engines| format!("; a class with a Docker engine serves it: {engines}"));
    format!(
        "This runner has no Docker: {what} cannot be executed here, {DOCUMENT}{}",
        engines.unwrap_or_default()
    )
}

/// Answers `prepare_job`, or returns what is wrong.
fn prepared(
    prepare: &call::Prepare,
    offered: Option<(&Path, &Offered)>,
    told: &mut Told<impl Write>,
) -> Result<(), Vec<String>> {
    if prepare.has_container {
        return Err(vec![no_docker("`container:`", offered.map(|(_, offered)| offered))]);
    }
    let met = match offered {
        _ if prepare.services.is_empty() => Vec::new(),
        Some((_, offered)) => compare(&offered.offer, &offered.host_ports(), &prepare.services)?,
        None => {
            let none = "since no class of this deployment declares services";
            return Err(vec![format!(
                "This runner has no Docker: `services:` cannot be executed here, {none}, {DOCUMENT}"
            )]);
        }
    };
    if let Some((agent_dir, offered)) = offered {
        let waiting = Waiting::begin(agent_dir, offered).map_err(|error| vec![error])?;
        if let Err(failed) = wait(&waiting, &prepare.services, &met, told) {
            let (names, sentences): (Vec<ServiceName>, Vec<String>) = failed.into_iter().unzip();
            output::show(agent_dir, offered, &names, told);
            return Err(sentences);
        }
    }
    let answer = answer(&met).to_string();
    fs::write(&prepare.response_file, answer)
        .map_err(|error| vec![format!("the runner's file for the answer cannot be written: {error}")])
}

/// Waits for the services, which all start at the same time. Returns those that are not ready, with a sentence each.
fn wait(
    waiting: &Waiting<'_>,
    asked: &[Asked],
    met: &[Met],
    told: &mut Told<impl Write>,
) -> Result<(), Vec<(ServiceName, String)>> {
    let mut failed = Vec::new();
    for (asked, met) in asked.iter().zip(met) {
        told.line(&format!("Waiting for the service `{}` (`{}`)", met.name, asked.image));
        match waiting.until_ready(met) {
            Ok(()) => told.line(&format!("Service `{}` is ready on port {}", met.name, met.host_port)),
            Err(why) => {
                failed.push((met.name.clone(), format!("Service `{}` is not ready: {why}", met.name)))
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed) }
}

/// The services by position, as the runner gives them to `job.services`.
fn answer(met: &[Met]) -> serde_json::Value {
    let services = met.iter().map(|met| {
        let ports = json!({met.port.to_string(): met.host_port.to_string()});
        json!({"id": met.name, "network": "host", "ports": ports})
    });
    let names: Vec<_> = met.iter().map(|met| &met.name).collect();
    json!({"state": {"services": names}, "context": {"services": services.collect::<Vec<_>>()}})
}

/// The job's log.
pub(crate) struct Told<W>(W);

impl<W: Write> Told<W> {
    fn line(&mut self, text: &str) {
        self.write("", text);
    }

    /// Writes lines that the page folds below a title.
    fn group<'a>(&mut self, title: &str, lines: impl Iterator<Item = &'a str>) {
        self.write("::group::", title);
        lines.for_each(|line| self.line(&line.replace('\t', " ")));
        self.write("::endgroup::", "");
    }

    /// An `::error::` command becomes an annotation of the job.
    fn error(&mut self, text: &str) {
        self.write("::error::", text);
    }

    fn warning(&mut self, text: &str) {
        self.write("::warning::", text);
    }

    /// Writes one line. The names of images come from a workflow, and output from a service.
    fn write(&mut self, command: &str, text: &str) {
        let text: String = text.chars().filter(|c| !c.is_control()).take(SENTENCE_CHARS).collect();
        // A line that has a command is one, whatever it is meant to be. `##[` is the older form, which may stand anywhere.
        let text = match command {
            "" => text.replace("::", ": :").replace("##[", "# #["),
            _ => text.replace('%', "%25"),
        };
        // If the line is lost, the exit code still says whether the call failed.
        let _lost: io::Result<()> = writeln!(self.0, "{command}{text}").and_then(|()| self.0.flush());
    }
}

#[cfg(test)]
mod tests;
