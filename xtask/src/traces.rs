//! Decodes an exported trace with OpenTelemetry's own messages for Python, which share no code with ours.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::pypi;
use crate::steps::Done;
use crate::tools::{cargo, succeed};

/// Decodes the trace that the tests of `crates/traces` make.
///
/// # Errors
///
/// The packages cannot be installed, or the trace is not what was meant.
pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    if let Some(why) = pypi::missing() {
        return Ok(Done::Skipped(why));
    }
    let python = pypi::Packages::install(root, "traces")?;
    let file = python.dir().join("trace.bin");
    drop(fs::remove_file(&file));
    let mut tests = cargo(root);
    // The whole workspace, so that nothing is recompiled with other features.
    tests.args(["test", "--workspace", "--all-features", "--quiet", "--lib"]);
    tests.args(["the_bytes_are_those_of_opentelemetrys_protobuf"]).env("ECSRUNNER_TRACE_FILE", &file);
    succeed(&mut tests).context("the trace could not be made")?;
    let name = file.to_str().context("the path of the target directory is not UTF-8")?;
    succeed(&mut python.run(&["decode.py", name])).context("the trace is not what was meant")?;
    Ok(Done::Passed)
}
