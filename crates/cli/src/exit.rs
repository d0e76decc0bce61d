//! Exit codes, and how a failure is told.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// Done.
pub(crate) const DONE: u8 = 0;
/// Failed.
pub(crate) const FAILURE: u8 = 1;
/// Wrong usage or configuration.
pub(crate) const USAGE: u8 = 2;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    error: anyhow::Error,
    hint: Option<String>,
}

impl Failure {
    /// Wrong usage or configuration.
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { code: USAGE, error: error.into(), hint: None }
    }

    /// What the person can do about it.
    pub(crate) fn hint(self, hint: impl fmt::Display) -> Self {
        Self { hint: Some(hint.to_string()), ..self }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: FAILURE, error: error.into(), hint: None }
    }
}

/// Tells a failure with all that caused it on standard error.
pub(crate) fn report(failure: &Failure) -> ExitCode {
    use owo_colors::OwoColorize;
    let mut err = anstream::stderr();
    let broken_pipe = failure
        .error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
    if broken_pipe {
        return ExitCode::from(FAILURE);
    }
    // Where standard error is gone, the code has to do.
    let _told = writeln!(err, "{} {}", "error:".red().bold(), failure.error);
    for cause in failure.error.chain().skip(1) {
        let _told = writeln!(err, "  {} {cause}", "caused by:".bold());
    }
    if let Some(hint) = &failure.hint {
        let _told = writeln!(err, "\n{} {hint}", "hint:".cyan().bold());
    }
    ExitCode::from(failure.code)
}
