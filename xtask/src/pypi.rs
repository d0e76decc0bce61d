//! Packages from PyPI, pinned with their hashes by a `requirements.txt` in `xtask/` each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::tools::{is_there, succeed};

/// Marks a complete installation: a copy of the requirements, written last.
const STAMP: &str = "installed";

/// Returns why PyPI packages cannot be installed, if so.
pub(crate) fn missing() -> Option<String> {
    if !is_there(Command::new("python3").arg("--version")) {
        return Some("`python3` is not installed".to_owned());
    }
    // Debian has it in a separate package, python3-venv.
    let venv = is_there(Command::new("python3").args(["-c", "import ensurepip, venv"]));
    (!venv).then(|| "`python3` has no venv module".to_owned())
}

/// Installed packages, in their own environment.
pub(crate) struct Packages {
    source: PathBuf,
    dir: PathBuf,
}

impl Packages {
    /// Installs the packages of `xtask/<name>/requirements.txt` below `target/`, once per version of it.
    pub(crate) fn install(root: &Path, name: &str) -> anyhow::Result<Self> {
        let packages =
            Self { source: root.join("xtask").join(name), dir: root.join("target/xtask").join(name) };
        fs::create_dir_all(&packages.dir)
            .with_context(|| format!("cannot make {}", packages.dir.display()))?;
        let file = packages.source.join("requirements.txt");
        let requirements = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        // An environment is broken if its Python was removed.
        let installed = fs::read(packages.dir.join(STAMP)).ok().as_ref() == Some(&requirements)
            && is_there(Command::new(packages.python()).arg("--version"));
        if !installed {
            let mut venv = Command::new("python3");
            succeed(venv.args(["-m", "venv", "--clear"]).arg(packages.dir.join("venv")))
                .context("python3 could not create an environment")?;
            let mut pip = Command::new(packages.python());
            pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--requirement"]);
            succeed(pip.arg(&file)).context("pip could not install its packages")?;
            fs::write(packages.dir.join(STAMP), &requirements)?;
        }
        Ok(packages)
    }

    /// The directory for results.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns a command that runs Python in the directory of the requirements and scripts.
    pub(crate) fn run(&self, arguments: &[&str]) -> Command {
        let mut python = Command::new(self.python());
        // Writes no byte code next to the sources.
        python.arg("-B").args(arguments).current_dir(&self.source);
        python
    }

    /// A program of one of the packages.
    pub(crate) fn program(&self, name: &str) -> Command {
        Command::new(self.dir.join("venv/bin").join(name))
    }

    fn python(&self) -> PathBuf {
        self.dir.join("venv/bin/python")
    }
}
