//! The whole chain: a webhook through the shipped template and EventBridge to
//! the real `bootstrap`, and on to DynamoDB, SQS, ECS and GitHub.
//!
//! AWS is ministack here; GitHub and ECS are our fakes, which the driver
//! (`crates/lambda/tests/chain`) starts in its own process. What is played and
//! checked does not belong here but there.

mod gateway;
mod ministack;
mod process;

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use self::gateway::Gateway;
use self::ministack::Ministack;
use crate::archive;
use crate::npm;
use crate::pypi;
use crate::steps::Done;
use crate::tools::{cargo, is_there, succeed};

const SAMPLES: &str = "@octokit/webhooks-examples/api.github.com/index.json";

/// Starts what stands around the function, and the driver.
pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    if let Some(why) = npm::missing().or_else(pypi::missing).or_else(archive::missing).or_else(missing) {
        return Ok(Done::Skipped(why));
    }
    let samples = npm::Packages::install(root, "samples")?.file(SAMPLES)?;
    let template = pypi::Packages::install(root, "template")?;
    let python = pypi::Packages::install(root, "chain")?;
    // The driver's build brings the function's executable with it; the whole
    // workspace, so that nothing is compiled again with other features.
    let mut build = cargo(root);
    build.args(["test", "--workspace", "--quiet", "--no-run"]);
    // The agent, the command line and the listener come with the tests of their own packages.
    succeed(build.args(["--test", "chain", "--test", "agent", "--test", "documented", "--test", "sim"]))?;
    let beside = |name: &str| Ok::<_, anyhow::Error>(env::current_exe()?.with_file_name(name));
    // As it was built beside us, neither optimised nor with LTO: what is asked
    // here is whether it works.
    let archive = python.dir().join("bootstrap.zip");
    archive::make(root, &beside("bootstrap")?, &archive, 1)?;

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
        .env("ECSRUNNER_CHAIN_AGENT", beside("ecsrunner-agent")?)
        .env("ECSRUNNER_CHAIN_COMMAND_LINE", beside("ecsrunner")?)
        .env("ECSRUNNER_CHAIN_LISTENER", beside("stand-in-listener")?)
        .env("ECSRUNNER_CHAIN_SAMPLES", samples)
        .env("ECSRUNNER_CHAIN_DIR", python.dir());
    succeed(&mut driver).with_context(|| format!("a link of the chain broke; see {}", logs.display()))?;
    Ok(Done::Passed)
}

/// Why ministack cannot run here.
fn missing() -> Option<String> {
    let version = "import sys; sys.exit(sys.version_info < (3, 11))";
    let recent = is_there(Command::new("python3").args(["-c", version]));
    (!recent).then(|| "`python3` is older than 3.11".to_owned())
}
