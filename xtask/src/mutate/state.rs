//! What decides the verdict on a mutation.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::Mutation;
use crate::tools::cargo;

/// Hashes of what decides a verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// Of the mutation, its file, and the sources that its tests are built of.
    pub(super) sources: u64,
    /// Of the tests.
    pub(super) tests: u64,
}

/// The packages of the workspace by name.
pub(super) struct Packages(BTreeMap<String, Package>);

struct Package {
    /// Where it is, with `/` at the end, relative to the root.
    folder: String,
    /// What it or its tests are built of, by name.
    needs: Vec<String>,
}

impl Packages {
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut command = cargo(root);
        command.args(["metadata", "--format-version", "1", "--no-deps"]);
        let told = command.output().context("cargo metadata")?;
        if !told.status.success() {
            bail!("cargo metadata: {}", String::from_utf8_lossy(&told.stderr));
        }
        let told: Metadata = serde_json::from_slice(&told.stdout).context("cargo metadata")?;
        let mut packages = BTreeMap::new();
        for package in told.packages {
            let folder = package.manifest_path.parent().unwrap_or(root).strip_prefix(root)?;
            let needs = package.dependencies.into_iter().filter(|need| need.path.is_some());
            packages.insert(
                package.name,
                Package {
                    folder: format!("{}/", folder.display()),
                    needs: needs.map(|need| need.name).collect(),
                },
            );
        }
        Ok(Self(packages))
    }

    /// Returns the folders of what these packages are built of, themselves among it.
    fn folders(&self, names: &[String]) -> anyhow::Result<BTreeSet<&str>> {
        let mut folders = BTreeSet::new();
        let mut open: Vec<&str> = names.iter().map(String::as_str).collect();
        while let Some(name) = open.pop() {
            let package =
                self.0.get(name).with_context(|| format!("the workspace has no package `{name}`"))?;
            if folders.insert(package.folder.as_str()) {
                open.extend(package.needs.iter().map(String::as_str));
            }
        }
        Ok(folders)
    }

    /// Returns the hashes of what decides the verdict on a mutation.
    pub(super) fn state(
        &self,
        root: &Path,
        sources: &[String],
        mutation: &Mutation,
    ) -> anyhow::Result<State> {
        let folders = self.folders(&mutation.tests)?;
        let (mut hasher, mut tests) = (DefaultHasher::new(), DefaultHasher::new());
        mutation.hash(&mut hasher);
        for name in sources {
            let is_built = folders.iter().any(|folder| name.starts_with(folder));
            if is_built || name == "Cargo.lock" || *name == mutation.file {
                let text = fs::read(root.join(name))?;
                let (code, of_tests) = without_tests(name, &text);
                (name, code).hash(&mut hasher);
                (name, of_tests).hash(&mut tests);
            }
        }
        Ok(State { sources: hasher.finish(), tests: tests.finish() })
    }
}

/// Splits a file into its code and its tests, which are at its end.
fn without_tests<'a>(name: &str, text: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    const TESTS: &[u8] = b"\n#[cfg(test)]\nmod tests {\n";
    if name.contains("/tests/") || name.ends_with("/tests.rs") {
        return (&[], text);
    }
    let code = text.windows(TESTS.len()).position(|window| window == TESTS).unwrap_or(text.len());
    text.split_at(code)
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    path: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::root;

    #[test]
    fn a_verdict_depends_on_what_its_tests_are_built_of() {
        let root = root().unwrap();
        let packages = Packages::read(&root).unwrap();
        let folders = |name: &str| packages.folders(&[name.to_owned()]);
        assert_eq!(folders("ecsrunner-core").unwrap(), BTreeSet::from(["crates/core/", "crates/skip/"]));
        let of_sim = folders("ecsrunner-sim").unwrap();
        assert!(
            ["crates/core/", "crates/engine/", "crates/sim/", "crates/world/"]
                .iter()
                .all(|f| of_sim.contains(f))
        );
        assert!(!of_sim.contains("crates/cli/"));
        assert!(folders("none").is_err());
    }

    #[test]
    fn tests_are_at_the_end_of_a_file_or_have_one_of_their_own() {
        let split = |name, text: &'static str| {
            let (code, tests) = without_tests(name, text.as_bytes());
            (code.len(), tests.len())
        };
        assert_eq!(split("crates/core/src/rules/class/tests.rs", "text"), (0, 4));
        assert_eq!(split("crates/sim/tests/engine/main.rs", "text"), (0, 4));
        assert_eq!(split("crates/core/src/rules/class.rs", "text"), (4, 0));
        assert_eq!(split("crates/core/src/rules/class.rs", "fn a() {}\n\n#[cfg(test)]\nmod tests;\n").1, 0);
        assert_eq!(
            split("crates/core/src/rules/class.rs", "fn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n").0,
            10
        );
    }
}
