//! The runner's image: its Dockerfile, linted, and the agent that it takes.
//!
//! No image is built here, since that takes a Docker daemon and the network.
//! What the Dockerfile copies, sets and starts is tried by the agent's own
//! tests (`image`).

use std::env;
use std::path::Path;

use anyhow::{Context, ensure};

use crate::package::newest_glibc;
use crate::pypi;
use crate::steps::{Done, say};
use crate::tools::{cargo, succeed};

/// Lints the Dockerfile, and sees that the agent runs on what it is for.
pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    if let Some(why) = pypi::missing() {
        return Ok(Done::Skipped(why));
    }
    let linter = pypi::Packages::install(root, "image")?;
    succeed(linter.program("hadolint").arg(root.join("runner/Dockerfile")))
        .context("the Dockerfile is not as it should be")?;
    // As it was built beside us for the tests: what it asks of the C library is the same.
    succeed(cargo(root).args(["test", "--workspace", "--quiet", "--no-run", "--test", "agent"]))?;
    let agent = env::current_exe()?.with_file_name("ecsrunner-agent");
    if let Some(newest) = newest_glibc(&agent).context("the agent")? {
        ensure!(newest <= (2, 34), "the agent needs GLIBC {}.{}, 2.34 at most is wanted", newest.0, newest.1);
        say(&format!("the agent, as it is built here, needs GLIBC {}.{}", newest.0, newest.1));
    }
    Ok(Done::Passed)
}
