//! The stand-in for `Runner.Listener`, as an executable of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    ecsrunner_demo::listener::main(std::env::args_os().skip(1))
}
