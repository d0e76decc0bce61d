//! The tools from npm, pinned by the lock file in `xtask/conformance/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::succeed;

const DESCRIPTION: &str = "node_modules/@octokit/openapi/generated/api.github.com.json";
const WEBHOOKS: &str = "node_modules/@octokit/openapi-webhooks/generated/api.github.com.json";
/// All that npm and our scripts need; copied, so that nothing is installed outside `target/`.
const FILES: [&str; 6] =
    [".npmrc", "package.json", "package-lock.json", "operations.json", "trim.mjs", "webhooks.mjs"];
/// What is installed: a copy of the lock file, written last.
const STAMP: &str = "installed";

/// The installed tools.
pub(super) struct Tools {
    dir: PathBuf,
}

impl Tools {
    /// Installs below `target/`, once for each lock file.
    pub(super) fn install(root: &Path) -> anyhow::Result<Self> {
        let source = root.join("xtask/conformance");
        let dir = root.join("target/conformance");
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        for file in FILES {
            let from = source.join(file);
            fs::copy(&from, dir.join(file)).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        let lock = fs::read(dir.join("package-lock.json"))?;
        if fs::read(dir.join(STAMP)).ok().as_ref() != Some(&lock) {
            let mut npm = Command::new("npm");
            npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
            succeed(npm.current_dir(&dir))
                .context("the tools cannot be installed; Node and npm are needed")?;
            fs::write(dir.join(STAMP), &lock)?;
        }
        Ok(Self { dir })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Node with a script, in the directory of the tools.
    pub(super) fn node(&self, script: &str) -> Command {
        let mut node = Command::new("node");
        node.arg(script).current_dir(&self.dir);
        node
    }

    /// GitHub's description of the operations in `operations.json`.
    pub(super) fn trimmed_description(&self) -> anyhow::Result<PathBuf> {
        let trimmed = self.dir.join("trimmed.json");
        succeed(self.node("trim.mjs").args([DESCRIPTION, "operations.json"]).arg(&trimmed))?;
        Ok(trimmed)
    }

    /// Holds each webhook that the driver kept to GitHub's schema for it.
    pub(super) fn validate_webhooks(&self, kept: &Path) -> anyhow::Result<()> {
        succeed(self.node("webhooks.mjs").arg(WEBHOOKS).arg(kept))
            .context("a webhook of the fake is not as GitHub describes it")
    }
}
