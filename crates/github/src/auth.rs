//! Authentication with GitHub: a plain token, or an App that creates short-lived tokens.

mod app;
mod bearer;
mod flights;
mod jwt;

use std::fmt;
use std::sync::Arc;

use ecsrunner_core::id::{Account, Organization, Repository};
use ecsrunner_core::rules::pool::Scope;
use secrecy::SecretString;

pub(crate) use self::bearer::Bearer;

use self::app::AppAuthority;
use crate::http::Http;
use crate::reply::Fault;

/// How to authenticate with GitHub.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A token that a person created, with the permissions that the
    /// deployment's registration scopes need.
    Token(SecretString),
    App(App),
}

/// A GitHub App and, if known, its installation.
#[derive(Clone, Debug)]
pub struct App {
    pub id: AppId,
    /// The App's private key in PEM, as PKCS#1 (GitHub's form) or PKCS#8.
    pub private_key: SecretString,
    /// The installation to act as; `None` looks it up for each owner.
    pub installation: Option<InstallationId>,
}

/// An App's id (`1234`) or client id (`Iv23li…`). GitHub takes either as a JWT's issuer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AppId(String);

impl App {
    /// Creates an App from the parts that a secret or a file holds.
    ///
    /// # Errors
    ///
    /// The id is not valid.
    pub fn new(id: &str, private_key: SecretString, installation: Option<u64>) -> Result<Self, AppIdError> {
        Ok(Self { id: AppId::parse(id)?, private_key, installation: installation.map(InstallationId::new) })
    }
}

/// A text that is not an App's id.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("GitHub App id `{0}` is not valid: an id such as 1234 or a client id such as Iv1.0a1b2c is expected")]
pub struct AppIdError(String);

impl AppId {
    /// Parses an App's id or client id.
    ///
    /// # Errors
    ///
    /// The text is empty, has characters other than ASCII letters, digits and `.`, or more than 64.
    pub fn parse(text: &str) -> Result<Self, AppIdError> {
        let valid =
            (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
        if valid { Ok(Self(text.to_owned())) } else { Err(AppIdError(text.chars().take(80).collect())) }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "app:{}", self.0)
    }
}

/// GitHub's id of an App's installation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstallationId(u64);

impl InstallationId {
    #[must_use]
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for InstallationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for InstallationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "installation:{}", self.0)
    }
}

/// Why credentials cannot be used. The text never contains them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("the token is empty or has characters other than visible ASCII")]
    Token,
    #[error("the private key of GitHub App `{0}` is not an RSA private key in PEM")]
    PrivateKey(AppId),
}

/// The permission that a call needs.
#[derive(Clone, Debug)]
pub(crate) enum Grant {
    /// Reads the workflow jobs and runs of this repository.
    Read(Repository),
    /// Registers and deletes runners of this scope.
    Runners(RunnerScope),
    /// Runs jobs of this repository again.
    Rerun(Repository),
    /// Lists the repositories of this installation.
    Installation(InstallationId),
}

/// A registration scope for permissions, which do not depend on the runner group.
#[derive(Clone, Debug)]
pub(crate) enum RunnerScope {
    Repository(Repository),
    Organization(Organization),
}

impl Grant {
    pub(crate) fn runners(scope: &Scope) -> Self {
        Self::Runners(match scope {
            Scope::Repository(repository) => RunnerScope::Repository(repository.clone()),
            Scope::Organization { organization, .. } => RunnerScope::Organization(organization.clone()),
        })
    }
}

/// Provides the bearer that each call needs.
#[derive(Clone, Debug)]
pub(crate) enum Authority {
    Token(Bearer),
    App(Arc<AppAuthority>),
}

impl Authority {
    pub(crate) fn new(http: Http, credentials: &Credentials) -> Result<Self, CredentialsError> {
        match credentials {
            Credentials::Token(token) => {
                Bearer::new(token.clone()).map(Self::Token).ok_or(CredentialsError::Token)
            }
            Credentials::App(app) => Ok(Self::App(Arc::new(AppAuthority::new(http, app)?))),
        }
    }

    /// Returns the account whose rate limit a registration counts against. A token
    /// has one for all scopes; an App's installation has one for each owner.
    pub(crate) fn account(&self, scope: &Scope) -> Account {
        match self {
            Self::Token(_) => Account::token(),
            Self::App(_) => scope.owner(),
        }
    }

    pub(crate) fn configured_installation(&self) -> Option<InstallationId> {
        match self {
            Self::Token(_) => None,
            Self::App(app) => app.configured_installation(),
        }
    }

    /// Returns the App's own JWT, for calls about the App itself; `None` with a token.
    pub(crate) fn app(&self) -> Result<Option<Bearer>, Fault> {
        match self {
            Self::Token(_) => Ok(None),
            Self::App(app) => app.own_word().map(Some),
        }
    }

    /// Returns the plain token, for calls about its user; `None` with an App.
    pub(crate) fn plain_token(&self) -> Option<Bearer> {
        match self {
            Self::Token(bearer) => Some(bearer.clone()),
            Self::App(_) => None,
        }
    }

    pub(crate) async fn bearer(&self, grant: &Grant) -> Result<Bearer, Fault> {
        match self {
            Self::Token(bearer) => Ok(bearer.clone()),
            Self::App(app) => app.bearer(grant).await,
        }
    }

    /// Forgets a bearer that GitHub no longer accepts; returns whether it can be replaced.
    pub(crate) fn forget(&self, bearer: &Bearer) -> bool {
        match self {
            Self::Token(_) => false,
            Self::App(app) => {
                app.forget(bearer);
                true
            }
        }
    }
}
