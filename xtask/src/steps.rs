//! Runs steps one after the other and prints their times. A failure does not stop later steps.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

/// The result of a step that did not fail.
pub(crate) enum Done {
    Passed,
    /// It could not run here.
    Skipped(String),
}

/// The results so far.
#[derive(Default)]
pub(crate) struct Steps {
    /// Names of the steps to run; all if empty.
    only: Vec<String>,
    told: Vec<String>,
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Steps {
    /// Runs only the steps of these names, or all if there are none.
    pub(crate) fn only(names: Vec<String>) -> Self {
        Self { only: names, ..Self::default() }
    }

    /// Runs one step, if it is selected.
    pub(crate) fn run(&mut self, name: &str, step: impl FnOnce() -> anyhow::Result<Done>) {
        if !self.only.is_empty() && !self.only.iter().any(|only| only == name) {
            return;
        }
        say(&format!("\n── {name}"));
        let began = Instant::now();
        let done = step();
        let secs = began.elapsed().as_secs_f64();
        let told = match done {
            Ok(Done::Passed) => {
                self.passed += 1;
                format!("passed   {secs:>6.1} s  {name}")
            }
            Ok(Done::Skipped(why)) => {
                self.skipped += 1;
                format!("skipped  {secs:>6.1} s  {name}: {why}")
            }
            Err(error) => {
                self.failed += 1;
                say(&format!("error: {error:#}"));
                format!("failed   {secs:>6.1} s  {name}")
            }
        };
        say(&told);
        self.told.push(told);
    }

    /// Prints all results again, then how many steps passed, failed and were skipped.
    pub(crate) fn end(self) -> ExitCode {
        say(&format!("\n{}\n\n{self}", self.told.join("\n")));
        // An unknown step name must not look like success.
        let done = self.failed == 0 && self.passed + self.skipped > 0;
        if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

pub(crate) fn say(text: &str) {
    // If stdout is closed, only the exit code reports the result.
    let _told = writeln!(io::stdout(), "{text}");
}
