//! Packages from npm, pinned by a lock file, in a directory of `xtask/` each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::tools::{is_there, succeed};

/// Marks a complete installation: a copy of the lock file, written last.
const STAMP: &str = "installed";

/// Returns why npm packages cannot be installed, if so.
pub(crate) fn missing() -> Option<String> {
    ["node", "npm"]
        .into_iter()
        .find(|tool| !is_there(Command::new(tool).arg("--version")))
        .map(|tool| format!("`{tool}` is not installed"))
}

/// Installed packages, together with the other files of their directory.
pub(crate) struct Packages {
    dir: PathBuf,
}

impl Packages {
    /// Installs the packages of `xtask/<name>/package.json` below `target/`, once per lock file.
    pub(crate) fn install(root: &Path, name: &str) -> anyhow::Result<Self> {
        let source = root.join("xtask").join(name);
        let dir = root.join("target/xtask").join(name);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        for entry in fs::read_dir(&source).with_context(|| format!("cannot read {}", source.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), dir.join(entry.file_name()))
                    .with_context(|| format!("cannot copy {}", entry.path().display()))?;
            }
        }
        let lock = fs::read(dir.join("package-lock.json"))?;
        if fs::read(dir.join(STAMP)).ok().as_ref() != Some(&lock) {
            let mut npm = Command::new("npm");
            npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
            succeed(npm.current_dir(&dir)).context("npm could not install its packages")?;
            fs::write(dir.join(STAMP), &lock)?;
        }
        Ok(Self { dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file of a package.
    pub(crate) fn file(&self, path: &str) -> anyhow::Result<PathBuf> {
        let file = self.dir.join("node_modules").join(path);
        ensure!(file.exists(), "{} does not exist", file.display());
        Ok(file)
    }

    /// Returns a command that runs a script with Node in the packages' directory.
    pub(crate) fn node(&self, script: impl AsRef<Path>) -> Command {
        let mut node = Command::new("node");
        node.arg(script.as_ref()).current_dir(&self.dir);
        node
    }
}
