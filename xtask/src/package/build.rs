//! Builds one part for one architecture, and checks it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::architecture::Architecture;
use crate::pypi::Packages;
use crate::steps::say;
use crate::tools::succeed;

const MB: f64 = 1024.0 * 1024.0;

/// The C library that a part is linked with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum CLibrary {
    /// Of the system, of this version or a newer one.
    Glibc((u32, u32)),
    /// Its own.
    Static,
}

pub(super) struct Part {
    profile: &'static str,
    package: &'static str,
    features: &'static [&'static str],
    executable: &'static str,
    library: CLibrary,
    /// Maximum size in MB: of the function's archive, of the others' executables.
    max_mb: f64,
}

pub(super) const FUNCTION: Part = Part {
    profile: "lambda",
    package: "ecsrunner-lambda",
    features: &[],
    executable: "bootstrap",
    // Of `provided.al2023`.
    library: CLibrary::Glibc((2, 34)),
    max_mb: 5.0,
};
pub(super) const AGENT: Part = Part {
    profile: "agent",
    package: "ecsrunner-agent",
    features: &[],
    executable: "ecsrunner-agent",
    library: CLibrary::Static,
    max_mb: 8.0,
};
pub(super) const COMMAND_LINE: Part = Part {
    profile: "release",
    package: "ecsrunner",
    features: &["aws"],
    executable: "ecsrunner",
    // Of RHEL 8 and Debian 10.
    library: CLibrary::Glibc((2, 28)),
    max_mb: 64.0,
};

/// zig, and the cargo command that links with it.
pub(super) struct Linker<'a> {
    pub(super) root: &'a Path,
    pub(super) python: &'a Packages,
}

impl Linker<'_> {
    /// Returns the executable.
    pub(super) fn build(&self, part: &Part, of: Architecture) -> anyhow::Result<PathBuf> {
        let (directory, target) = match part.library {
            CLibrary::Glibc((major, minor)) => (of.gnu(), format!("{}.{major}.{minor}", of.gnu())),
            CLibrary::Static => (of.musl(), of.musl()),
        };
        say(&format!("{} for {target}", part.executable));
        let mut build = self.python.program("cargo-zigbuild");
        build.args(["zigbuild", "--locked", "--profile", part.profile, "--package", part.package]);
        build.args(part.features.iter().flat_map(|feature| ["--features", feature]));
        build.args(["--target", &target]).current_dir(self.root);
        build.env("PATH", self.path()?).env("ZIG_GLOBAL_CACHE_DIR", self.python.dir().join("zig"));
        succeed(&mut build)?;
        let directory = self.root.join("target").join(directory).join(part.profile);
        let executable = directory.join(part.executable);
        part.check_library(&executable)?;
        Ok(executable)
    }

    /// The path on which `cargo-zigbuild` finds zig's own Python.
    fn path(&self) -> anyhow::Result<OsString> {
        let own = self.python.program("");
        let before = env::var_os("PATH").unwrap_or_default();
        let all = [PathBuf::from(own.get_program())].into_iter().chain(env::split_paths(&before));
        Ok(env::join_paths(all)?)
    }
}

impl Part {
    fn check_library(&self, executable: &Path) -> anyhow::Result<()> {
        let needed = newest_glibc(executable)?;
        match (self.library, needed) {
            (CLibrary::Static, None) => say(&format!("{}: static", self.executable)),
            (CLibrary::Glibc(newest), Some(needed)) if needed <= newest => {
                say(&format!("{}: needs GLIBC {}.{}", self.executable, needed.0, needed.1));
            }
            (library, needed) => {
                anyhow::bail!("{} needs {needed:?}: {library:?} is expected", executable.display());
            }
        }
        Ok(())
    }

    pub(super) fn check_size(&self, file: &Path) -> anyhow::Result<()> {
        let mb = fs::metadata(file)?.len() as f64 / MB;
        ensure!(mb <= self.max_mb, "{} has {mb:.1} MB: expected at most {}", file.display(), self.max_mb);
        say(&format!("{}: {mb:.1} MB", file.display()));
        Ok(())
    }
}

/// Returns the newest version of the C library that an executable needs; `None` if it is static.
pub(crate) fn newest_glibc(executable: &Path) -> anyhow::Result<Option<(u32, u32)>> {
    let read = Command::new("readelf").args(["--version-info", "--wide"]).arg(executable).output();
    let read = read.context("cannot start readelf, which is part of binutils")?;
    ensure!(read.status.success(), "readelf cannot read {}", executable.display());
    Ok(newest_in(&String::from_utf8_lossy(&read.stdout)))
}

fn newest_in(versions: &str) -> Option<(u32, u32)> {
    // Weak versions may be missing.
    let needed = versions.lines().filter(|line| !line.contains("Flags: WEAK"));
    let asked = needed.filter_map(|line| line.split_once("Name: GLIBC_")).filter_map(|(_, rest)| {
        let text = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
        let mut numbers = text.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    asked.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_asked_for_counts_and_numbers_are_no_text() {
        let told = "  000:   0 (*local*)   2 (GLIBC_2.2.5)  3 (GLIBC_2.99)\n  0x0010:   Name: GLIBC_2.34  Flags: none";
        assert_eq!(newest_in(told), Some((2, 34)));
        let weak = format!("{told}\n  0x0020:   Name: GLIBC_2.39  Flags: WEAK");
        assert_eq!(newest_in(&weak), Some((2, 34)), "weak versions may be missing");
        assert_eq!(newest_in("No version information found in this file."), None);
    }

    #[test]
    fn what_runs_this_is_linked_to_a_c_library() {
        let own = env::current_exe().unwrap();
        let is_musl = cfg!(target_env = "musl");
        assert_eq!(newest_glibc(&own).unwrap().is_none(), is_musl);
    }
}
