//! The agent: process 1 of a runner's container, and the parent of a runner's
//! processes on one machine.
//!
//! It takes its boot item, starts the official listener for one job and follows
//! it. It stops the listener at a limit, on a signal or when the job-started
//! hook refuses the job. Its exit code says how the runner ended. Modules in the
//! order of execution: [`config`], `boot`, `scrub`, `agent_dir`, `env_file`,
//! `engine`, `network`, `services`, `listener`, `supervise`, `judge`. In a container the process executes itself
//! again after `boot`, so that nothing from AWS is left in it. `hook` and
//! `container_hook` run inside the job, and so does `note`, after its last step.
//!
//! Calls to GitHub do not belong here, nor does any decision about other
//! runners. There is no async runtime: the agent must leave the memory to the job.

pub mod cgroups;
pub mod config;
pub mod engine;
pub mod mounts;
pub mod network;
pub mod paths;

mod addresses;
mod firewall;
mod routes;
mod tools;
mod keepers;
mod life;
mod boot;
mod scrub;
mod agent_dir;
mod env_file;
mod listener;
mod output;
mod lines;
mod words;
mod phase;
mod supervise;
mod stopping;
mod signals;
mod processes;
mod watch;
mod gauge;
mod note;
mod judge;
mod ending;
mod log;
mod hook;
mod docker;
mod services;
mod container_hook;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use ecsrunner_aws::boot::Taken;
use ecsrunner_core::wire::exit::AgentExit;

pub use crate::addresses::AddressesError;
pub use crate::config::{Config, ConfigError};
use crate::container_hook::{CONTAINER_HOOK_SUBCOMMAND, container_hook};
use crate::ending::Ending;
use crate::engine::first::{FIRST_SUBCOMMAND, SPACE_SUBCOMMAND};
use crate::engine::keeper::KEEPER_SUBCOMMAND;
use crate::hook::{HOOK_SUBCOMMAND, hook};
pub use crate::keepers::Keepers;
use crate::life::Life;
use crate::listener::LISTENER_SUBCOMMAND;
use crate::log::Log;
use crate::note::COMPLETED_HOOK_SUBCOMMAND;
use crate::scrub::SUPERVISE_SUBCOMMAND;
use crate::services::{SERVICE_SUBCOMMAND, become_service};
use crate::signals::Signals;

/// Runs one of the agent's subcommands: the supervising agent after its second
/// `execve`, the process that becomes the listener, or a hook in the job.
/// Returns `None` if the first argument names none of them.
///
/// Call it before any thread is started and before arguments are parsed.
pub fn subcommand(arguments: &[OsString]) -> Option<ExitCode> {
    match arguments {
        [first] if first == SUPERVISE_SUBCOMMAND => Some(ExitCode::from(second_life(io::stdout()).code())),
        [first, uid, program] if first == LISTENER_SUBCOMMAND => {
            Some(listener::become_listener(uid, Path::new(program)))
        }
        [first, agent_dir] if first == HOOK_SUBCOMMAND => {
            let lookup = |name: &str| env::var_os(name);
            Some(ExitCode::from(hook(Path::new(agent_dir), lookup, io::stdout())))
        }
        [first, agent_dir] if first == COMPLETED_HOOK_SUBCOMMAND => {
            let lookup = |name: &str| env::var_os(name);
            note::write(Path::new(agent_dir), lookup, io::stdout());
            Some(ExitCode::SUCCESS)
        }
        [first, agent_dir @ ..] if first == CONTAINER_HOOK_SUBCOMMAND && agent_dir.len() <= 1 => {
            let agent_dir = agent_dir.first().map(Path::new);
            let lookup = |name: &str| env::var_os(name);
            Some(ExitCode::from(container_hook(agent_dir, lookup, io::stdin().lock(), io::stdout())))
        }
        [first, dir] if first == KEEPER_SUBCOMMAND => Some(engine::keeper::main(Path::new(dir))),
        [first, dir] if first == network::keeper::KEEPER_SUBCOMMAND => {
            Some(network::keeper::main(Path::new(dir)))
        }
        [first, dir] if first == SPACE_SUBCOMMAND => Some(engine::first::space(Path::new(dir))),
        [first, dir] if first == FIRST_SUBCOMMAND => Some(engine::first::first(Path::new(dir))),
        [first, uid, program, arguments @ ..] if first == SERVICE_SUBCOMMAND => {
            Some(become_service(uid, program, arguments))
        }
        _ => None,
    }
}

/// Runs one agent to its end in this process, with JSON lines and the
/// listener's output on `out`. `lookup` is usually [`std::env::var_os`].
/// `executable` is started with the arguments that [`subcommand`] handles.
///
/// Call it in a process of its own without other threads: it takes over the
/// process's signals, reaps every child, and finally kills all descendants. `keepers`
/// are those that the task has, if it has been confined since they were started.
pub fn run(
    lookup: impl Fn(&str) -> Option<OsString>,
    executable: &str,
    out: impl Write,
    keepers: Keepers,
) -> AgentExit {
    live(lookup, executable, out, |config, taken, signals, log, life| {
        supervise::supervise(&config.supervision, taken, keepers, signals, log, life)
    })
}

/// As [`run`], but executes `executable` again once the boot item is taken, with
/// an empty environment. Nothing from AWS is then left in the process. Returns
/// only if the agent ended before that.
pub fn run_scrubbed(
    lookup: impl Fn(&str) -> Option<OsString>,
    executable: &str,
    out: impl Write,
) -> AgentExit {
    live(lookup, executable, out, |config, taken, signals, log, life| {
        // Signals that arrive from here on stay pending across `execve`.
        signals.hold().map_err(|error| Ending::failed(&error))?;
        if signals.take_stops() > 0 {
            return Err(Ending::interrupted());
        }
        log.info("executing again without AWS", &[]);
        match scrub::reexecute(&taken, &config.supervision, life)? {}
    })
}

fn live<W: Write>(
    lookup: impl Fn(&str) -> Option<OsString>,
    executable: &str,
    out: W,
    then: impl FnOnce(&Config, Taken, &Signals, &mut Log<W>, &mut Life) -> Result<Ending, Ending>,
) -> AgentExit {
    let (mut log, mut life) = (Log::new(out), Life::begin());
    let version = env!("CARGO_PKG_VERSION");
    log.info("agent started", &[("version", &version), ("pid", &std::process::id())]);
    let result =
        Config::from_env(lookup, executable).map_err(|error| Ending::failed(&error)).and_then(|config| {
            let signals = prepare()?;
            let taken = boot::take(&config.boot, &signals, &mut log)?;
            life.took_boot_item(&taken.item.runner);
            then(&config, taken, &signals, &mut log, &mut life)
        });
    ended(&mut log, &life, result)
}

fn second_life(out: impl Write) -> AgentExit {
    let mut log = Log::new(out);
    let mut life = Life::begin();
    let result = prepare().and_then(|signals| {
        let (taken, supervision, passed) = scrub::unpack()?;
        life = passed;
        supervise::supervise(&supervision, taken, Keepers::default(), &signals, &mut log, &mut life)
    });
    ended(&mut log, &life, result)
}

fn prepare() -> Result<Signals, Ending> {
    let prepared = processes::adopt_orphans().and_then(|()| Signals::install());
    prepared.map_err(|error| Ending::failed(&error))
}

fn ended(log: &mut Log<impl Write>, life: &Life, result: Result<Ending, Ending>) -> AgentExit {
    let ending = result.unwrap_or_else(|ending| ending);
    log.end(&life.record(&ending));
    ending.exit
}
