//! The files by which a step changes the environment of later steps, `GITHUB_ENV` and
//! `GITHUB_PATH`, and gives its outputs, `GITHUB_OUTPUT`.
//!
//! What a step wrote to `GITHUB_STEP_SUMMARY` is a summary of its own. What an action wrote to `GITHUB_STATE` is for its
//! later scripts.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::environment::Folders;

const NAMES: [&str; 5] =
    ["GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY"];

/// GitHub takes no larger summary of a step.
const SUMMARY_LIMIT_BYTES: u64 = 1024 * 1024;

/// The files of one step.
pub(super) struct FileCommands {
    folder: PathBuf,
    number: u64,
}

/// The changes that a step requested.
#[derive(Default, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub variables: Vec<(String, String)>,
    /// Folders to put in front of `PATH`, in the order of the file.
    pub paths: Vec<String>,
    /// The step's outputs.
    pub outputs: Vec<(String, String)>,
    /// What later scripts of the same action are told.
    pub states: Vec<(String, String)>,
}

impl FileCommands {
    pub(super) fn create(folders: &Folders, number: u64) -> io::Result<Self> {
        let files = Self { folder: folders.temp.join("_runner_file_commands"), number };
        for name in NAMES {
            fs::write(files.path(name), "")?;
        }
        Ok(files)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!(
            "{}_{}",
            name.trim_start_matches("GITHUB_").to_ascii_lowercase(),
            self.number
        ))
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = (String, String)> {
        NAMES.iter().map(|name| ((*name).to_owned(), self.path(name).display().to_string()))
    }

    /// Reads the step's summary, if it has one. The error is the official runner's.
    pub(super) fn summary(&self) -> Result<Option<String>, String> {
        let path = self.path("GITHUB_STEP_SUMMARY");
        let bytes = match fs::metadata(&path) {
            Ok(found) if found.len() > 0 => found.len(),
            _ => return Ok(None),
        };
        if bytes > SUMMARY_LIMIT_BYTES {
            return Err(format!(
                "$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of 1024k, got {}k.",
                bytes / 1024
            ));
        }
        let read = fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        read.map(Some)
            .map_err(|error| format!("Failed to create step summary using 'GITHUB_STEP_SUMMARY': {error}"))
    }

    /// Reads what the step wrote. The error says why it cannot be read.
    pub(super) fn read(&self) -> Result<Asked, String> {
        let text =
            |name: &str| fs::read_to_string(self.path(name)).map_err(|error| format!("{name}: {error}"));
        let paths = text("GITHUB_PATH")?.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        let variables = pairs("GITHUB_ENV", &text("GITHUB_ENV")?)?;
        let outputs = pairs("GITHUB_OUTPUT", &text("GITHUB_OUTPUT")?)?;
        let states = pairs("GITHUB_STATE", &text("GITHUB_STATE")?)?;
        Ok(Asked { variables, paths, outputs, states })
    }
}

/// Reads `NAME=value` lines, and `NAME<<END` blocks that end at a line `END`.
fn pairs(file: &str, text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let equals = line.find('=');
        let block = line.find("<<").filter(|at| equals.is_none_or(|equals| *at < equals));
        if let Some(at) = block {
            let (name, end) = (&line[..at], &line[at + 2..]);
            let mut value = Vec::new();
            loop {
                match lines.next() {
                    Some(line) if line == end => break,
                    Some(line) => value.push(line),
                    None => return Err(format!("{file}: no line `{end}` ends the value of `{name}`")),
                }
            }
            pairs.push((name.to_owned(), value.join("\n")));
        } else if let Some(at) = equals {
            pairs.push((line[..at].to_owned(), line[at + 1..].to_owned()));
        } else if !line.is_empty() {
            return Err(format!("{file}: `{line}` is not NAME=value"));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_span_lines_and_hold_the_block_sign() {
        let read = pairs("GITHUB_ENV", "A=1<<2\nB<<END\nx=1\ny\nEND\n").unwrap();
        assert_eq!(read, [("A".into(), "1<<2".into()), ("B".into(), "x=1\ny".into())]);
        assert!(pairs("GITHUB_ENV", "B<<END\nx").is_err());
    }
}
