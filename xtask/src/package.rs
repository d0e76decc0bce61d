//! `cargo xtask package`: builds the deployed parts and checks their limits.
//!
//! These builds run on Amazon Linux 2023 and newer. The image's agent is linked
//! statically with musl, so that it runs on any base.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::archive;
use crate::steps::say;
use crate::tools::{cargo, succeed};

const MB: f64 = 1024.0 * 1024.0;
/// The C library of `provided.al2023`.
const NEWEST_GLIBC: (u32, u32) = (2, 34);

struct Part {
    profile: &'static str,
    package: &'static str,
    executable: &'static str,
    /// Maximum size in MB: of the function's archive, of the agent's executable.
    most_mb: f64,
}

const FUNCTION: Part =
    Part { profile: "lambda", package: "ecsrunner-lambda", executable: "bootstrap", most_mb: 4.0 };
const AGENT: Part =
    Part { profile: "agent", package: "ecsrunner-agent", executable: "ecsrunner-agent", most_mb: 8.0 };

/// Builds and checks both parts, for the given target if there is one.
pub(crate) fn run(root: &Path, target: Option<&str>) -> anyhow::Result<()> {
    if let Some(why) = archive::missing() {
        bail!(why);
    }
    let arch =
        match target.map_or(std::env::consts::ARCH, |target| target.split('-').next().unwrap_or(target)) {
            // Lambda's name.
            "aarch64" => "arm64",
            other => other,
        };
    let out = root.join("dist");
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let archive = out.join(format!("control-plane-{arch}.zip"));
    archive::make(root, &FUNCTION.build(root, target)?, &archive, 9)?;
    FUNCTION.check(&archive)?;
    // GitHub's name of the architecture, as Terraform expects.
    let label = if arch == "x86_64" { "x64" } else { arch };
    let agent = out.join(format!("agent-{label}"));
    fs::copy(AGENT.build(root, target)?, &agent)?;
    AGENT.check(&agent)?;
    // The format of `sha256sum --check`.
    let mut sums = Command::new("sha256sum");
    for file in [&archive, &agent] {
        sums.arg(file.file_name().unwrap_or_default());
    }
    let sums = sums.current_dir(&out).output().context("cannot start sha256sum")?;
    ensure!(sums.status.success(), "sha256sum failed");
    Ok(fs::write(out.join(format!("SHA256SUMS-{arch}")), sums.stdout)?)
}

impl Part {
    fn build(&self, root: &Path, target: Option<&str>) -> anyhow::Result<PathBuf> {
        let mut build = cargo(root);
        build.args(["build", "--locked", "--profile", self.profile, "--package", self.package]);
        build.args(target.into_iter().flat_map(|target| ["--target", target]));
        succeed(&mut build)?;
        let dir = root.join("target").join(target.unwrap_or_default()).join(self.profile);
        let executable = dir.join(self.executable);
        let newest = newest_glibc(&executable)?;
        match newest {
            None => say(&format!("{}: static", self.executable)),
            Some((major, minor)) => {
                ensure!(
                    (major, minor) <= NEWEST_GLIBC,
                    "{} needs GLIBC {major}.{minor}: at most {}.{} is expected. Build it on a system with \
                     that version, such as a container of amazonlinux:2023",
                    executable.display(),
                    NEWEST_GLIBC.0,
                    NEWEST_GLIBC.1
                );
                say(&format!("{}: needs GLIBC {major}.{minor}", self.executable));
            }
        }
        Ok(executable)
    }

    fn check(&self, file: &Path) -> anyhow::Result<()> {
        let mb = fs::metadata(file)?.len() as f64 / MB;
        ensure!(mb <= self.most_mb, "{} has {mb:.1} MB: expected at most {}", file.display(), self.most_mb);
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
        let own = std::env::current_exe().unwrap();
        let is_musl = cfg!(target_env = "musl");
        assert_eq!(newest_glibc(&own).unwrap().is_none(), is_musl);
    }
}
