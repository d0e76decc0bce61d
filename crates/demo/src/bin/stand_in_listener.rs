//! The stand-in for `Runner.Listener` as a separate executable.

use std::process::ExitCode;

fn main() -> ExitCode {
    ecsrunner_demo::listener::main(std::env::args_os().skip(1))
}
