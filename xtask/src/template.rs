//! Renders API Gateway's template and checks its contract.
//!
//! `xtask/template` renders the shipped file with GitHub's own samples and with
//! hostile webhooks, and answers as API Gateway does. The engine's own code
//! checks the rendered request, in `crates/core/tests/template.rs`. Generated
//! webhooks are checked in `xtask/template/properties.py`.

use std::path::Path;

use anyhow::Context;

use crate::npm;
use crate::pypi;
use crate::steps::Done;
use crate::tools::{cargo, succeed};

/// Renders the templates and checks the results.
pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    if let Some(why) = npm::missing().or_else(pypi::missing) {
        return Ok(Done::Skipped(why));
    }
    let samples = npm::Packages::install(root, "samples")?
        .file("@octokit/webhooks-examples/api.github.com/index.json")?;
    let python = pypi::Packages::install(root, "template")?;
    let rendered = python.dir().join("rendered.jsonl");
    succeed(python.run(&["render.py"]).args([&samples, &rendered]))?;
    // The whole workspace, so that nothing is recompiled with other features.
    let mut test = cargo(root);
    test.args([
        "test",
        "--workspace",
        "--all-features",
        "--quiet",
        "--test",
        "template",
        "--",
        "--nocapture",
    ]);
    succeed(test.env("ECSRUNNER_RENDERED_WEBHOOKS", &rendered))
        .context("a rendered webhook violates the contract")?;
    succeed(&mut python.run(&["-m", "unittest", "--quiet", "test_server"]))
        .context("an answer of API Gateway is wrong")?;
    succeed(&mut python.run(&["-m", "unittest", "--quiet", "test_properties"]))
        .context("the corpus does not find each fault that is planted in the template")?;
    succeed(&mut python.run(&["properties.py"]))
        .context("a webhook violates the contract: see above for how to repeat it")?;
    Ok(Done::Passed)
}
