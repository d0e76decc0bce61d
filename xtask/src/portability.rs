//! Checks that the operator's commands are free of what only Unix has, so that they compile on macOS and Windows.
//!
//! Such code belongs in a module of its own, which is declared behind `#[cfg(unix)]` or `#[cfg(target_os = "linux")]`.
//! This reads sources, and compiles nothing. `.github/workflows/ci.yml` compiles there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::findings::Findings;
use crate::steps::Done;

/// The command line, and the crates that it has on every system: `crates/cli/Cargo.toml`.
const ROOTS: [&str; 10] = [
    "crates/api/src/lib.rs",
    "crates/aws/src/lib.rs",
    "crates/cli/src/main.rs",
    "crates/core/src/lib.rs",
    "crates/engine/src/lib.rs",
    "crates/entries/src/lib.rs",
    "crates/github/src/lib.rs",
    "crates/log/src/lib.rs",
    "crates/web/src/lib.rs",
    "crates/world/src/lib.rs",
];
/// What only Unix has, or only Linux.
const WORDS: [&str; 12] = [
    "os::unix",
    "os::linux",
    "os::fd",
    "nix::",
    "signal_hook",
    "rustix",
    "libc::",
    "signal::unix",
    "UnixStream",
    "UnixListener",
    "\"/proc",
    "\"/dev/",
];
/// Attributes of a module that does not compile everywhere.
const ELSEWHERE: [&str; 2] = ["#[cfg(unix)]", "#[cfg(target_os = \"linux\")]"];

pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    let mut found = Found::default();
    for file in ROOTS {
        found.read(root, &root.join(file))?;
    }
    found.0.told("compile on every system, as far as sources show")
}

#[derive(Default)]
struct Found(Findings);

impl Found {
    /// Reads a module's file, and those of its modules that compile everywhere.
    fn read(&mut self, root: &Path, file: &Path) -> anyhow::Result<()> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        self.0.files += 1;
        let module = scan(&text);
        let name = file.strip_prefix(root).unwrap_or(file).display();
        self.0.faults.extend(module.faults.iter().map(|(line, word)| {
            format!(
                "{name}:{line}: `{word}` is expected only in a module behind {} or {}",
                ELSEWHERE[0], ELSEWHERE[1]
            )
        }));
        for child in module.children {
            self.read(root, &file_of(file, &child))?;
        }
        Ok(())
    }
}

/// Returns the file of a module that `parent` declares.
fn file_of(parent: &Path, name: &str) -> PathBuf {
    let is_root = parent.ends_with("lib.rs") || parent.ends_with("main.rs");
    let directory = if is_root { parent.with_file_name("") } else { parent.with_extension("") };
    directory.join(format!("{name}.rs"))
}

#[derive(Default)]
struct Module {
    /// Modules in files of their own that compile everywhere.
    children: Vec<String>,
    /// The number of the line, and what it has.
    faults: Vec<(usize, &'static str)>,
}

fn scan(text: &str) -> Module {
    let mut module = Module::default();
    let mut attributes: Vec<&str> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("//") {
            continue;
        }
        if line.starts_with("#[") {
            attributes.push(line);
            continue;
        }
        let is_elsewhere = attributes.iter().any(|attribute| ELSEWHERE.contains(attribute));
        let is_test = attributes.iter().any(|attribute| {
            attribute.starts_with("#[cfg(test)]") || attribute.starts_with("#[cfg(all(test")
        });
        attributes.clear();
        let declared = line.strip_suffix(';').and_then(|line| line.rsplit_once("mod ")).map(|(_, name)| name);
        match declared {
            Some(_) if is_elsewhere || is_test => {}
            Some(name) => module.children.push(name.to_owned()),
            // The tests stand at the end of a file.
            None if is_test && line.ends_with('{') => break,
            None => {
                let words = WORDS.into_iter().filter(|word| has(line, word));
                module.faults.extend(words.map(|word| (index + 1, word)));
            }
        }
    }
    module
}

/// Whether a line has a word that is not the end of a longer one: `unix::` is not `nix::`.
fn has(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|before| !before.is_alphanumeric() && before != '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_unix_has_is_found_outside_of_a_module_for_it() {
        let text = "//! std::os::unix in prose\n#[cfg(unix)]\nmod unix;\nmod plain;\n#[cfg(test)]\nmod tests;\n\
                    use std::os::unix::fs::MetadataExt;\nfn f() {\n    nix::unistd::geteuid();\n}\n\
                    #[cfg(test)]\nmod inner {\n    use std::os::unix::fs::symlink;\n}\n";
        let module = scan(text);
        assert_eq!(module.children, ["plain"]);
        assert_eq!(module.faults, [(7, "os::unix"), (9, "nix::")]);
    }

    #[test]
    fn an_attribute_of_a_statement_hides_nothing() {
        let text =
            "#[cfg(unix)]\nuse std::os::unix::fs::MetadataExt;\n#[cfg(target_os = \"linux\")]\nmod here;\n";
        let module = scan(text);
        assert_eq!((module.children.len(), module.faults.as_slice()), (0, &[(2, "os::unix")][..]));
    }

    #[test]
    fn a_fault_in_a_module_of_a_module_names_its_file_and_line() {
        let home = std::env::temp_dir().join(format!("ecsrunner-portability-{}", std::process::id()));
        fs::create_dir_all(home.join("outer")).unwrap();
        fs::write(home.join("main.rs"), "mod outer;\n#[cfg(unix)]\nmod absent;\n").unwrap();
        fs::write(home.join("outer.rs"), "pub(crate) mod inner;\n").unwrap();
        fs::write(home.join("outer/inner.rs"), "\nuse signal_hook::consts;\n").unwrap();
        let mut found = Found::default();
        found.read(&home, &home.join("main.rs")).unwrap();
        assert_eq!(found.0.files, 3);
        assert!(
            found.0.faults[0].starts_with("outer/inner.rs:2: `signal_hook` is expected"),
            "{:?}",
            found.0.faults
        );
        fs::remove_dir_all(home).unwrap();
    }
}
