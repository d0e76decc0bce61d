//! Runs steps one after the other and prints their times. A failure does not stop later steps.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use ecsrunner_skip::Skipped;

/// The result of a step that did not fail.
pub(crate) enum Done {
    Passed,
    /// It passed without these tests, which could not run here. At least one.
    PassedWithout(Vec<Skipped>),
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
    /// Tests that were skipped in steps that passed.
    skipped_tests: usize,
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
            Ok(Done::PassedWithout(tests)) => {
                self.passed += 1;
                self.skipped_tests += tests.len();
                for Skipped { test, why } in &tests {
                    say(&format!("skipped {test}: {why}"));
                }
                format!("passed   {secs:>6.1} s  {name}: {}", reasons(&tests))
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
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)?;
        match self.skipped_tests {
            0 => Ok(()),
            1 => f.write_str(", 1 test skipped"),
            tests => write!(f, ", {tests} tests skipped"),
        }
    }
}

/// Says how many tests were skipped for each reason.
fn reasons(tests: &[Skipped]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for skipped in tests {
        *counts.entry(&skipped.why).or_default() += 1;
    }
    let told: Vec<String> = counts.iter().map(|(why, count)| format!("{count} skipped: {why}")).collect();
    told.join("; ")
}

pub(crate) fn say(text: &str) {
    // If stdout is closed, only the exit code reports the result.
    let _told = writeln!(io::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_skipped_tests_and_says_why() {
        let skipped = |why: &str| Skipped { test: "tests::x".to_owned(), why: why.to_owned() };
        let mut steps = Steps::default();
        steps.run("lints", || Ok(Done::Passed));
        steps.run("tests", || Ok(Done::PassedWithout(["no root", "no `ip`", "no root"].map(skipped).into())));
        assert!(
            steps.told[1].ends_with(" s  tests: 1 skipped: no `ip`; 2 skipped: no root"),
            "{:?}",
            steps.told
        );
        assert_eq!(steps.to_string(), "2 passed, 0 failed, 0 skipped, 3 tests skipped");
    }
}
