//! Exit codes, and how a failure is printed.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

#[cfg(feature = "aws")]
use ecsrunner_aws::parameters::ParametersError;
use ecsrunner_engine::ports::github::GitHubError;

use crate::output::clean_lines;

pub(crate) const DONE: u8 = 0;
pub(crate) const FAILURE: u8 = 1;
/// Wrong usage or configuration.
pub(crate) const USAGE: u8 = 2;

pub(crate) const PERMISSION: u8 = 3;
pub(crate) const NOT_FOUND: u8 = 4;

/// Why a command failed, with its exit code and a hint.
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

    /// The caller does not have the permission.
    pub(crate) fn permission(error: impl Into<anyhow::Error>) -> Self {
        Self { code: PERMISSION, error: error.into(), hint: None }
    }

    /// The requested thing does not exist.
    pub(crate) fn not_found(error: impl Into<anyhow::Error>) -> Self {
        Self { code: NOT_FOUND, error: error.into(), hint: None }
    }

    /// Adds a hint to the failure to listen on an address that `--listen` names.
    pub(crate) fn of_listening(self) -> Self {
        let causes = self.error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
        let kind = causes.map(io::Error::kind).next();
        let hint = match kind {
            Some(io::ErrorKind::AddrInUse) => {
                "use another `--listen`, or `--listen 127.0.0.1:0` for any free port"
            }
            Some(io::ErrorKind::AddrNotAvailable) => {
                "use an address of this machine, such as `--listen 127.0.0.1:8080`"
            }
            Some(io::ErrorKind::PermissionDenied) => {
                "use a port from 1024 on, such as `--listen 127.0.0.1:8080`: others need root"
            }
            _ => return self,
        };
        self.hint(hint)
    }

    /// The failure of a call to AWS.
    #[cfg(feature = "aws")]
    pub(crate) fn of_aws(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        if ecsrunner_aws::is_expired(&error) {
            Self::permission(error).hint("the AWS session has expired: sign in again, for example with `aws sso login`, and repeat the command")
        } else if ecsrunner_aws::denies_caller(&error) {
            Self::permission(error).hint("`aws sts get-caller-identity` shows who you are; the denied action and resource are named above")
        } else {
            error.into()
        }
    }

    /// The failure of a call to GitHub.
    pub(crate) fn of_github(error: GitHubError) -> Self {
        match &error {
            GitHubError::Refused { status: 401 | 403, .. } => Self::permission(error),
            GitHubError::Refused { status: 404, .. } => Self::not_found(error),
            GitHubError::Credentials(_) => Self::permission(error)
                .hint("run `ecsrunner doctor` to check the credentials and their permissions"),
            GitHubError::Unreachable { .. } => {
                Self::from(error).hint("check that this machine reaches GitHub's API, and repeat the command")
            }
            GitHubError::Server { .. } | GitHubError::Throttled { .. } => {
                Self::from(error).hint("repeat the command later")
            }
            GitHubError::Refused { .. } | GitHubError::NameTaken => error.into(),
        }
    }

    #[cfg(feature = "aws")]
    pub(crate) const fn code(&self) -> u8 {
        self.code
    }

    /// Returns whether the caller lacks a permission.
    pub(crate) fn is_of_permission(&self) -> bool {
        self.code == PERMISSION
    }

    /// Returns whether the deployment exists but has invalid parameters.
    #[cfg(feature = "aws")]
    pub(crate) fn is_of_parameters(&self) -> bool {
        let is_mistaken = |error: &ParametersError| matches!(error, ParametersError::Mistakes(_));
        self.code == FAILURE && self.error.downcast_ref().is_some_and(is_mistaken)
    }

    /// Returns false: a build without AWS reads no parameters.
    #[cfg(not(feature = "aws"))]
    pub(crate) fn is_of_parameters(&self) -> bool {
        false
    }

    /// Replaces the exit code.
    #[cfg(feature = "aws")]
    pub(crate) fn exiting(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Puts the failure under a sentence that says what it prevented.
    pub(crate) fn under(self, context: impl fmt::Display + Send + Sync + 'static) -> Self {
        Self { error: self.error.context(context), ..self }
    }

    pub(crate) fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Adds a hint: what the user can do about the failure.
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

/// Prints a failure with its causes and its hint to stderr, and returns the exit code.
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
    // Errors of writing to stderr are ignored: the exit code remains.
    // Text from others must not control the terminal.
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
