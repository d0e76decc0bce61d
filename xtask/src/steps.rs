//! Steps, one after the other, each with its time; a failure stops none of those that follow.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

/// How a step ended that did not fail.
pub(crate) enum Done {
    /// It passed.
    Passed,
    /// It could not be done here.
    Skipped(String),
}

/// What has been done so far.
#[derive(Default)]
pub(crate) struct Steps {
    /// Names of the steps to do; all where empty.
    only: Vec<String>,
    told: Vec<String>,
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Steps {
    /// Steps of these names only; all where there is none.
    pub(crate) fn only(names: Vec<String>) -> Self {
        Self { only: names, ..Self::default() }
    }

    /// Runs one step, if it is one of those to do.
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

    /// Tells every step again, then how many there were of each kind.
    pub(crate) fn end(self) -> ExitCode {
        say(&format!("\n{}\n\n{self}", self.told.join("\n")));
        // A name that no step has must not look like success.
        let done = self.failed == 0 && self.passed + self.skipped > 0;
        if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Tells a person something.
pub(crate) fn say(text: &str) {
    // Where standard output is gone, the exit code has to do.
    let _told = writeln!(io::stdout(), "{text}");
}
