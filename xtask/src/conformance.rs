//! Checks our GitHub client and our fake GitHub against GitHub's own descriptions.
//!
//! prism runs between the two. It answers 422 to a request and 500 to a reply
//! that violates GitHub's OpenAPI description. The fake's webhooks are validated
//! against GitHub's JSON schemas. The calls belong in the driver,
//! `crates/github/tests/client/conformance.rs`, not here.

mod prism;
mod tools;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use anyhow::Context;

use self::prism::Prism;
use self::tools::Tools;
use crate::npm;
use crate::steps::Done;
use crate::tools::{cargo, succeed};

/// Does [`run`], or skips it if its tools cannot be installed.
///
/// # Errors
///
/// Those of [`run`].
pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    if let Some(why) = npm::missing() {
        return Ok(Done::Skipped(why));
    }
    run(root)?;
    Ok(Done::Passed)
}

/// Runs the check; needs Node with npm, and the registry for the first run.
///
/// # Errors
///
/// A tool cannot be installed, or a request, a reply or a webhook differs from GitHub's description.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let tools = Tools::install(root)?;
    let description = tools.trimmed_description()?;
    let webhooks = tools.dir().join("webhooks");
    empty(&webhooks)?;

    let fake = free_address()?;
    let prism = Prism::start(&tools, &description, fake)?;
    drive(root, &prism, fake, &webhooks)?;
    drop(prism);
    tools.validate_webhooks(&webhooks)
}

/// The driver starts the fake itself and calls it through prism.
fn drive(root: &Path, prism: &Prism, fake: SocketAddr, webhooks: &Path) -> anyhow::Result<()> {
    let mut driver = cargo(root);
    // The whole workspace, so that nothing is recompiled with other features.
    driver
        .args(["test", "--workspace", "--all-features", "--quiet", "--test", "client"])
        .args(["conformance::", "--", "--nocapture"])
        .env("ECSRUNNER_PRISM_URL", prism.url())
        .env("ECSRUNNER_FAKE_GITHUB_ADDR", fake.to_string())
        .env("ECSRUNNER_WEBHOOKS_DIR", webhooks);
    succeed(&mut driver).with_context(|| {
        format!("client or fake differs from GitHub; prism's log is {}", prism.log().display())
    })
}

fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?)
}

fn empty(dir: &Path) -> anyhow::Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))
}
