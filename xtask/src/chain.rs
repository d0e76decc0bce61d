//! The whole chain: a webhook passes through the shipped template and
//! EventBridge to the real `bootstrap`, and on to DynamoDB, SQS, ECS and GitHub.
//!
//! ministack stands in for AWS. GitHub, ECS, CodeBuild and ECR are fakes, which the driver
//! (`crates/lambda/tests/chain`) starts in its own process. The scenes and
//! their checks belong there, not here.

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

/// Starts the stand-ins around the function, and then the driver.
pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    if let Some(why) = npm::missing().or_else(pypi::missing).or_else(archive::missing).or_else(missing) {
        return Ok(Done::Skipped(why));
    }
    let samples = npm::Packages::install(root, "samples")?.file(SAMPLES)?;
    let template = pypi::Packages::install(root, "template")?;
    let python = pypi::Packages::install(root, "chain")?;
    // The driver's build also builds the function's executable. It builds the
    // whole workspace, so that nothing is recompiled with other features.
    let mut build = cargo(root);
    build.args(["test", "--workspace", "--all-features", "--quiet", "--no-run"]);
    // Building the tests of their packages also builds the agent, the command line and the listener.
    succeed(build.args([
        "--test",
        "chain",
        "--test",
        "agent",
        "--test",
        "documented",
        "--test",
        "stand_ins",
    ]))?;
    let beside = |name: &str| Ok::<_, anyhow::Error>(env::current_exe()?.with_file_name(name));
    // Uses the development build, without optimisation or LTO, since only
    // its behaviour matters here.
    let archive = python.dir().join("bootstrap.zip");
    archive::make(root, &beside("bootstrap")?, &archive, 1)?;

    let logs = python.dir().join("logs");
    fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
    let ministack = Ministack::start(&python, &logs)?;
    let gateway = Gateway::start(&template, &ministack, &logs)?;
    let mut driver = cargo(root);
    driver
        .args(["test", "--workspace", "--all-features", "--quiet", "--test", "chain", "--", "--nocapture"])
        .env("ECSRUNNER_CHAIN_AWS_URL", ministack.url())
        .env("ECSRUNNER_CHAIN_AWS_SECRET", ministack::SECRET_ACCESS_KEY)
        .env("ECSRUNNER_CHAIN_WEBHOOK_URL", gateway.webhook_url())
        .env("ECSRUNNER_CHAIN_ARCHIVE", archive)
        .env("ECSRUNNER_CHAIN_AGENT", beside("ecsrunner-agent")?)
        .env("ECSRUNNER_CHAIN_COMMAND_LINE", beside("ecsrunner")?)
        .env("ECSRUNNER_CHAIN_LISTENER", beside("stand-in-listener")?)
        .env("ECSRUNNER_CHAIN_SAMPLES", samples)
        .env("ECSRUNNER_CHAIN_DIR", python.dir());
    succeed(&mut driver).with_context(|| format!("the chain's tests failed; see {}", logs.display()))?;
    Ok(Done::Passed)
}

/// Returns why ministack cannot run here, if so.
fn missing() -> Option<String> {
    let version = "import sys; sys.exit(sys.version_info < (3, 11))";
    let recent = is_there(Command::new("python3").args(["-c", version]));
    (!recent).then(|| "`python3` is older than 3.11".to_owned())
}
