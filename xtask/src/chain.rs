//! The whole chain: a webhook through the shipped template and EventBridge to
//! the real `bootstrap`, and on to DynamoDB, SQS, ECS and GitHub.
//!
//! AWS is ministack here; GitHub and ECS are our fakes, which the driver
//! (`crates/lambda/tests/chain`) starts in its own process. What is played and
//! checked does not belong here but there.

mod archive;
mod gateway;
mod ministack;
mod process;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use self::gateway::Gateway;
use self::ministack::Ministack;
use crate::npm;
use crate::pypi;
use crate::steps::Done;
use crate::tools::{cargo, is_there, succeed};

const SAMPLES: &str = "@octokit/webhooks-examples/api.github.com/index.json";

/// Starts what stands around the function, and the driver.
pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    if let Some(why) = npm::missing().or_else(pypi::missing).or_else(missing) {
        return Ok(Done::Skipped(why));
    }
    let samples = npm::Packages::install(root, "samples")?.file(SAMPLES)?;
    let template = pypi::Packages::install(root, "template")?;
    let python = pypi::Packages::install(root, "chain")?;
    // The driver's build brings the function's executable with it; the whole
    // workspace, so that nothing is compiled again with other features.
    succeed(cargo(root).args(["test", "--workspace", "--quiet", "--test", "chain", "--no-run"]))?;
    let archive = archive::make(&python)?;

    let logs = python.dir().join("logs");
    fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
    let ministack = Ministack::start(&python, &logs)?;
    let gateway = Gateway::start(&template, &ministack, &logs)?;
    let mut driver = cargo(root);
    driver
        .args(["test", "--workspace", "--quiet", "--test", "chain", "--", "--nocapture"])
        .env("ECSRUNNER_CHAIN_AWS_URL", ministack.url())
        .env("ECSRUNNER_CHAIN_AWS_SECRET", ministack::SECRET_ACCESS_KEY)
        .env("ECSRUNNER_CHAIN_WEBHOOK_URL", gateway.webhook_url())
        .env("ECSRUNNER_CHAIN_ARCHIVE", archive)
        .env("ECSRUNNER_CHAIN_SAMPLES", samples)
        .env("ECSRUNNER_CHAIN_DIR", python.dir());
    succeed(&mut driver).with_context(|| format!("a link of the chain broke; see {}", logs.display()))?;
    Ok(Done::Passed)
}

/// Why ministack cannot run here, or its executable cannot be packed.
fn missing() -> Option<String> {
    let version = "import sys; sys.exit(sys.version_info < (3, 11))";
    if !is_there(Command::new("python3").args(["-c", version])) {
        return Some("`python3` is older than 3.11".to_owned());
    }
    (!is_there(Command::new("strip").arg("--version"))).then(|| "`strip` is not installed".to_owned())
}
