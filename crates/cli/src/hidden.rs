//! The other processes that this executable is.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ecsrunner_agent::HOOK_SUBCOMMAND;
use ecsrunner_local::task::TASK_SUBCOMMAND;

use crate::exit;

/// The first argument that asks this executable to be the stand-in listener.
pub(crate) const LISTENER_SUBCOMMAND: &str = "stand-in-listener";

/// Runs what the first argument asks for, if it is one of these.
pub(crate) fn run() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let first = arguments.next()?;
    if first == LISTENER_SUBCOMMAND {
        return Some(ecsrunner_sim::listener::main(arguments));
    }
    let lookup = |name: &str| env::var_os(name);
    if first == HOOK_SUBCOMMAND {
        let agent_dir = arguments.next()?;
        return Some(ExitCode::from(ecsrunner_agent::hook(Path::new(&agent_dir), lookup, io::stdout())));
    }
    if first == TASK_SUBCOMMAND {
        let dir = PathBuf::from(arguments.next()?);
        let Some(exe) = env::current_exe().ok().and_then(|exe| exe.into_os_string().into_string().ok())
        else {
            return Some(ExitCode::from(exit::FAILURE));
        };
        return Some(ecsrunner_local::task::run(dir, lookup, vec![exe, HOOK_SUBCOMMAND.to_owned()]));
    }
    None
}
