//! What is wrong with a workflow file, and where.

use std::fmt;

use serde::Serialize;

/// A place in a file. Both numbers count from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    /// The start of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// Something in a workflow that GitHub refuses, or that cannot be run.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Problem {
    pub file: String,
    pub at: Position,
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.at.line, self.at.column, self.text)
    }
}

/// All problems of a workflow, in the order of the file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// Collects the problems of one file.
#[derive(Debug)]
pub(crate) struct Faults<'a> {
    file: &'a str,
    found: Vec<Problem>,
    notes: Vec<Problem>,
    /// Places of values that the tables have refused, which are not refused again.
    refused: Vec<Position>,
}

impl<'a> Faults<'a> {
    pub(crate) fn new(file: &'a str) -> Self {
        Self { file, found: Vec::new(), notes: Vec::new(), refused: Vec::new() }
    }

    /// Ends the check against the tables. Later faults at the same places would only follow from its faults.
    pub(crate) fn end_tables(&mut self) {
        self.refused = self.found.iter().map(|problem| problem.at).collect();
    }

    pub(crate) fn add(&mut self, at: Position, text: impl Into<String>) {
        let problem = Problem { file: self.file.to_owned(), at, text: text.into() };
        // An anchor's content is read again at each alias. Each problem is reported once.
        if !self.refused.contains(&at) && !self.found.contains(&problem) {
            self.found.push(problem);
        }
    }

    /// Adds something that GitHub takes, but that has no effect.
    pub(crate) fn note(&mut self, at: Position, text: impl Into<String>) {
        self.notes.push(Problem { file: self.file.to_owned(), at, text: text.into() });
    }

    /// Returns the notes in the order of the file.
    pub(crate) fn take_notes(&mut self) -> Vec<Problem> {
        let mut notes = std::mem::take(&mut self.notes);
        notes.sort();
        notes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Returns all problems in the order of the file.
    pub(crate) fn end(mut self) -> Problems {
        self.found.sort();
        Problems(self.found)
    }
}
