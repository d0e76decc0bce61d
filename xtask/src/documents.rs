//! Checks the documents against the tree: links have a target, cited tests
//! exist, the code map has every crate with its dependencies, and READMEs
//! name the tools that their commands need.
//!
//! Lists that come from the code (reasons, variables, keys) are checked by
//! `crates/core/tests/docs.rs` and `crates/cli/tests/documented.rs`.

mod citations;
mod requirements;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::steps::{Done, say};
use citations::Tests;

/// The limit of the README's lines.
const README_LINES: usize = 150;

struct Document {
    path: PathBuf,
    text: String,
}

pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    let documents = read(root)?;
    let tests = Tests::find(root)?;
    let mut faults = Vec::new();
    let mut cited = 0;
    for document in &documents {
        let file = document.path.strip_prefix(root)?.display().to_string();
        faults
            .extend(dead_links(document).map(|link| format!("{file}: the target of {link} does not exist")));
        for (name, test) in tests.citations(&document.text) {
            cited += 1;
            faults.extend(tests.wrong(name, test).map(|wrong| format!("{file}: {wrong}")));
        }
    }
    faults.extend(unmapped(root)?);
    faults.extend(requirements::unchecked(root)?);
    let map = fs::read_to_string(root.join("ARCHITECTURE.md")).context("cannot read ARCHITECTURE.md")?;
    for (dir, told) in mapped_dependencies(&map) {
        let manifest = fs::read_to_string(root.join(dir).join("Cargo.toml")).unwrap_or_default();
        let real = dependencies(&manifest);
        if told != real {
            faults.push(format!("ARCHITECTURE.md: {dir} depends on {real:?}, and not on {told:?}"));
        }
    }
    let lines = fs::read_to_string(root.join("README.md"))?.lines().count();
    if lines >= README_LINES {
        faults.push(format!("README.md has {lines} lines; fewer than {README_LINES} are expected"));
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n  "));
    say(&format!("{} documents cite {cited} of {} tests", documents.len(), tests.len()));
    Ok(Done::Passed)
}

fn read(root: &Path) -> anyhow::Result<Vec<Document>> {
    let mut documents = Vec::new();
    for dir in
        [root.to_owned(), root.join("docs"), root.join("docs/adr"), root.join("bench"), root.join("fixtures")]
    {
        if !dir.exists() {
            continue;
        }
        for path in entries(&dir)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "md")) {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            documents.push(Document { path, text });
        }
    }
    Ok(documents)
}

/// Returns the paths in a directory, sorted.
pub(crate) fn entries(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let read = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut paths = read.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Finds `[text](target)` whose target is a file of the project that does not exist.
fn dead_links(document: &Document) -> impl Iterator<Item = &str> {
    let dir = document.path.parent().unwrap_or(Path::new("."));
    document
        .text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target)
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .filter(move |target| !dir.join(target.split('#').next().unwrap_or(target)).exists())
}

/// Finds code directories that ARCHITECTURE.md does not list, and listed ones that do not exist.
fn unmapped(root: &Path) -> anyhow::Result<Vec<String>> {
    let map = fs::read_to_string(root.join("ARCHITECTURE.md")).context("cannot read ARCHITECTURE.md")?;
    let mut faults = Vec::new();
    for dir in entries(&root.join("crates"))? {
        let name = format!("crates/{}", dir.file_name().unwrap_or_default().to_string_lossy());
        if !map.contains(&format!("`{name}`")) {
            faults.push(format!("ARCHITECTURE.md does not map {name}"));
        }
    }
    let paths = map.split('`').skip(1).step_by(2);
    for path in paths.filter(|path| path.contains('/') && !path.contains(['*', ' ', '<', ':'])) {
        if !root.join(path).exists() {
            faults.push(format!("ARCHITECTURE.md maps {path}, which does not exist"));
        }
    }
    Ok(faults)
}

/// The rows of the code map: a directory, and the crates that it depends on.
fn mapped_dependencies(map: &str) -> impl Iterator<Item = (&str, BTreeSet<&str>)> {
    map.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.trim_end_matches('|').split('|');
        let dir = cells.next()?.trim().strip_suffix('`')?;
        let last = cells.next_back()?;
        Some((dir, last.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()))
    })
}

/// Our own crates among the dependencies of a manifest, also of one system alone; those for tests left out.
fn dependencies(manifest: &str) -> BTreeSet<&str> {
    let sections = manifest.split("\n[").filter_map(|section| section.split_once("]\n"));
    let ours = sections.filter(|(name, _)| {
        *name == "dependencies" || name.starts_with("target.") && name.ends_with(".dependencies")
    });
    ours.flat_map(|(_, lines)| lines.lines())
        .filter_map(|line| line.strip_prefix("ecsrunner-"))
        .map(|rest| rest.split(['.', ' ', '=']).next().unwrap_or(rest))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_code_map_is_compared_with_the_manifest() {
        let map = "| where | what | depends on |\n| `crates/x` | this, and `that` | core, aws |\n";
        let told: Vec<_> = mapped_dependencies(map).collect();
        assert_eq!(told, [("crates/x", BTreeSet::from(["aws", "core"]))]);
        let manifest = "[lints]\n\n[dependencies]\necsrunner-aws = { workspace = true }\nserde.workspace = true\n\n\
                        [target.'cfg(unix)'.dependencies]\necsrunner-core.workspace = true\n\n\
                        [dev-dependencies]\necsrunner-sim.workspace = true\n";
        assert_eq!(dependencies(manifest), told[0].1);
    }

    #[test]
    fn a_link_to_what_is_not_there_is_dead() {
        let text = "[here](Cargo.toml#x) [there](no.md) [far](https://example.com) [below](#x)".to_owned();
        let document = Document { path: Path::new(env!("CARGO_MANIFEST_DIR")).join("X.md"), text };
        assert_eq!(dead_links(&document).collect::<Vec<_>>(), ["no.md"]);
    }
}
