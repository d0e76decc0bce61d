//! Tests the pages: the server's functions and modules with Node, and in a real browser the whole with a demo whose jobs
//! are done, and then `ecsrunner setup` with the fake GitHub's pages.

mod demo;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::npm::{self, Packages};
use crate::steps::Done;
use crate::tools::{cargo, is_there, succeed};
use demo::Demo;

const BROWSER: &str = "/usr/bin/chromium";
/// Needs a browser and a server.
const BROWSER_TEST: &str = "crates/web/page/test/page.test.mjs";
/// Needs a browser, and starts its own processes.
const SETUP_TEST: &str = "setup.test.mjs";
/// Need nothing but Node.
const NODE_TESTS: [&str; 2] =
    ["crates/web/page/test/functions.test.mjs", "crates/web/page/test/modules.test.mjs"];

/// Runs the tests of the page's functions and modules, then the test in a browser if there is one.
pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    if !is_there(Command::new("node").arg("--version")) {
        return Ok(Done::Skipped("`node` is not installed".to_owned()));
    }
    let mut node_tests = Command::new("node");
    node_tests.args(["--test", "--test-reporter=spec"]).args(NODE_TESTS).current_dir(root);
    succeed(&mut node_tests)?;
    let named = env::var_os("CHROMIUM").filter(|path| !path.is_empty());
    let browser = named.map_or_else(|| PathBuf::from(BROWSER), PathBuf::from);
    if !browser.exists() {
        let browser = browser.display();
        return Ok(Done::Skipped(format!(
            "only tests without a browser ran: {browser} does not exist; set CHROMIUM to another browser"
        )));
    }
    if let Some(why) = npm::missing() {
        return Ok(Done::Skipped(why));
    }
    let packages = Packages::install(root, "page")?;
    // Uses the features of the tests' build, so that nothing is recompiled.
    succeed(cargo(root).args(["build", "--workspace", "--all-features", "--tests", "--bins"]))?;
    let executable = env::current_exe()?.with_file_name("ecsrunner");
    let demo = Demo::start(&executable, &packages.dir().join("demo.log"))?;
    demo.refuse_a_job().context("the demo's server did not refuse the job")?;
    let mut test = packages.node("--test");
    test.arg("--test-reporter=spec")
        .arg(root.join(BROWSER_TEST))
        .env("NODE_PATH", packages.dir().join("node_modules"))
        .env("ECSRUNNER_LOCAL", demo.page())
        .env("CHROMIUM", &browser);
    succeed(&mut test)?;
    demo.end()?;
    let mut test = packages.node("--test");
    test.arg("--test-reporter=spec").arg(SETUP_TEST).env("ECSRUNNER", &executable).env("CHROMIUM", &browser);
    succeed(&mut test)?;
    Ok(Done::Passed)
}
