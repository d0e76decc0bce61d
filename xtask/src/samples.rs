//! Checks that our parser reads GitHub's own samples of webhooks.

use std::path::Path;

use crate::npm::{self, Packages};
use crate::steps::Done;
use crate::tools::{cargo, succeed};

/// Installs the samples and runs `crates/core/tests/samples.rs` on them.
pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    if let Some(why) = npm::missing() {
        return Ok(Done::Skipped(why));
    }
    let packages = Packages::install(root, "samples")?;
    let samples = packages.file("@octokit/webhooks-examples/api.github.com")?;
    // The whole workspace, so that nothing is recompiled with other features.
    let mut test = cargo(root);
    test.args(["test", "--workspace", "--all-features", "--quiet", "--test", "samples", "--", "--nocapture"]);
    succeed(test.env("ECSRUNNER_WEBHOOK_SAMPLES", samples))?;
    Ok(Done::Passed)
}
