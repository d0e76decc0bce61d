//! GitHub's descriptions and the tools for them: `xtask/conformance/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::npm::Packages;
use crate::tools::succeed;

const DESCRIPTION: &str = "node_modules/@octokit/openapi/generated/api.github.com.json";
const WEBHOOKS: &str = "node_modules/@octokit/openapi-webhooks/generated/api.github.com.json";

pub(super) struct Tools(Packages);

impl Tools {
    pub(super) fn install(root: &Path) -> anyhow::Result<Self> {
        Packages::install(root, "conformance").map(Self)
    }

    pub(super) fn dir(&self) -> &Path {
        self.0.dir()
    }

    pub(super) fn node(&self, script: &str) -> Command {
        self.0.node(script)
    }

    /// GitHub's description of the operations in `operations.json`.
    pub(super) fn trimmed_description(&self) -> anyhow::Result<PathBuf> {
        let trimmed = self.dir().join("trimmed.json");
        succeed(self.node("trim.mjs").args([DESCRIPTION, "operations.json"]).arg(&trimmed))?;
        Ok(trimmed)
    }

    /// Validates each webhook that the driver stored against GitHub's schema.
    pub(super) fn validate_webhooks(&self, kept: &Path) -> anyhow::Result<()> {
        succeed(self.node("webhooks.mjs").arg(WEBHOOKS).arg(kept))
            .context("a webhook of the fake violates GitHub's schema")
    }
}
