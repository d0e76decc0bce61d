//! `ecsrunner-agent`: the agent as an executable of its own, for the image.

use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use ecsrunner_agent::{HOOK_SUBCOMMAND, hook, run_from_env};
use ecsrunner_core::exit::AgentExit;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [] => agent(),
        [subcommand, agent_dir] if subcommand == HOOK_SUBCOMMAND => {
            ExitCode::from(hook(Path::new(agent_dir), |name| env::var_os(name), io::stdout()))
        }
        _ => fail(&"no argument is expected, or `agent-hook <agent directory>`"),
    }
}

fn agent() -> ExitCode {
    // The hook is this very executable, wherever it lies.
    match env::current_exe().map(|exe| exe.into_os_string().into_string()) {
        Ok(Ok(exe)) => {
            let hook_command = vec![exe, HOOK_SUBCOMMAND.to_owned()];
            ExitCode::from(run_from_env(|name| env::var_os(name), hook_command, io::stdout()).code())
        }
        Ok(Err(exe)) => fail(&format!("the path of the agent is not UTF-8: {}", exe.display())),
        Err(error) => fail(&format!("the path of the agent is not known: {error}")),
    }
}

fn fail(fault: &dyn std::fmt::Display) -> ExitCode {
    // Where stderr is gone, the code has to do.
    let _ = writeln!(io::stderr(), "error: {fault}");
    ExitCode::from(AgentExit::Failed.code())
}
