//! `cargo xtask runner`: the list of behaviours that a runner is held to.

use std::path::Path;

use crate::steps::Done;
use crate::tools::{cargo, succeed};

const PACKAGE: &str = "ecsrunner-sim";

/// The stand-in, as a step of the tests.
pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    run(root, &[])?;
    Ok(Done::Passed)
}

/// The stand-in, or with `--dir DIR` the official runner that is unpacked there.
pub(crate) fn run(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    // A relative directory is the caller's, and the program is run from the root.
    let mut arguments = arguments.to_vec();
    if let Some(at) = arguments.iter().position(|argument| argument == "--dir")
        && let Some(dir) = arguments.get_mut(at + 1)
    {
        *dir = std::path::absolute(&*dir)?.display().to_string();
    }
    // The program and the stand-in beside it.
    succeed(cargo(root).args(["build", "--quiet", "--package", PACKAGE, "--bins"]))?;
    succeed(
        cargo(root)
            .args(["run", "--quiet", "--package", PACKAGE, "--bin", "runner-check", "--"])
            .args(&arguments),
    )
}
