//! `cargo xtask test`: the second command of the README.

use std::path::Path;
use std::process::ExitCode;

use crate::steps::{Done, Steps, say};
use crate::tools::{cargo, is_there, succeed};
use crate::{
    chain, conformance, dependencies, documents, image, page, runner, samples, template, terraform, workflows,
};

/// Runs all steps, or those that are named.
pub(crate) fn run(root: &Path, only: Vec<String>) -> ExitCode {
    let mut steps = Steps::only(only);
    steps.run("formatting", || run_cargo(root, &["fmt", "--all", "--check"]));
    steps.run("lints", || {
        run_cargo(root, &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])
    });
    steps.run("tests", || {
        if is_there(cargo(root).args(["nextest", "--version"])) {
            run_cargo(root, &["nextest", "run", "--workspace", "--no-fail-fast", "--status-level", "slow"])
        } else {
            say("cargo-nextest is not installed: cargo's own test runner takes its place");
            run_cargo(root, &["test", "--workspace", "--quiet"])
        }
    });
    steps.run("documents", || documents::check(root));
    steps.run("dependencies", || dependencies::check(root));
    steps.run("samples", || samples::check(root));
    steps.run("template", || template::check(root));
    steps.run("conformance", || conformance::check(root));
    steps.run("chain", || chain::check(root));
    steps.run("image", || image::check(root));
    steps.run("runner", || runner::check(root));
    steps.run("terraform", || terraform::check(root));
    steps.run("workflows", || workflows::check(root));
    steps.run("page", || page::check(root));
    steps.end()
}

fn run_cargo(root: &Path, arguments: &[&str]) -> anyhow::Result<Done> {
    succeed(cargo(root).args(arguments))?;
    Ok(Done::Passed)
}
