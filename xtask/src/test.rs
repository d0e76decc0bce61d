//! `cargo xtask test`: the second command of the README. `cargo xtask check`: its fast steps.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::steps::{Done, Steps, say};
use crate::tools::{cargo, is_there, succeed};
use crate::{
    chain, conformance, dependencies, documents, errors, fuzz, image, page, portability, runner, samples,
    template, terraform, traces, words, workflows,
};

/// Runs all steps, or the named ones.
pub(crate) fn run(root: &Path, only: Vec<String>) -> ExitCode {
    let mut steps = Steps::only(only);
    check_sources(root, &mut steps);
    steps.run("tests", || run_tests(root, &["--workspace", "--all-features"]));
    steps.run("tests of the default build", || run_tests(root, &["-p", "ecsrunner"]));
    steps.run("fuzz", || fuzz::check(root));
    steps.run("samples", || samples::check(root));
    steps.run("template", || template::check(root));
    steps.run("conformance", || conformance::check(root));
    steps.run("traces", || traces::check(root));
    steps.run("chain", || chain::check(root));
    steps.run("image", || image::check(root));
    steps.run("runner", || runner::check(root));
    steps.run("terraform", || terraform::check(root));
    steps.run("workflows", || workflows::check(root));
    steps.run("page", || page::check(root));
    steps.end()
}

/// Runs the steps that take less than a minute if everything is built.
pub(crate) fn check(root: &Path) -> ExitCode {
    let mut steps = Steps::default();
    check_sources(root, &mut steps);
    steps.run("tests of the fast crates", || run_tests(root, &FAST_CRATES));
    steps.end()
}

/// The crates whose tests take a few seconds.
const FAST_CRATES: [&str; 8] =
    ["-p", "ecsrunner-core", "-p", "ecsrunner-engine", "-p", "ecsrunner-github", "-p", "xtask"];

/// Runs the checks that run no tests.
fn check_sources(root: &Path, steps: &mut Steps) {
    steps.run("formatting", || run_cargo(root, &["fmt", "--all", "--check"]));
    steps.run("lints", || {
        let strict = ["--all-targets", "--", "--deny", "warnings"];
        run_cargo(root, &[&["clippy", "--workspace", "--all-features"][..], &strict].concat())?;
        // The build that `cargo run -- demo` makes.
        run_cargo(root, &[&["clippy", "--package", "ecsrunner"][..], &strict].concat())
    });
    steps.run("documents", || documents::check(root));
    steps.run("words", || words::check(root));
    steps.run("dependencies", || dependencies::check(root));
    steps.run("portability", || portability::check(root));
    steps.run("errors", || errors::check(root));
    steps.run("advisories", || dependencies::check_advisories(root));
}

fn run_tests(root: &Path, packages: &[&str]) -> anyhow::Result<Done> {
    let arguments = if is_there(cargo(root).args(["nextest", "--version"])) {
        let options = ["--no-fail-fast", "--status-level", "slow"];
        [&["nextest", "run"], packages, &options].concat()
    } else {
        say("cargo-nextest is not installed, so `cargo test` runs the tests");
        [&["test", "--quiet"], packages].concat()
    };
    // A test that skips itself passes, and cargo-nextest does not show what it prints.
    let dir = root.join("target/xtask");
    let file = dir.join("skipped-tests");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    match fs::remove_file(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        removed => removed.with_context(|| format!("cannot remove {}", file.display()))?,
    }
    succeed(cargo(root).args(&arguments).env(ecsrunner_skip::VARIABLE, &file))?;
    let skipped = ecsrunner_skip::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(if skipped.is_empty() { Done::Passed } else { Done::PassedWithout(skipped) })
}

fn run_cargo(root: &Path, arguments: &[&str]) -> anyhow::Result<Done> {
    succeed(cargo(root).args(arguments))?;
    Ok(Done::Passed)
}
