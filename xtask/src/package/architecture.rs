//! The architectures of a package, and the standard libraries that each needs.

use std::process::Command;

use anyhow::{Context, bail, ensure};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Architecture {
    X86_64,
    Arm64,
}

impl Architecture {
    pub(super) const ALL: [Self; 2] = [Self::Arm64, Self::X86_64];

    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let found = Self::ALL.into_iter().find(|it| [it.name(), it.label(), it.of_rust()].contains(&text));
        found.with_context(|| format!("`{text}` is no architecture: expected `x86_64` or `arm64`"))
    }

    /// Lambda's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// GitHub's name, as Terraform expects for the agent.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::X86_64 => "x64",
            Self::Arm64 => "arm64",
        }
    }

    const fn of_rust(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// The target that is linked with a C library of the system.
    pub(super) fn gnu(self) -> String {
        format!("{}-unknown-linux-gnu", self.of_rust())
    }

    /// The target that is linked statically.
    pub(super) fn musl(self) -> String {
        format!("{}-unknown-linux-musl", self.of_rust())
    }

    /// Whether this machine can start what is built for it.
    pub(super) fn is_here(self) -> bool {
        cfg!(target_os = "linux") && self.of_rust() == std::env::consts::ARCH
    }
}

/// Fails if the standard library of a target is missing, and names the one command that adds it.
pub(super) fn missing_targets(architectures: &[Architecture]) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    for architecture in architectures {
        for target in [architecture.gnu(), architecture.musl()] {
            if !is_installed(&target)? {
                missing.push((*architecture, target));
            }
        }
    }
    match advice(architectures, &missing) {
        None => Ok(()),
        Some(advice) => bail!(advice),
    }
}

fn is_installed(target: &str) -> anyhow::Result<bool> {
    let told = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output();
    let told = told.context("cannot start rustc")?;
    ensure!(told.status.success(), "rustc does not know the target {target}");
    let found = std::fs::read_dir(String::from_utf8_lossy(&told.stdout).trim());
    Ok(found.is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
    }))
}

fn advice(wanted: &[Architecture], missing: &[(Architecture, String)]) -> Option<String> {
    if missing.is_empty() {
        return None;
    }
    let targets: Vec<&str> = missing.iter().map(|(_, target)| target.as_str()).collect();
    let targets = targets.join(" ");
    let mut text = format!("no standard library for {targets}: run `rustup target add {targets}`");
    let complete = |it: &&Architecture| missing.iter().all(|(lacking, _)| lacking != *it);
    if let Some(here) = wanted.iter().find(complete) {
        let name = here.name();
        text.push_str(&format!("; or build for {name} alone, with `cargo xtask package --arch {name}`"));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_architecture_has_the_names_of_lambda_github_and_rust() {
        for (text, expected) in [
            ("arm64", Architecture::Arm64),
            ("aarch64", Architecture::Arm64),
            ("x64", Architecture::X86_64),
            ("x86_64", Architecture::X86_64),
        ] {
            assert_eq!(Architecture::parse(text).unwrap(), expected);
        }
        assert!(Architecture::parse("arm").is_err());
    }

    #[test]
    fn one_command_adds_every_target_that_is_missing() {
        let both = Architecture::ALL;
        assert_eq!(advice(&both, &[]), None);
        let arm = Architecture::Arm64;
        let missing = [(arm, arm.gnu()), (arm, arm.musl())];
        assert_eq!(
            advice(&both, &missing).unwrap(),
            "no standard library for aarch64-unknown-linux-gnu aarch64-unknown-linux-musl: run `rustup target add \
             aarch64-unknown-linux-gnu aarch64-unknown-linux-musl`; or build for x86_64 alone, with \
             `cargo xtask package --arch x86_64`"
        );
        let told = advice(&[arm], &missing).unwrap();
        assert!(!told.contains("--arch"), "nothing remains: {told}");
    }

    #[test]
    fn the_target_of_this_build_is_installed() {
        let here = Architecture::ALL.into_iter().find(|it| it.is_here()).unwrap();
        assert!(is_installed(&here.gnu()).unwrap());
        // It has no standard library at all.
        assert!(!is_installed("avr-none").unwrap());
    }
}
