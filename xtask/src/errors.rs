//! Checks that no error loses its cause: a log line shows an error with its chain, and nothing stands for what could not be
//! written as JSON.
//!
//! This reads sources, and compiles nothing. Tests are left out, and the stand-ins that only tests and the demo use.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::documents::entries;
use crate::findings::Findings;
use crate::steps::Done;

/// Crates whose log no operator reads.
const STAND_INS: [&str; 3] = ["demo", "sim", "world"];
/// Errors in a log line as their last cause's message alone.
const BARE: [&str; 2] = ["%error", "%fault"];

pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    let mut found = Found::default();
    for krate in entries(&root.join("crates"))? {
        let is_stand_in = STAND_INS.iter().any(|name| krate.ends_with(name));
        if !is_stand_in {
            found.read_below(root, &krate.join("src"))?;
        }
    }
    found.0.told("show errors with their causes")
}

#[derive(Default)]
struct Found(Findings);

impl Found {
    fn read_below(&mut self, root: &Path, dir: &Path) -> anyhow::Result<()> {
        for path in entries(dir)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                self.read_below(root, &path)?;
            } else if name.ends_with(".rs") && name != "tests.rs" && name != "testing.rs" {
                let text =
                    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                self.0.files += 1;
                let file = path.strip_prefix(root).unwrap_or(&path).display();
                let faults = scan(&text).into_iter().map(|(line, words)| format!("{file}:{line}: {words}"));
                self.0.faults.extend(faults);
            }
        }
        Ok(())
    }
}

/// Returns the number of each line that loses an error, and what is expected there.
fn scan(text: &str) -> Vec<(usize, String)> {
    // The tests stand at the end of a file.
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let mut faults = Vec::new();
    let mut serialises = false;
    for (index, line) in code.lines().enumerate() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for word in BARE.into_iter().filter(|word| has(line, word)) {
            let name = &word[1..];
            faults.push((index + 1, format!("`error = %chain(&{name})` is expected instead of `{word}`")));
        }
        serialises |= line.contains("serde_json::to_");
        if serialises && line.contains("unwrap_or_default()") {
            let words = "an error is expected to be returned or logged instead of `unwrap_or_default`";
            faults.push((index + 1, words.to_owned()));
        }
        serialises &= !line.trim_end().ends_with([';', '{', '}']);
    }
    faults
}

/// Whether a line has this word, and no longer one that begins with it.
fn has(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let after = line[at + word.len()..].chars().next();
        after.is_none_or(|after| !after.is_alphanumeric() && after != '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_without_its_chain_and_a_default_for_a_serialisation_are_found() {
        let text = "// %error\nfn f() {\n    warn!(%error, \"a\");\n    warn!(job, error = %fault, \"b\");\n    \
                    warn!(error = %chain(&error), %error_code, \"c\");\n    \
                    let text = serde_json::to_vec(&stored)\n        .unwrap_or_default();\n    \
                    let read = serde_json::from_slice(text).unwrap_or_default();\n}\n\
                    #[cfg(test)]\nmod tests {\n    fn g() {\n        warn!(%error);\n    }\n}\n";
        let lines: Vec<usize> = scan(text).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [3, 4, 7]);
    }
}
