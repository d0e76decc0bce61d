//! `cargo xtask bench`: builds for release, then runs the benchmarks that `bench/README.md` describes.

use std::path::Path;

use crate::tools::{cargo, succeed};

const PROGRAMS: [&str; 7] = ["latency", "burst", "kill", "soak", "agent", "list", "lambda"];

/// Runs one benchmark with its arguments, or all of them.
pub(crate) fn run(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    succeed(cargo(root).args(["build", "--release", "--package", "ecsrunner"]))?;
    let of_lambda = arguments.is_empty() || arguments.first().is_some_and(|name| name == "lambda");
    if of_lambda {
        succeed(cargo(root).args(["build", "--profile", "lambda", "--package", "ecsrunner-lambda"]))?;
    }
    if arguments.is_empty() || arguments.first().is_some_and(|name| name == "agent") {
        succeed(cargo(root).args(["build", "--profile", "agent", "--package", "ecsrunner-agent"]))?;
    }
    let run = |arguments: &[String]| {
        let mut bench = cargo(root);
        bench.args(["run", "--release", "--package", "ecsrunner-bench", "--"]).args(arguments);
        succeed(&mut bench)
    };
    if !arguments.is_empty() {
        return run(arguments);
    }
    for program in PROGRAMS {
        run(&[program.to_owned()])?;
    }
    succeed(cargo(root).args(["bench", "--package", "ecsrunner-bench"]))
}
