//! The stand-in for `Runner.Listener`, as an executable of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    ecsrunner_sim::listener::main(std::env::args_os().skip(1))
}
