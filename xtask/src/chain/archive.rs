//! The function's archive.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::pypi::Packages;
use crate::tools::succeed;

/// Packs `bootstrap` as it was built beside us, neither optimised nor with LTO:
/// what is asked here is whether it works. Its symbols would only make it
/// slower to upload.
pub(super) fn make(python: &Packages) -> anyhow::Result<PathBuf> {
    let built = env::current_exe()?.with_file_name("bootstrap");
    let stripped = python.dir().join("bootstrap");
    let archive = python.dir().join("bootstrap.zip");
    succeed(Command::new("strip").arg("-o").args([&stripped, &built]))?;
    succeed(python.run(&["archive.py"]).args([&stripped, &archive]))
        .context("the function's archive could not be made")?;
    Ok(archive)
}
