//! `ecsrunner`: the command line, and, by hidden subcommands, the other
//! processes that one executable is: tasks, the job-started hook, the stand-in
//! listener.

mod arguments;
mod environment;
mod exit;
mod hidden;
mod local;
mod demo;
mod log;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command, DemoCommand, LocalCommand};

fn main() -> ExitCode {
    // These must find a process without threads, or know nothing of our options.
    if let Some(code) = hidden::run() {
        return code;
    }
    // A closed pipe ends us quietly.
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { exit::USAGE } else { exit::DONE };
            let _printed = error.print();
            return ExitCode::from(code);
        }
    };
    let result = match arguments.command {
        Command::Demo(demo) => match demo.command {
            None => demo::run(demo.options),
            Some(DemoCommand::Github(github)) => demo::github::run(&github),
        },
        Command::Local(LocalCommand::Up(up)) => local::up(up),
    };
    match result {
        Ok(()) => ExitCode::from(exit::DONE),
        Err(failure) => exit::report(&failure),
    }
}
