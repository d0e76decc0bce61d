//! The project's own tasks: `cargo xtask check`, `test`, `conformance`, `package`, `runner`, `bench`, `mutate`,
//! `workflows`.
//!
//! A task needs Rust and Node. It installs its other tools, pinned, below `target/`.

mod test;
mod steps;
mod findings;
mod tools;
mod traces;
mod npm;
mod pypi;
mod documents;
mod words;
mod dependencies;
mod errors;
mod portability;
mod fuzz;
mod samples;
mod template;
mod conformance;
mod archive;
mod chain;
mod image;
mod terraform;
mod workflows;
mod workflow_files;
mod package;
mod page;
mod runner;
mod bench;
mod mutate;

use std::env;
use std::process::ExitCode;

use tools::root;

const USAGE: &str = "\
usage: cargo xtask TASK

  check          the fast part of `test`, before each commit: formatting, lints, documents, words, dependencies,
                 portability, errors, and the tests of core, engine, github and xtask
  test [STEP …]  every check, or the named steps: formatting, lints, documents, words, dependencies, portability
                 (the operator's commands have nothing that only Unix has), errors (are logged with their cause),
                 advisories, tests, `tests of the
                 default build`, fuzz (30 s for each target), samples (GitHub's webhooks), template (of API
                 Gateway), conformance (GitHub's API description), traces (decoded by OpenTelemetry's own messages), chain (the control plane on a stand-in for
                 AWS), image (of the runner), runner (the stand-in held to what the official runner does),
                 terraform, workflows (GitHub's), page (in a browser)
  conformance    like `test conformance`, but fails if its tools cannot be installed
  package [--arch x86_64|arm64]… [--binaries DIR]
                 one archive in dist with what a deployment needs, and its sum: the command line, the
                 functions' archives and the static agents, for the named architectures or both, and the
                 Terraform; with the command lines that were built elsewhere, as DIR/<os>-<arch>/ecsrunner
  runner [--dir DIR] [--only TEXT] [--jobs N]
                 hold a runner to the list of behaviours that ecsrunner relies on, and print a table: the
                 official one that is unpacked in DIR (some minutes), or the stand-in, its times scaled down
  mutate [TEXT]  take protections of the code away, one at a time, and show which no test misses: all that
                 `xtask/mutations` lists, or those whose name or file contains TEXT; hours, and it goes on
                 where it was stopped
  workflows DIR  show which workflow files below DIR the demo takes with the official runner, and why it
                 refuses the others, with file, line and column
  bench [NAME …] one benchmark with its arguments, or all of them: see bench/README.md
";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            steps::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    let root = root()?;
    let mut arguments = env::args().skip(1);
    match arguments.next().as_deref() {
        Some("check") => Ok(test::check(&root)),
        Some("test") => Ok(test::run(&root, arguments.collect())),
        Some("conformance") => conformance::run(&root).map(|()| ExitCode::SUCCESS),
        Some("package") => {
            let arguments: Vec<String> = arguments.collect();
            package::run(&root, &arguments).map(|()| ExitCode::SUCCESS)
        }
        Some("runner") => {
            let arguments: Vec<String> = arguments.collect();
            runner::run(&root, &arguments).map(|()| ExitCode::SUCCESS)
        }
        Some("mutate") => mutate::run(&root, arguments.next().as_deref()),
        Some("workflows") => workflow_files::run(arguments.next().as_deref()),
        Some("bench") => {
            let arguments: Vec<String> = arguments.collect();
            bench::run(&root, &arguments).map(|()| ExitCode::SUCCESS)
        }
        _ => {
            steps::say(USAGE);
            Ok(ExitCode::from(2))
        }
    }
}
