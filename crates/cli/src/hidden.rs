//! Hidden subcommands: this executable is also the program of the processes that it starts.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ecsrunner_agent::cgroups::CGROUP;
use ecsrunner_local::probe::{self, PROBE_SUBCOMMAND};
use ecsrunner_local::removal::{self, REMOVAL_SUBCOMMAND};
use ecsrunner_local::task::confinement::{self, CONFINEMENT_SUBCOMMAND};
use ecsrunner_local::task::keyrings::{self, KEYRINGS_SUBCOMMAND};
use ecsrunner_local::task::{self, TASK_SUBCOMMAND};

use crate::exit;

/// The first argument that makes this executable the stand-in listener.
pub(crate) const LISTENER_SUBCOMMAND: &str = "stand-in-listener";

/// Runs the hidden subcommand that the first argument names, if there is one.
pub(crate) fn run() -> Option<ExitCode> {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    if let Some(code) = ecsrunner_agent::subcommand(&arguments) {
        return Some(code);
    }
    match arguments.as_slice() {
        [first, rest @ ..] if first == LISTENER_SUBCOMMAND => {
            Some(ecsrunner_demo::listener::main(rest.iter().cloned()))
        }
        [first] if first == PROBE_SUBCOMMAND => Some(probe::main()),
        [first, removal] if first == REMOVAL_SUBCOMMAND => Some(removal::main(&removal.to_string_lossy())),
        [first, dir, confinement] if first == CONFINEMENT_SUBCOMMAND => {
            let cgroup = env::var(CGROUP).ok();
            Some(confinement::main(Path::new(dir), &confinement.to_string_lossy(), cgroup.as_deref()))
        }
        [first, user] if first == KEYRINGS_SUBCOMMAND => Some(keyrings::main(&user.to_string_lossy())),
        [first, dir, confinement] if first == TASK_SUBCOMMAND => {
            let exe = env::current_exe().ok().and_then(|exe| exe.into_os_string().into_string().ok());
            let Some(exe) = exe else { return Some(ExitCode::from(exit::FAILURE)) };
            let confinement = confinement.to_string_lossy();
            Some(task::run(PathBuf::from(dir), &confinement, |name| env::var_os(name), &exe))
        }
        _ => None,
    }
}
