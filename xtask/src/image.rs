//! The runner's image: lints its Dockerfile and checks its agent.
//!
//! No image is built here, since that needs a Docker daemon and the network.
//! The agent's own tests (`image`) check what the Dockerfile copies, sets and
//! starts, and that no version of actions/runner stands in it.

use std::env;
use std::path::Path;

use anyhow::{Context, ensure};

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
    Ok(Done::Passed)
}
