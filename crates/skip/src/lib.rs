//! Reports that a test was skipped, and why. For tests, and for `cargo xtask`, which counts what was skipped.
//!
//! cargo-nextest hides what a passing test prints. So a skipped test appends a line to a file whose path is in the
//! environment. Without that variable it prints to stderr.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::{env, fmt, thread};

/// The environment variable with the path of the file.
pub const VARIABLE: &str = "ECSRUNNER_SKIPPED_TESTS";

/// A test that was skipped, or whose rest was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Skipped {
    /// The test's path in its crate.
    pub test: String,
    /// What this machine lacks.
    pub why: String,
}

/// Reports that the present test, or its rest, is skipped: `return skip("only root can change owners")`.
///
/// # Panics
///
/// The file cannot be written. The test fails then, since it would count as passed.
pub fn skip(why: impl fmt::Display) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let skipped = Skipped { test, why: why.to_string() };
    let told = match env::var_os(VARIABLE) {
        Some(file) => append(Path::new(&file), &skipped),
        None => writeln!(io::stderr(), "skipped: {}: {}", skipped.test, skipped.why),
    };
    assert!(told.is_ok(), "a skipped test cannot be reported: {told:?}");
}

/// Reports that the present test runs only in a step of `cargo xtask test`, which gives it what it needs. This is not
/// counted: the step itself is in the summary.
pub fn left_to(step: &str) {
    // If stderr is closed, nothing is lost.
    let _told = writeln!(io::stderr(), "skipped: `cargo xtask test {step}` runs this test");
}

fn append(file: &Path, skipped: &Skipped) -> io::Result<()> {
    // One write, since tests run at once.
    let line = format!("{}\t{}\n", skipped.test, skipped.why.replace('\n', " "));
    OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())
}

/// Returns what the tests have reported; nothing if there is no such file.
///
/// # Errors
///
/// The file cannot be read.
pub fn read(file: &Path) -> io::Result<Vec<Skipped>> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    let skipped = text.lines().filter_map(|line| line.split_once('\t'));
    Ok(skipped.map(|(test, why)| Skipped { test: test.to_owned(), why: why.to_owned() }).collect())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Has a test skip itself.
    const EXAMPLE: &str = "ECSRUNNER_SKIP_EXAMPLE";

    #[test]
    fn every_skipped_test_is_in_the_file_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("skipped");
        assert_eq!(read(&file).unwrap(), []);
        for filter in ["tests::skips_itself", "tests::skips_itself", "tests::is_left_to_a_step"] {
            let mut test = Command::new(env::current_exe().unwrap());
            let output = test
                .args(["--exact", filter, "--test-threads=2"])
                .env(VARIABLE, &file)
                .env(EXAMPLE, "1")
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        let skipped =
            Skipped { test: "tests::skips_itself".to_owned(), why: "this is only an example".to_owned() };
        assert_eq!(read(&file).unwrap(), [skipped.clone(), skipped]);
    }

    /// Run by the test above. On its own it does nothing.
    #[test]
    fn skips_itself() {
        if env::var_os(EXAMPLE).is_some() {
            skip("this is only\nan example");
        }
    }

    /// Run by the test above.
    #[test]
    fn is_left_to_a_step() {
        left_to("an example");
    }
}
