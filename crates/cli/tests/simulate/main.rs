//! `ecsrunner simulate`: its results, its chart, its mistakes and its document.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chart;
mod documented;
mod figures;
mod mistakes;
mod recorded;
mod results;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A class, so that a file is complete with arrivals.
const CLASS: &str = "[classes.small]\ncpu = 1024\nmemory = 2048\ndefault = true\n";

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ecsrunner"));
    command.arg("simulate").args(arguments).current_dir(directory).env_clear().env("NO_COLOR", "1");
    command.output().unwrap()
}

/// Runs a file of this text with `--json`.
fn simulate(text: &str) -> Value {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("load.toml"), text).unwrap();
    document(&run(directory.path(), &["load.toml", "--json"]))
}

fn document(output: &Output) -> Value {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert_eq!(told, "");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs a file that has a mistake, and returns the mistakes.
fn mistakes(text: &str) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("load.toml"), text).unwrap();
    let output = run(directory.path(), &["load.toml"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert_eq!(output.stdout, b"");
    told.lines().filter_map(|line| line.strip_prefix("  ")).map(str::to_owned).collect()
}
