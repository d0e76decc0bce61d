//! This project's own workflows, linted: actionlint for what GitHub accepts,
//! zizmor for what others could make of them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::steps::Done;
use crate::tools::succeed;
use crate::{npm, pypi};

/// Lints every workflow.
pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    if let Some(why) = npm::missing().or_else(pypi::missing) {
        return Ok(Done::Skipped(why));
    }
    let directory = root.join(".github/workflows");
    let entries = fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut files =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<PathBuf>, _>>()?;
    files.sort();
    let linter = npm::Packages::install(root, "workflows")?;
    succeed(linter.node("lint.mjs").args(&files)).context("a workflow is not one that GitHub accepts")?;
    let auditor = pypi::Packages::install(root, "workflows")?;
    // What it would look up at GitHub stays unknown: nothing here reaches the network.
    let mut audit = auditor.program("zizmor");
    succeed(audit.args(["--offline", "--no-progress", "--quiet"]).args(&files))
        .context("a workflow could be turned against us")?;
    Ok(Done::Passed)
}
