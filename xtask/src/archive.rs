//! The control plane's archive for Lambda.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::tools::succeed;

/// Strips an executable and packs it for Lambda, with deflate level 1 to 9.
pub(crate) fn make(root: &Path, executable: &Path, archive: &Path, level: u8) -> anyhow::Result<()> {
    let stripped = archive.with_extension("stripped");
    succeed(Command::new("strip").arg("-o").args([&stripped, executable]))?;
    pack(root, &stripped, archive, level)?;
    Ok(std::fs::remove_file(stripped)?)
}

/// Packs an executable for Lambda as it is.
pub(crate) fn pack(root: &Path, executable: &Path, archive: &Path, level: u8) -> anyhow::Result<()> {
    let mut pack = Command::new("python3");
    // Writes no byte code next to the sources.
    pack.arg("-B").arg(root.join("xtask/archive.py")).args([executable, archive]).arg(level.to_string());
    succeed(&mut pack).context("cannot create the control plane's archive")
}

/// Returns why no archive can be created here, if so.
pub(crate) fn missing() -> Option<String> {
    let there = |program: &str| crate::tools::is_there(Command::new(program).arg("--version"));
    let lacking = ["strip", "python3"].into_iter().find(|program| !there(program));
    lacking.map(|program| format!("`{program}` is not installed"))
}
