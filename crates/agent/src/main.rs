//! `ecsrunner-agent`: the agent as an executable of its own, for the image.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use ecsrunner_core::wire::exit::AgentExit;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    if let Some(code) = ecsrunner_agent::subcommand(&arguments) {
        return code;
    }
    if !arguments.is_empty() {
        return fail(&"no argument is expected");
    }
    // The subcommands are started from this same executable.
    match env::current_exe().map(|exe| exe.into_os_string().into_string()) {
        Ok(Ok(exe)) => {
            let exit = ecsrunner_agent::run_scrubbed(|name| env::var_os(name), &exe, io::stdout());
            ExitCode::from(exit.code())
        }
        Ok(Err(exe)) => fail(&format!("the path of the agent is not UTF-8: {}", exe.display())),
        Err(error) => fail(&format!("the path of the agent is not known: {error}")),
    }
}

fn fail(fault: &dyn std::fmt::Display) -> ExitCode {
    // If stderr is closed, only the exit code reports the failure.
    let _ = writeln!(io::stderr(), "error: {fault}");
    ExitCode::from(AgentExit::Failed.code())
}
