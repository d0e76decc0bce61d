//! Checks that no text of the project has words that make sentences hard to read: `docs/glossary.md`, "Sentences".
//!
//! It reads names too: a test's name is a sentence.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::findings::Findings;
use crate::steps::Done;

/// Words that are not expected, and what to write instead.
const WORDS: [(&str, &str); 15] = [
    ("anew", "`again`"),
    ("befall", "`happen to`"),
    ("befell", "`happened to`"),
    ("besides", "`in addition to` or `except`"),
    ("but for", "`except for`"),
    ("for good", "`permanently`"),
    ("gone through", "a verb that says what was done"),
    ("heed", "`use`, `follow` or `apply`"),
    ("heeds", "`uses`, `follows` or `applies`"),
    ("is had by", "`can be had from`, or say who does what"),
    ("nobody but", "`only`"),
    ("of which", "a sentence of its own, or `whose`"),
    ("somebody", "`someone`, or say who it is"),
    ("spelt", "`written`"),
    ("whoever", "the one who it is: `the caller`, `anyone who`"),
];
/// Files whose text is ours.
const EXTENSIONS: [&str; 16] = [
    "css", "hcl", "html", "js", "json", "md", "mjs", "py", "rs", "sh", "tf", "toml", "txt", "vtl", "yaml",
    "yml",
];
/// Directories with what tools install and make, and with data that must not change.
const LEFT_OUT: [&str; 5] = ["corpus", "dist", "node_modules", "previous", "target"];
/// Files that name the words.
const NAMING: [&str; 2] = ["docs/glossary.md", "xtask/src/words.rs"];
/// Texts that stay: a file and a word.
const KEPT: [(&str, &str); 1] = [
    // A release changes nothing about a secret: `xtask/lifecycle/test_upgrade.py`.
    ("terraform/modules/state/main.tf", "of which"),
];

pub(crate) fn check(root: &Path) -> anyhow::Result<Done> {
    let mut files = Vec::new();
    find(root, &mut files)?;
    let mut found = Findings { files: files.len(), faults: Vec::new() };
    for path in &files {
        let name = path.strip_prefix(root)?.display().to_string();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        if !NAMING.contains(&name.as_str()) {
            let faults_here = faults_in(&text).filter(|fault| !KEPT.contains(&(name.as_str(), fault.word)));
            found.faults.extend(faults_here.map(|fault| format!("{name}:{fault}")));
        }
    }
    found.told(&format!("have none of {} words", WORDS.len()))
}

fn find(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_ours = path.extension().is_some_and(|of| EXTENSIONS.iter().any(|extension| of == *extension));
        if path.is_symlink() || name.starts_with('.') || LEFT_OUT.contains(&&*name) {
            continue;
        }
        if path.is_dir() {
            find(&path, files)?;
        } else if is_ours {
            files.push(path);
        }
    }
    Ok(())
}

/// A word that is not expected.
struct Fault {
    line: usize,
    word: &'static str,
    expected: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}`: {} is expected", self.line, self.word, self.expected)
    }
}

fn faults_in(text: &str) -> impl Iterator<Item = Fault> {
    let words = words(text);
    WORDS.into_iter().flat_map(move |(phrase, expected)| {
        let phrase_words: Vec<&str> = phrase.split(' ').collect();
        let found = words.windows(phrase_words.len()).filter(|some| {
            // Only the last word may end its part of a sentence.
            some.iter().zip(&phrase_words).all(|(word, wanted)| word.text.eq_ignore_ascii_case(wanted))
                && some.iter().rev().skip(1).all(|word| !word.ends)
        });
        found.map(|some| Fault { line: some[0].line, word: phrase, expected }).collect::<Vec<_>>()
    })
}

struct Word<'a> {
    text: &'a str,
    /// From 1.
    line: usize,
    /// Whether something other than a space, the end of a line or the beginning of a comment comes before the next word.
    ends: bool,
}

/// Returns the words of a text. The parts of a name such as `has_words` are words.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut words: Vec<Word<'_>> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut rest = line.trim_start().trim_start_matches(['/', '!', '#', '*', ' ']);
        while !rest.is_empty() {
            let is_letter = |c: char| c.is_ascii_alphabetic();
            let end = rest.find(|c: char| !is_letter(c)).unwrap_or(rest.len());
            if end > 0 {
                words.push(Word { text: &rest[..end], line: index + 1, ends: false });
            }
            let next = rest[end..].find(is_letter).map_or(rest.len(), |at| end + at);
            if let Some(word) = words.last_mut() {
                word.ends |= rest[end..next].contains(|c: char| c != ' ' && c != '_');
            }
            rest = &rest[next..];
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        faults_in(text).map(|fault| fault.to_string()).collect()
    }

    #[test]
    fn a_word_is_found_in_comments_strings_and_names() {
        let heed = "`heed`: `use`, `follow` or `apply` is expected";
        assert_eq!(found("\n// Heed this.\n"), [format!("2: {heed}")]);
        assert_eq!(found("fn heed_answer() {}"), [format!("1: {heed}")]);
        assert!(found("heedless, an heeder").is_empty(), "these are other words");
    }

    #[test]
    fn a_phrase_is_found_across_lines_and_not_across_sentences() {
        let of_which = "1: `of which`: a sentence of its own, or `whose` is expected";
        assert_eq!(found("    /// A pair, of\n    /// which one is"), [of_which]);
        assert!(found("That is what it is made of. Which is it?").is_empty());
    }
}
