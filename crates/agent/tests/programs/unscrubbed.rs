//! The agent without the second `execve`, as in one-machine mode: its environment
//! stays in the process. The thief must find the secrets there.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some(code) = ecsrunner_agent::subcommand(&arguments) {
        return code;
    }
    let Ok(executable) = std::env::current_exe() else { return ExitCode::FAILURE };
    let executable = executable.to_string_lossy();
    ExitCode::from(
        ecsrunner_agent::run(
            |name| std::env::var_os(name),
            &executable,
            std::io::stdout(),
            ecsrunner_agent::Keepers::default(),
        )
        .code(),
    )
}
