//! The agent: process 1 of a runner's container, and the parent of a runner's
//! processes on one machine.
//!
//! It takes its boot item, starts the official listener for one job, follows
//! it, ends it where a limit, a signal or the job-started hook says so, and
//! tells by its exit code how that went. One story, in this order: [`config`],
//! `boot`, `agent_dir`, `listener`, `supervise`, `ending`; [`hook()`] is the
//! other side, inside of the job.
//!
//! Talking to GitHub does not belong here, nor does any decision about other
//! runners. There is no async runtime: the agent has to stay small beside a job.

pub mod config;

mod boot;
mod agent_dir;
mod listener;
mod output;
mod lines;
mod phase;
mod supervise;
mod signals;
mod processes;
mod ending;
mod log;
mod hook;

use std::ffi::OsString;
use std::io::Write;

use ecsrunner_core::exit::AgentExit;

pub use crate::config::{Config, ConfigError};
use crate::ending::Ending;
pub use crate::hook::hook;
use crate::log::Log;
use crate::signals::Signals;

/// The first argument that asks an executable to be the hook; the agent's
/// directory is the second.
pub const HOOK_SUBCOMMAND: &str = "agent-hook";

/// Runs one agent to its end, with JSON lines and the listener's output on `out`.
///
/// Call it in a process of its own, with no other threads: it takes over the
/// process's signals, reaps every child, and at the end kills every process
/// below it.
pub fn run(config: Config, out: impl Write) -> AgentExit {
    let mut log = Log::new(out);
    started(&mut log, Some(&config.boot.owner));
    let ending = run_to_end(&config, &mut log);
    ended(&mut log, &ending)
}

/// As [`run`], with the configuration read from the environment; one that is
/// wrong is an ending too.
pub fn run_from_env(
    lookup: impl Fn(&str) -> Option<OsString>,
    hook_command: Vec<String>,
    out: impl Write,
) -> AgentExit {
    match Config::from_env(lookup, hook_command) {
        Ok(config) => run(config, out),
        Err(error) => {
            let mut log = Log::new(out);
            started(&mut log, None);
            ended(&mut log, &Ending::failed(&error))
        }
    }
}

fn started(log: &mut Log<impl Write>, owner: Option<&str>) {
    let version = env!("CARGO_PKG_VERSION");
    log.info("agent started", &[("version", &version), ("pid", &std::process::id()), ("owner", &owner)]);
}

fn ended(log: &mut Log<impl Write>, ending: &Ending) -> AgentExit {
    let reason = ending::reason(ending.exit);
    log.info(
        "agent ended",
        &[("exit", &ending.exit.code()), ("reason", &reason), ("detail", &ending.detail)],
    );
    ending.exit
}

fn run_to_end(config: &Config, log: &mut Log<impl Write>) -> Ending {
    let prepared = processes::adopt_orphans().and_then(|()| Signals::install());
    let result = match prepared {
        Ok(signals) => boot::take(config, &signals, log)
            .and_then(|taken| supervise::supervise(config, taken, &signals, log)),
        Err(error) => Err(Ending::failed(&error)),
    };
    result.unwrap_or_else(|ending| ending)
}
