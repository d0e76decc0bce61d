//! The runner's image: lints its Dockerfile and checks its agent.
//!
//! If a Docker engine answers, the Dockerfile is built. GitHub's image would need
//! the network, so a small tree stands in for it. The agent's own tests (`image`)
//! check what the Dockerfile copies, sets and starts, and that no version of
//! actions/runner stands in it.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::package::newest_glibc;
use crate::pypi;
use crate::steps::{Done, say};
use crate::tools::{cargo, succeed};

/// Lints the Dockerfile, and checks that the agent runs with the image's C library.
pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    if let Some(why) = pypi::missing() {
        return Ok(Done::Skipped(why));
    }
    let linter = pypi::Packages::install(root, "image")?;
    succeed(linter.program("hadolint").arg(root.join("runner/Dockerfile")))
        .context("the Dockerfile has lint errors")?;
    let built = build(root)?;
    // Uses the agent built for the tests, which needs the same version of the C library.
    succeed(cargo(root).args([
        "test",
        "--workspace",
        "--all-features",
        "--quiet",
        "--no-run",
        "--test",
        "agent",
    ]))?;
    let agent = env::current_exe()?.with_file_name("ecsrunner-agent");
    if let Some(newest) = newest_glibc(&agent).context("the agent")? {
        ensure!(newest <= (2, 34), "agent needs GLIBC {}.{}: at most 2.34 is expected", newest.0, newest.1);
        say(&format!("the agent built here needs GLIBC {}.{}", newest.0, newest.1));
    }
    Ok(built)
}

/// Builds the Dockerfile, if this machine can.
fn build(root: &Path) -> anyhow::Result<Done> {
    /// Exit code of a test that lacks something of this machine.
    const MISSING: i32 = 77;
    let built = Command::new("bash").arg(root.join("xtask/image/build_test.sh")).output()?;
    let told = String::from_utf8_lossy(&built.stdout);
    match built.status.code() {
        Some(0) => {
            say(&format!("the Dockerfile, built by Docker: {}", told.trim()));
            Ok(Done::Passed)
        }
        Some(MISSING) => Ok(Done::Skipped(format!(
            "the Dockerfile has no lint errors, and was not built: {}",
            told.trim()
        ))),
        _ => bail!("xtask/image/build_test.sh: {told}{}", String::from_utf8_lossy(&built.stderr)),
    }
}
