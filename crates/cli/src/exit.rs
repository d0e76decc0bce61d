//! Exit codes, and how a failure is told.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use ecsrunner_aws::parameters::ParametersError;
use ecsrunner_engine::ports::github::GitHubError;

use crate::output::clean_lines;

pub(crate) const DONE: u8 = 0;
pub(crate) const FAILURE: u8 = 1;
/// Wrong usage or configuration.
pub(crate) const USAGE: u8 = 2;

pub(crate) const PERMISSION: u8 = 3;
pub(crate) const NOT_FOUND: u8 = 4;

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

    /// AWS, or whoever is asked, does not let the caller.
    pub(crate) fn permission(error: impl Into<anyhow::Error>) -> Self {
        Self { code: PERMISSION, error: error.into(), hint: None }
    }

    /// What was asked for is not there.
    pub(crate) fn not_found(error: impl Into<anyhow::Error>) -> Self {
        Self { code: NOT_FOUND, error: error.into(), hint: None }
    }

    /// What a call to AWS failed with.
    pub(crate) fn of_aws(error: impl Error + Send + Sync + 'static) -> Self {
        if ecsrunner_aws::denies_caller(&error) {
            Self::permission(error).hint("`aws sts get-caller-identity` tells who calls; the action and what it was tried on stand above")
        } else {
            error.into()
        }
    }

    /// What a call to GitHub failed with.
    pub(crate) fn of_github(error: GitHubError) -> Self {
        match &error {
            GitHubError::Refused { status: 401 | 403, .. } => Self::permission(error),
            GitHubError::Refused { status: 404, .. } => Self::not_found(error),
            GitHubError::Credentials(_) => {
                Self::permission(error).hint("`ecsrunner doctor` checks the credentials and what they may do")
            }
            _ => error.into(),
        }
    }

    /// Whether the caller is not let.
    pub(crate) fn is_of_permission(&self) -> bool {
        self.code == PERMISSION
    }

    /// Whether a deployment is there whose parameters cannot be used.
    pub(crate) fn is_of_parameters(&self) -> bool {
        let is_mistaken = |error: &ParametersError| matches!(error, ParametersError::Mistakes(_));
        self.code == FAILURE && self.error.downcast_ref().is_some_and(is_mistaken)
    }

    /// The same with another exit code.
    pub(crate) fn exiting(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// What the person is told to do about it.
    pub(crate) fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What the person can do about it.
    pub(crate) fn hint(self, hint: impl fmt::Display) -> Self {
        Self { hint: Some(hint.to_string()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
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
    // Others' words may be in it, which must not speak to a terminal.
    let shown = |text: &dyn fmt::Display| clean_lines(&text.to_string());
    let _told = writeln!(err, "{} {}", "error:".red().bold(), shown(&failure.error));
    for cause in failure.error.chain().skip(1) {
        let _told = writeln!(err, "  {} {}", "caused by:".bold(), shown(&cause));
    }
    if let Some(hint) = &failure.hint {
        let _told = writeln!(err, "\n{} {}", "hint:".cyan().bold(), shown(hint));
    }
    ExitCode::from(failure.code)
}
