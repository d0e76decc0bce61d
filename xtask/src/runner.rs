//! `cargo xtask runner`: checks a runner against the list of behaviours.

use std::path::Path;

use crate::steps::Done;
use crate::tools::{cargo, succeed};

const PACKAGE: &str = "ecsrunner-demo";

/// Checks the stand-in, as a step of the tests.
pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    run(root, &[])?;
    Ok(Done::Passed)
}

/// Checks the stand-in, or with `--dir DIR` the official runner unpacked there.
pub(crate) fn run(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    // A relative directory is relative to the caller's; the program runs in the root.
    let mut arguments = arguments.to_vec();
    if let Some(at) = arguments.iter().position(|argument| argument == "--dir")
        && let Some(dir) = arguments.get_mut(at + 1)
    {
        *dir = std::path::absolute(&*dir)?.display().to_string();
    }
    // Builds the program and the stand-in.
    succeed(cargo(root).args(["build", "--quiet", "--package", PACKAGE, "--bins"]))?;
    succeed(
        cargo(root)
            .args(["run", "--quiet", "--package", PACKAGE, "--bin", "runner-check", "--"])
            .args(&arguments),
    )
}
