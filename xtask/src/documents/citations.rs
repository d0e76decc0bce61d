//! Checks that tests exist that documents cite as `` `crate: path::to::test` ``, or `` `terraform: module::run` ``.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context;

use super::entries;

/// Crates outside of `crates`.
const OTHER_CRATES: [&str; 3] = ["bench", "fixtures", "xtask"];
/// In place of a crate: the `run` blocks of Terraform's tests.
const TERRAFORM: &str = "terraform";

/// The tests of each crate, by their modules. A file directly below `tests` counts as a module.
pub(super) struct Tests(BTreeMap<String, BTreeSet<String>>);

impl Tests {
    /// Finds all tests of the project.
    pub(super) fn find(root: &Path) -> anyhow::Result<Self> {
        let mut tests = BTreeMap::new();
        let others = OTHER_CRATES.map(|name| root.join(name));
        for dir in entries(&root.join("crates"))?.into_iter().chain(others) {
            let mut found = BTreeSet::new();
            for part in ["src", "tests"] {
                below(&dir.join(part), &mut Vec::new(), part == "tests", &mut found)?;
            }
            tests.insert(name_of(&dir), found);
        }
        let mut runs = BTreeSet::new();
        terraform(&root.join("terraform"), "root", &mut runs)?;
        for module in entries(&root.join("terraform/modules"))? {
            terraform(&module, &name_of(&module), &mut runs)?;
        }
        tests.insert(TERRAFORM.to_owned(), runs);
        Ok(Self(tests))
    }

    pub(super) fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// Returns the tests that a text cites, as crate and path.
    pub(super) fn citations<'a>(&self, text: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let quoted = text.split('`').skip(1).step_by(2);
        quoted.filter_map(|words| words.split_once(": ")).filter(|(name, _)| self.0.contains_key(*name))
    }

    /// Returns what is wrong with a citation, if something is.
    pub(super) fn wrong(&self, name: &str, path: &str) -> Option<String> {
        let tests = self.0.get(name)?;
        if tests.contains(path) {
            return None;
        }
        let elsewhere = tests.iter().find(|test| last(test) == last(path));
        Some(match elsewhere {
            Some(test) => format!("the test `{name}: {path}` does not exist: `{name}: {test}` does"),
            None => format!("the test `{name}: {path}` does not exist"),
        })
    }
}

fn last(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Finds the tests in a directory of sources. `modules` is its path. A directory directly below `tests` is an executable, and
/// not a module.
fn below(
    dir: &Path,
    modules: &mut Vec<String>,
    has_executables: bool,
    found: &mut BTreeSet<String>,
) -> anyhow::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    for path in entries(dir)? {
        let name = name_of(&path);
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        let is_executable = has_executables && path.is_dir();
        let is_module = !is_executable && !["lib", "main"].contains(&name.as_str());
        if is_module {
            modules.push(name);
        }
        if path.is_dir() {
            below(&path, modules, false, found)?;
        } else if is_rust {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            found.extend(tests_in(&text).into_iter().map(|test| {
                modules.iter().map(String::as_str).chain([test.as_str()]).collect::<Vec<_>>().join("::")
            }));
        }
        if is_module {
            modules.pop();
        }
    }
    Ok(())
}

/// Finds functions with a test attribute, with the modules of the file that they are in, and the parts of the chain.
fn tests_in(text: &str) -> Vec<String> {
    let (mut modules, mut tests): (Vec<&str>, _) = (Vec::new(), Vec::new());
    let mut is_test = false;
    for line in text.lines() {
        // rustfmt indents a module by four spaces.
        let depth = (line.len() - line.trim_start().len()) / 4;
        let line = line.trim();
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            is_test = true;
            continue;
        }
        let declared = line.strip_suffix(" {").and_then(|line| line.rsplit_once("mod "));
        if let Some((visibility, module)) = declared
            && ["", "pub ", "pub(crate) ", "pub(super) "].contains(&visibility)
        {
            modules.truncate(depth);
            modules.push(module);
        }
        let part =
            line.strip_prefix("pub(crate) async fn ").and_then(|part| part.strip_suffix("(chain: &Chain) {"));
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        let function = function.and_then(|function| function.split('(').next());
        let test = part.or(function.filter(|_| is_test));
        is_test &= function.is_none();
        if let Some(test) = test {
            modules.truncate(depth);
            tests.push(modules.iter().copied().chain([test]).collect::<Vec<_>>().join("::"));
        }
    }
    tests
}

/// Finds the `run` blocks of a module's tests.
fn terraform(module: &Path, name: &str, found: &mut BTreeSet<String>) -> anyhow::Result<()> {
    let dir = module.join("tests");
    if !dir.exists() {
        return Ok(());
    }
    for path in entries(&dir)?.iter().filter(|path| path.extension().is_some_and(|part| part == "hcl")) {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let runs = text.lines().filter_map(|line| line.strip_prefix("run \"")?.strip_suffix("\" {"));
        found.extend(runs.map(|run| format!("{name}::{run}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(crates: &[(&str, &[&str])]) -> Tests {
        let tests = |all: &&[&str]| all.iter().map(|test| (*test).to_owned()).collect();
        Tests(crates.iter().map(|(name, all)| ((*name).to_owned(), tests(all))).collect())
    }

    #[test]
    fn tests_are_found_with_their_modules_and_other_functions_are_not() {
        let text = "#[test]\nfn one() {\n#[tokio::test]\n#[expect(x)]\nasync fn two() {\nfn three() {\n\
                    pub(crate) async fn four(chain: &Chain) {\npub(crate) async fn five() {\n\
                    mod tests {\n    #[test]\n    fn six() {\n    }\n    mod inner {\n        #[test]\n        fn seven() {\n    \
                    #[test]\n    fn eight() {\n}\n#[test]\nfn nine() {\n";
        let expected = ["one", "two", "four", "tests::six", "tests::inner::seven", "tests::eight", "nine"];
        assert_eq!(tests_in(text), expected);
    }

    #[test]
    fn citations_name_a_crate_and_a_test() {
        let tests = of(&[("core", &["plan::tests::one"]), ("web", &[])]);
        let text = "as `core: plan::tests::one` says, and `web: two`; `key: value` and `code` do not";
        assert_eq!(tests.citations(text).collect::<Vec<_>>(), [("core", "plan::tests::one"), ("web", "two")]);
    }

    #[test]
    fn a_citation_of_another_module_is_wrong() {
        let tests = of(&[("core", &["plan::tests::one"]), ("web", &[])]);
        assert_eq!(tests.wrong("core", "plan::tests::one"), None);
        let wrong = |name, path| tests.wrong(name, path).unwrap();
        let elsewhere = "the test `core: record::tests::one` does not exist: `core: plan::tests::one` does";
        assert_eq!(wrong("core", "record::tests::one"), elsewhere);
        assert_eq!(wrong("web", "one"), "the test `web: one` does not exist");
    }

    #[test]
    fn every_crate_and_terraform_are_looked_at_and_files_are_modules() {
        let home = std::env::temp_dir().join(format!("ecsrunner-citations-{}", std::process::id()));
        for (file, text) in [
            ("crates/new/src/lib.rs", "#[test]\nfn one() {\n"),
            ("crates/new/src/a/b.rs", "mod tests {\n    #[test]\n    fn two() {\n"),
            ("crates/new/tests/all/main.rs", "#[test]\nfn three() {\n"),
            ("crates/new/tests/all/part.rs", "#[test]\nfn four() {\n"),
            ("crates/new/tests/alone.rs", "#[test]\nfn five() {\n"),
            ("terraform/tests/root.tftest.hcl", "run \"six\" {\n"),
            ("terraform/modules/fleet/tests/roles.tftest.hcl", "run \"seven\" {\n"),
        ] {
            fs::create_dir_all(home.join(file).parent().unwrap()).unwrap();
            fs::write(home.join(file), text).unwrap();
        }
        let tests = Tests::find(&home).unwrap();
        let found = |name: &str| tests.0[name].iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(found("new"), ["a::b::tests::two", "alone::five", "one", "part::four", "three"]);
        assert_eq!(found("terraform"), ["fleet::seven", "root::six"]);
        fs::remove_dir_all(home).unwrap();
    }
}
