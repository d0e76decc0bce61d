//! What a check that reads sources has found.

use anyhow::ensure;

use crate::steps::{Done, say};

#[derive(Default)]
pub(crate) struct Findings {
    /// How many files were read.
    pub(crate) files: usize,
    /// Each with its place.
    pub(crate) faults: Vec<String>,
}

impl Findings {
    /// Ends the check: it fails with all faults, or says what holds for the files.
    pub(crate) fn told(self, what_holds: &str) -> anyhow::Result<Done> {
        ensure!(self.faults.is_empty(), "{}", self.faults.join("\n  "));
        say(&format!("{} files {what_holds}", self.files));
        Ok(Done::Passed)
    }
}
