//! Checks the dependencies against `deny.toml`: bans with their exceptions, licences, sources.
//!
//! The file is cargo-deny's, which also runs if it is installed. The check here
//! needs no installation and adds one rule: `deny.toml` names every crate of
//! AWS's SDK.

mod graph;
mod licence;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::steps::{Done, say};
use crate::tools::{cargo, is_there, succeed};
use graph::Graph;

#[derive(Deserialize)]
struct Rules {
    graph: GraphRules,
    bans: Bans,
    licenses: Licences,
    sources: Sources,
}

#[derive(Deserialize)]
struct GraphRules {
    targets: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    /// Crates that may depend on it directly.
    #[serde(default)]
    wrappers: Vec<String>,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

/// Checks the dependencies of every target in `deny.toml`.
pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    let text = fs::read_to_string(root.join("deny.toml")).context("cannot read deny.toml")?;
    let rules: Rules = toml::from_str(&text).context("deny.toml")?;
    let mut faults = BTreeSet::new();
    let mut packages = 0;
    for target in &rules.graph.targets {
        let graph = Graph::of(root, target)?;
        packages = packages.max(graph.packages.len());
        judge(&graph, &rules, &mut faults);
    }
    ensure!(faults.is_empty(), "{}", faults.into_iter().collect::<Vec<_>>().join("\n  "));
    say(&format!("{packages} packages, {} targets", rules.graph.targets.len()));
    check_fuzz(root)?;
    if is_there(cargo(root).args(["deny", "--version"])) {
        succeed(cargo(root).args(["deny", "--all-features", "check", "bans", "licenses", "sources"]))?;
    } else {
        say("cargo-deny is not installed, so its own check is skipped");
    }
    Ok(Done::Passed)
}

/// Checks that the lock file of `fuzz/`, a workspace of its own, follows the dependencies of the crates that it fuzzes.
fn check_fuzz(root: &Path) -> anyhow::Result<()> {
    let mut metadata = cargo(root);
    metadata.args([
        "metadata",
        "--quiet",
        "--locked",
        "--format-version=1",
        "--manifest-path=fuzz/Cargo.toml",
    ]);
    succeed(metadata.stdout(Stdio::null())).context(
        "fuzz/Cargo.lock is out of date: `cargo metadata --manifest-path fuzz/Cargo.toml` updates it",
    )
}

/// Checks the locked dependencies against RustSec's advisories. Tests do not reach the internet, so the database has to
/// be there: `cargo deny fetch` brings it.
pub(crate) fn check_advisories(root: &Path) -> anyhow::Result<Done> {
    if !is_there(cargo(root).args(["deny", "--version"])) {
        let why = "cargo-deny is not installed: `cargo install --locked cargo-deny`";
        return Ok(Done::Skipped(why.to_owned()));
    }
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    let databases = home.map(|home| home.join("advisory-dbs"));
    if !databases.is_some_and(|dir| dir.read_dir().is_ok_and(|mut entries| entries.next().is_some())) {
        return Ok(Done::Skipped(
            "the advisory database is not there: `cargo deny fetch` brings it".to_owned(),
        ));
    }
    succeed(cargo(root).args(["deny", "--offline", "--all-features", "check", "advisories"]))?;
    Ok(Done::Passed)
}

fn judge(graph: &Graph, rules: &Rules, faults: &mut BTreeSet<String>) {
    for (id, package) in &graph.packages {
        let (name, version) = (&package.name, &package.version);
        let ban = rules.bans.deny.iter().find(|ban| ban.name == *name);
        if ban.is_none() && is_of_aws_sdk(name) {
            faults.insert(format!("{name} is of AWS's SDK, and deny.toml does not say who may depend on it"));
        }
        if let Some(ban) = ban {
            for parent in graph.parents(id).filter(|parent| !ban.wrappers.contains(parent)) {
                faults.insert(format!("{parent} depends on {name}, which is banned: {}", ban.reason));
            }
        }
        // Only packages from outside the workspace have a source.
        let Some(source) = &package.source else { continue };
        let registry = source.strip_prefix("registry+").unwrap_or(source);
        if !rules.sources.allow_registry.iter().any(|allowed| allowed == registry) {
            faults.insert(format!("{name} {version} comes from {source}"));
        }
        let licence = package.license.as_deref().unwrap_or_default();
        if !licence::allows(&rules.licenses.allow, licence) {
            faults.insert(format!("{name} {version} has the licence `{licence}`"));
        }
    }
}

/// Excludes aws-lc-rs, the cryptographic library.
fn is_of_aws_sdk(name: &str) -> bool {
    name.starts_with("aws-") && !name.starts_with("aws-lc-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use graph::Package;

    const RULES: &str = r#"
        graph.targets = []
        licenses.allow = ["MIT"]
        sources.allow-registry = ["https://crates"]
        bans.deny = [{ crate = "aws-sdk-x", wrappers = ["adapter"], reason = "one adapter" }]
    "#;

    fn package(name: &str, source: &str, license: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: "1".to_owned(),
            license: Some(license.to_owned()),
            source: Some(source.to_owned()).filter(|source| !source.is_empty()),
        }
    }

    fn faults(packages: &[Package], edges: &[(&str, &str)]) -> Vec<String> {
        let graph = Graph {
            packages: packages.iter().map(|package| (package.name.clone(), package.clone())).collect(),
            edges: edges.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect(),
        };
        let mut faults = BTreeSet::new();
        judge(&graph, &toml::from_str(RULES).unwrap(), &mut faults);
        faults.into_iter().collect()
    }

    #[test]
    fn only_the_adapter_may_depend_on_awss_sdk() {
        let packages = [
            package("core", "", ""),
            package("adapter", "", ""),
            package("aws-sdk-x", "registry+https://crates", "MIT"),
        ];
        assert!(faults(&packages, &[("adapter", "aws-sdk-x")]).is_empty());
        let told = faults(&packages, &[("core", "aws-sdk-x")]);
        assert_eq!(told, ["core depends on aws-sdk-x, which is banned: one adapter"]);
    }

    #[test]
    fn a_new_crate_of_awss_sdk_has_to_be_named_and_its_crypto_library_does_not() {
        let told = faults(&[package("aws-sdk-y", "registry+https://crates", "MIT")], &[]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(faults(&[package("aws-lc-rs", "registry+https://crates", "MIT")], &[]).is_empty());
    }

    #[test]
    fn other_sources_and_licences_are_told() {
        let packages = [
            package("a", "git+https://elsewhere", "MIT"),
            package("b", "registry+https://crates", "GPL-3.0"),
        ];
        assert_eq!(
            faults(&packages, &[]),
            ["a 1 comes from git+https://elsewhere", "b 1 has the licence `GPL-3.0`"]
        );
    }
}
