//! The dependency graph, as cargo resolves it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::tools::cargo;

/// The packages that one target needs, tests and build scripts included.
pub(super) struct Graph {
    /// By name and version.
    pub(super) packages: BTreeMap<String, Package>,
    /// From a package to its dependency.
    pub(super) edges: BTreeSet<(String, String)>,
}

#[derive(Clone, Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) license: Option<String>,
    pub(super) source: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

impl Graph {
    pub(super) fn of(root: &Path, target: &str) -> anyhow::Result<Self> {
        // `cargo metadata` also has edges of disabled features; `cargo tree` does not.
        let mut tree = cargo(root);
        tree.args(["tree", "--workspace", "--all-features", "--locked", "--target", target]);
        tree.args(["--edges", "normal,build,dev", "--prefix", "depth", "--format", " {p}"]);
        let edges = edges_of(&output(&mut tree)?);
        let mut metadata = cargo(root);
        metadata.args(["metadata", "--format-version=1", "--all-features", "--locked"]);
        metadata.args(["--filter-platform", target]);
        let metadata: Metadata = serde_json::from_str(&output(&mut metadata)?)
            .context("cannot read the output of cargo metadata")?;
        let used: BTreeSet<&String> = edges.iter().flat_map(|(from, on)| [from, on]).collect();
        let packages = metadata
            .packages
            .into_iter()
            .map(|package| (format!("{} v{}", package.name, package.version), package))
            .filter(|(id, _)| used.contains(id))
            .collect();
        Ok(Self { packages, edges })
    }

    /// Returns the names of the packages that depend on a package directly.
    pub(super) fn parents(&self, id: &str) -> impl Iterator<Item = &String> {
        let edges = self.edges.iter().filter(move |(_, on)| on == id);
        edges.filter_map(|(from, _)| self.packages.get(from)).map(|package| &package.name)
    }
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().context("cannot start cargo")?;
    ensure!(output.status.success(), "cargo: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Reads lines of `<depth> <name> v<version> …`; the dependencies of a package are listed once.
fn edges_of(tree: &str) -> BTreeSet<(String, String)> {
    let mut above: Vec<String> = Vec::new();
    let mut edges = BTreeSet::new();
    for line in tree.lines() {
        let mut words = line.split(' ');
        let (Some(depth), Some(name), Some(version)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let Ok(depth) = depth.parse() else { continue };
        above.truncate(depth);
        let id = format!("{name} {version}");
        if let Some(parent) = above.last() {
            edges.insert((parent.clone(), id.clone()));
        }
        above.push(id);
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_depends_on_the_nearest_one_above_that_is_less_deep() {
        let tree = "0 a v1 (/a)\n1 b v1\n2 c v1\n1 c v1 (*)\n\n0 d v1 (/d)\n1 b v1 (*)\n";
        let edges: Vec<String> = edges_of(tree).iter().map(|(from, on)| format!("{from} → {on}")).collect();
        assert_eq!(edges, ["a v1 → b v1", "a v1 → c v1", "b v1 → c v1", "d v1 → b v1"]);
    }
}
