//! `ecsrunner`: the command line. Hidden subcommands make the same executable
//! a task, the job-started hook or the stand-in listener.

mod arguments;
mod environment;
mod exit;
#[cfg(target_os = "linux")]
mod hidden;
#[cfg(target_os = "linux")]
mod local;
#[cfg(target_os = "linux")]
mod demo;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
mod machine;
mod interrupt;
mod browser;
mod random;
mod log;
mod manual;
mod deployment;
mod operate;
mod setup;
mod simulate;
mod output;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
#[cfg(target_os = "linux")]
use arguments::{DemoCommand, LocalCommand};

fn main() -> ExitCode {
    // Hidden subcommands come first: some need a process without threads, and none takes our options.
    #[cfg(target_os = "linux")]
    if let Some(code) = hidden::run() {
        return code;
    }
    // A closed pipe is no error.
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { exit::USAGE } else { exit::DONE };
            let _printed = error.print();
            return ExitCode::from(code);
        }
    };
    output::apply(arguments.talk);
    let result = match arguments.command {
        #[cfg(target_os = "linux")]
        Command::Demo(arguments) => {
            let arguments = *arguments;
            match arguments.command {
                None => demo::run(arguments.options).map(done),
                Some(DemoCommand::Github(github)) => demo::github::run(&github).map(done),
            }
        }
        #[cfg(target_os = "linux")]
        Command::Local(LocalCommand::Up(up)) => local::up(up).map(done),
        #[cfg(not(target_os = "linux"))]
        Command::Demo(_) => Err(elsewhere::needs_linux("demo")),
        #[cfg(not(target_os = "linux"))]
        Command::Local(_) => Err(elsewhere::needs_linux("local up")),
        Command::Simulate(arguments) => simulate::run(&arguments).map(done),
        Command::Completions(arguments) => manual::completions(&arguments).map(done),
        Command::Man => manual::page().map(done),
        Command::Setup(arguments) => setup::run(&arguments),
        Command::Operator(command) => operate::run(command),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => exit::report(&failure),
    }
}

fn done(_done: ()) -> u8 {
    exit::DONE
}
