//! `cargo xtask mutate`: removes protections of the code one at a time, and shows which of them no test misses.
//!
//! Each mutation is named in `xtask/mutations` and changes one place. It is tried on a copy of the sources below
//! `target/mutate`, so the work tree is not touched. Results are kept there: a run that was stopped goes on. A mutation is
//! tried again if a package changed that its tests are built of; one that was caught, only if more than tests changed.

mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use self::state::{Packages, State};
use crate::steps::say;
use crate::tools::{cargo, succeed};

/// Its tests take six times longer than their build if they are not optimized.
const SIMULATOR: &str = "ecsrunner-sim";

#[derive(Deserialize)]
struct File {
    mutation: Vec<Mutation>,
}

/// One protection, and how it is taken away.
#[derive(Deserialize, Hash)]
#[serde(deny_unknown_fields)]
struct Mutation {
    /// What the changed code does wrong.
    name: String,
    file: String,
    from: String,
    to: String,
    /// Packages whose tests are to notice, the fastest first.
    tests: Vec<String>,
}

/// The result of one mutation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// The test that failed first.
    Caught(String),
    Survived,
    /// The changed code is no program.
    DoesNotCompile,
}

#[derive(Serialize, Deserialize)]
struct Tried {
    state: State,
    verdict: Verdict,
}

impl Tried {
    /// Whether its verdict holds in this state.
    fn is_valid(&self, state: State) -> bool {
        self.state == state
            || (self.state.sources == state.sources && matches!(self.verdict, Verdict::Caught(_)))
    }
}

/// Where the copy is, and what was found out.
struct Trials {
    tree: PathBuf,
    build: PathBuf,
    results: PathBuf,
    tried: BTreeMap<String, Tried>,
    /// Packages whose tests pass with nothing changed.
    sound: BTreeSet<String>,
}

/// Tries each mutation whose name or file contains `only`, or all. Fails if one survives.
pub(crate) fn run(root: &Path, only: Option<&str>) -> anyhow::Result<ExitCode> {
    let mutations = read(root)?;
    let sources = sources(root)?;
    let mut trials = Trials::begin(root, &sources)?;
    let packages = Packages::read(root)?;
    let wanted = mutations.iter().filter(|mutation| only.is_none_or(|only| mutation.is_named(only)));
    let (mut survived, mut count) = (Vec::new(), 0);
    for mutation in wanted {
        count += 1;
        let began = Instant::now();
        let verdict = trials.verdict(mutation, packages.state(&trials.tree, &sources, mutation)?)?;
        let secs = began.elapsed().as_secs();
        match &verdict {
            Verdict::Caught(test) => say(&format!("caught    {secs:>4} s  {}: {test}", mutation.name)),
            other => {
                say(&format!("{:<9} {secs:>4} s  {}", format!("{other:?}"), mutation.name));
                survived.push(mutation.name.as_str());
            }
        }
    }
    say(&format!("\n{count} mutations, {} not caught", survived.len()));
    survived.iter().for_each(|name| say(&format!("  {name}")));
    Ok(if survived.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads the mutations of all files in `xtask/mutations`, in order.
fn read(root: &Path) -> anyhow::Result<Vec<Mutation>> {
    let folder = root.join("xtask/mutations");
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    paths.sort();
    let mut mutations = Vec::new();
    for path in paths {
        let file: File =
            toml::from_str(&fs::read_to_string(&path)?).with_context(|| path.display().to_string())?;
        mutations.extend(file.mutation);
    }
    Ok(mutations)
}

impl Mutation {
    fn is_named(&self, text: &str) -> bool {
        self.name.contains(text) || self.file.contains(text)
    }

    /// Returns the changed text of its file.
    fn apply(&self, text: &str) -> anyhow::Result<String> {
        match text.matches(self.from.as_str()).count() {
            1 => Ok(text.replacen(self.from.as_str(), &self.to, 1)),
            count => bail!(
                "mutation `{}`: `{}` occurs {count} times in {}: once is expected",
                self.name,
                self.from,
                self.file
            ),
        }
    }
}

impl Trials {
    /// Brings the copy up to date. Files that are the same keep their times, so that little is built again.
    fn begin(root: &Path, sources: &[String]) -> anyhow::Result<Self> {
        let folder = root.join("target/mutate");
        let (tree, build, results) = (folder.join("tree"), folder.join("build"), folder.join("results.json"));
        for name in sources {
            let (from, to) = (root.join(name), tree.join(name));
            let text = fs::read(&from).with_context(|| from.display().to_string())?;
            if fs::read(&to).ok().as_ref() != Some(&text) {
                fs::create_dir_all(to.parent().unwrap_or(&tree))?;
                fs::copy(&from, &to)?;
            }
        }
        let kept: BTreeSet<PathBuf> = sources.iter().map(|name| tree.join(name)).collect();
        remove_others(&tree, &kept)?;
        let tried =
            fs::read(&results).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Ok(Self { tree, build, results, tried, sound: BTreeSet::new() })
    }

    fn verdict(&mut self, mutation: &Mutation, state: State) -> anyhow::Result<Verdict> {
        if let Some(known) = self.tried.get(&mutation.name).filter(|tried| tried.is_valid(state)) {
            return Ok(known.verdict.clone());
        }
        self.check_unchanged(&mutation.tests)?;
        let path = self.tree.join(&mutation.file);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        fs::write(&path, mutation.apply(&text)?)?;
        let verdict = self.test(&mutation.tests);
        fs::write(&path, text)?;
        let verdict = verdict?;
        self.tried.insert(mutation.name.clone(), Tried { state, verdict: verdict.clone() });
        fs::write(&self.results, serde_json::to_vec_pretty(&self.tried)?)?;
        Ok(verdict)
    }

    /// Fails unless the tests of the packages pass with nothing changed: otherwise a verdict would mean nothing.
    fn check_unchanged(&mut self, packages: &[String]) -> anyhow::Result<()> {
        for package in packages {
            if !self.sound.contains(package) {
                let tested = self.nextest(package).output()?;
                if !tested.status.success() {
                    let words = String::from_utf8_lossy(&tested.stderr);
                    bail!("the tests of {package} fail with nothing changed:\n{words}");
                }
                self.sound.insert(package.clone());
            }
        }
        Ok(())
    }

    /// Runs the tests of the packages until one fails.
    fn test(&self, packages: &[String]) -> anyhow::Result<Verdict> {
        for package in packages {
            let compiled = self.nextest(package).arg("--no-run").output()?;
            if !compiled.status.success() {
                return Ok(Verdict::DoesNotCompile);
            }
            let tested = self.nextest(package).args(["--fail-fast", "--failure-output", "never"]).output()?;
            if !tested.status.success() {
                let words = String::from_utf8_lossy(&tested.stderr).into_owned();
                return Ok(Verdict::Caught(failed(&words).unwrap_or_else(|| package.clone())));
            }
        }
        Ok(Verdict::Survived)
    }

    fn nextest(&self, package: &str) -> Command {
        let mut command = cargo(&self.tree);
        command.args(["nextest", "run", "--package", package]).env("CARGO_TARGET_DIR", &self.build);
        if package == SIMULATOR {
            command.args(["--cargo-profile", "simulate"]);
        }
        command
    }
}

/// Removes all files below the folder that are not kept.
fn remove_others(folder: &Path, kept: &BTreeSet<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, kept)?;
        } else if !kept.contains(&path) {
            fs::remove_file(&path).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// Returns the first test that nextest reports as failed.
fn failed(words: &str) -> Option<String> {
    let line = words.lines().find(|line| ["FAIL [", "TIMEOUT ["].iter().any(|mark| line.contains(mark)))?;
    Some(line.split_whitespace().last()?.to_owned())
}

/// Returns the files that git knows or would add.
fn sources(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let listed = git.output().context("git ls-files")?;
    if !listed.status.success() {
        succeed(&mut git)?;
    }
    let names = String::from_utf8(listed.stdout)?.lines().map(str::to_owned).collect::<Vec<_>>();
    Ok(names.into_iter().filter(|name| root.join(name).is_file()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::root;

    #[test]
    fn each_mutation_fits_the_code_as_it_is() {
        let root = root().unwrap();
        let mutations = read(&root).unwrap();
        assert!(mutations.len() >= 60, "{} mutations", mutations.len());
        let mut names = BTreeSet::new();
        for mutation in &mutations {
            assert!(names.insert(&mutation.name), "`{}` is there twice", mutation.name);
            let text = fs::read_to_string(root.join(&mutation.file)).unwrap();
            let changed = mutation.apply(&text).unwrap_or_else(|error| panic!("{error}"));
            assert_ne!(changed, text, "`{}` changes nothing", mutation.name);
            assert!(!mutation.tests.is_empty(), "`{}` names no tests", mutation.name);
        }
    }

    #[test]
    fn what_was_caught_is_tried_again_if_more_than_tests_changed() {
        let state = |sources, tests| State { sources, tests };
        let caught = Tried { state: state(1, 1), verdict: Verdict::Caught("a test".to_owned()) };
        assert!(caught.is_valid(state(1, 2)));
        assert!(!caught.is_valid(state(2, 1)));
        let survived = Tried { state: state(1, 1), verdict: Verdict::Survived };
        assert!(survived.is_valid(state(1, 1)));
        assert!(!survived.is_valid(state(1, 2)));
    }

    #[test]
    fn a_mutation_that_fits_twice_or_not_at_all_is_a_mistake() {
        let mutation = Mutation {
            name: "name".to_owned(),
            file: "file".to_owned(),
            from: "one".to_owned(),
            to: "two".to_owned(),
            tests: Vec::new(),
        };
        assert_eq!(mutation.apply("one three").unwrap(), "two three");
        assert!(mutation.apply("one one").is_err());
        assert!(mutation.apply("three").is_err());
    }

    #[test]
    fn the_first_failed_test_is_named() {
        let words = "PASS [ 0.1s] (1/2) core a::b\n        FAIL [   0.2s] (2/2) core c::d\n";
        assert_eq!(failed(words).as_deref(), Some("c::d"));
        assert_eq!(failed("all well"), None);
    }
}
