//! The template that API Gateway renders, rendered and held to its contract.
//!
//! `xtask/template` renders the shipped file with GitHub's own samples and with
//! hostile webhooks, and answers as API Gateway does; what the request has to be
//! is judged by the engine's own code, in `crates/core/tests/template.rs`.

use std::path::Path;

use anyhow::Context;

use crate::npm;
use crate::pypi;
use crate::steps::Done;
use crate::tools::{cargo, succeed};

/// Renders the templates and checks what comes out.
pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    if let Some(why) = npm::missing().or_else(pypi::missing) {
        return Ok(Done::Skipped(why));
    }
    let samples = npm::Packages::install(root, "samples")?
        .file("@octokit/webhooks-examples/api.github.com/index.json")?;
    let python = pypi::Packages::install(root, "template")?;
    let rendered = python.dir().join("rendered.jsonl");
    succeed(python.run(&["render.py"]).args([&samples, &rendered]))?;
    // The whole workspace, so that nothing is compiled again with other features.
    let mut test = cargo(root);
    test.args(["test", "--workspace", "--quiet", "--test", "template", "--", "--nocapture"]);
    succeed(test.env("ECSRUNNER_RENDERED_WEBHOOKS", &rendered))
        .context("a webhook is not rendered as the contract says")?;
    succeed(&mut python.run(&["-m", "unittest", "--quiet", "test_server"]))
        .context("API Gateway's answer is not what it should be")?;
    Ok(Done::Passed)
}
