//! The page in a real browser, over a demo whose jobs are done.

mod demo;

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::npm::{self, Packages};
use crate::steps::Done;
use crate::tools::{cargo, succeed};
use demo::Demo;

const BROWSER: &str = "/usr/bin/chromium";
const TEST: &str = "crates/local/page/test/page.test.mjs";

/// Runs the page's test where there is a browser.
pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    let named = env::var_os("CHROMIUM").filter(|path| !path.is_empty());
    let browser = named.map_or_else(|| PathBuf::from(BROWSER), PathBuf::from);
    if !browser.exists() {
        let browser = browser.display();
        return Ok(Done::Skipped(format!(
            "{browser} is not there; the variable CHROMIUM names another browser"
        )));
    }
    if let Some(why) = npm::missing() {
        return Ok(Done::Skipped(why));
    }
    let packages = Packages::install(root, "page")?;
    // What the tests were built with, so that nothing is compiled again with other features.
    succeed(cargo(root).args(["build", "--workspace", "--tests", "--bins"]))?;
    let executable = env::current_exe()?.with_file_name("ecsrunner");
    let demo = Demo::start(&executable, &packages.dir().join("demo.log"))?;
    demo.refuse_a_job().context("the demo's server refused no job")?;
    let mut test = packages.node("--test");
    test.arg("--test-reporter=spec")
        .arg(root.join(TEST))
        .env("NODE_PATH", packages.dir().join("node_modules"))
        .env("ECSRUNNER_LOCAL", demo.page())
        .env("CHROMIUM", browser);
    succeed(&mut test)?;
    demo.end()?;
    Ok(Done::Passed)
}
