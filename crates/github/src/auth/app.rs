//! An App's installations and the tokens created for them.
//!
//! Each token has one purpose. All repositories of an installation share the
//! token that reads jobs and runs, and an organization's runners share one
//! token. `administration: write` could delete a repository, so a token with
//! that permission covers only one repository. This costs one more call an hour
//! for each repository.

use std::sync::Arc;

use ecsrunner_core::id::{Organization, Repository};
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::flights::Flights;
use super::jwt::Signer;
use super::{App, Bearer, CredentialsError, Grant, InstallationId, RunnerScope};
use crate::http::{Call, Http};
use crate::permissions::{ACTIONS, ADMINISTRATION, METADATA, ORGANIZATION_RUNNERS, READ, WRITE};
use crate::reply::Fault;

/// A token is not used in the last minutes of its hour.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);

#[derive(Debug)]
pub(crate) struct AppAuthority {
    http: Http,
    signer: Arc<Signer>,
    installation: Option<InstallationId>,
    /// By owner in lower case. An App has one installation for each account.
    installations: Flights<String, InstallationId>,
    tokens: Flights<(InstallationId, Power), Token>,
}

/// The permissions of a token within one installation.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Power {
    Read,
    /// Runs jobs again, in one repository.
    Rerun(Repository),
    RepositoryRunners(Repository),
    OrganizationRunners,
}

#[derive(Clone)]
struct Token {
    bearer: Bearer,
    ends: Timestamp,
}

impl AppAuthority {
    pub(super) fn new(http: Http, app: &App) -> Result<Self, CredentialsError> {
        Ok(Self {
            http,
            signer: Arc::new(Signer::new(app)?),
            installation: app.installation,
            installations: Flights::new(),
            tokens: Flights::new(),
        })
    }

    /// Returns a token for `grant`. If the installation is gone, because the App was
    /// removed and installed again, it is looked up once more.
    pub(super) async fn bearer(&self, grant: &Grant) -> Result<Bearer, Fault> {
        let installation = self.installation(grant).await?;
        let outcome = self.token(installation, grant).await;
        if self.installation.is_some() || !outcome.as_ref().is_err_and(|fault| fault.is_refusal(404)) {
            return outcome;
        }
        self.installations.forget(|known| *known == installation);
        let installation = self.installation(grant).await?;
        self.token(installation, grant).await
    }

    /// Returns a JWT that identifies the App.
    pub(super) fn own_word(&self) -> Result<Bearer, Fault> {
        self.signer.bearer(Timestamp::now())
    }

    /// Returns the installation that the credentials name.
    pub(super) fn configured_installation(&self) -> Option<InstallationId> {
        self.installation
    }

    pub(super) fn forget(&self, bearer: &Bearer) {
        self.tokens.forget(|token| token.bearer.is(bearer));
    }

    async fn installation(&self, grant: &Grant) -> Result<InstallationId, Fault> {
        if let Some(installation) = self.installation {
            return Ok(installation);
        }
        let (owner, call) = match grant {
            Grant::Installation(id) => return Ok(*id),
            Grant::Read(repository)
            | Grant::Rerun(repository)
            | Grant::Runners(RunnerScope::Repository(repository)) => look_up_of_repository(repository),
            Grant::Runners(RunnerScope::Organization(organization)) => look_up_of_organization(organization),
        };
        let (http, signer) = (self.http.clone(), Arc::clone(&self.signer));
        let start = || installation_of(http, signer, call).boxed();
        self.installations.get(owner.to_ascii_lowercase(), |_| true, start).await
    }

    async fn token(&self, installation: InstallationId, grant: &Grant) -> Result<Bearer, Fault> {
        let power = Power::of(grant);
        let (http, signer) = (self.http.clone(), Arc::clone(&self.signer));
        let call = mint(installation, &power);
        let start = || token_of(http, signer, call).boxed();
        let until = Timestamp::now() + MARGIN;
        let token = self.tokens.get((installation, power), |token| token.ends > until, start).await?;
        Ok(token.bearer)
    }
}

impl Power {
    fn of(grant: &Grant) -> Self {
        match grant {
            Grant::Read(_) | Grant::Installation(_) => Self::Read,
            Grant::Rerun(repository) => Self::Rerun(repository.clone()),
            Grant::Runners(RunnerScope::Repository(repository)) => {
                Self::RepositoryRunners(repository.clone())
            }
            Grant::Runners(RunnerScope::Organization(_)) => Self::OrganizationRunners,
        }
    }

    /// Returns the body of the call that creates the token, with no other permissions.
    fn request(&self) -> Value {
        let (name, level, repository) = match self {
            Self::Read => (ACTIONS, READ, None),
            Self::Rerun(repository) => (ACTIONS, WRITE, Some(repository)),
            Self::RepositoryRunners(repository) => (ADMINISTRATION, WRITE, Some(repository)),
            Self::OrganizationRunners => (ORGANIZATION_RUNNERS, WRITE, None),
        };
        let mut request = json!({"permissions": {name: level, METADATA: READ}});
        if let Some(repository) = repository {
            request["repositories"] = json!([repository.name()]);
        }
        request
    }
}

fn look_up_of_repository(repository: &Repository) -> (String, Call) {
    let path = format!("repos/{repository}/installation");
    (repository.owner().to_owned(), Call::get("get-installation", repository, path))
}

fn look_up_of_organization(organization: &Organization) -> (String, Call) {
    let path = format!("orgs/{organization}/installation");
    (organization.to_string(), Call::get("get-installation", organization, path))
}

fn mint(installation: InstallationId, power: &Power) -> Call {
    let subject = match power {
        Power::Read => format!("installation {installation} to read actions"),
        Power::Rerun(repository) => format!("installation {installation} to run jobs of {repository} again"),
        Power::RepositoryRunners(repository) => {
            format!("installation {installation} for the runners of {repository}")
        }
        Power::OrganizationRunners => format!("installation {installation} for an organization's runners"),
    };
    let path = format!("app/installations/{installation}/access_tokens");
    Call::post("create-access-token", subject, path, power.request())
}

async fn installation_of(http: Http, signer: Arc<Signer>, call: Call) -> Result<InstallationId, Fault> {
    #[derive(Deserialize)]
    struct Installation {
        id: u64,
    }
    let bearer = signer.bearer(Timestamp::now())?;
    let reply: Installation = http.send(&call, &bearer).await?.json()?;
    Ok(InstallationId::new(reply.id))
}

async fn token_of(http: Http, signer: Arc<Signer>, call: Call) -> Result<Token, Fault> {
    #[derive(Deserialize)]
    struct AccessToken {
        token: String,
        expires_at: Timestamp,
    }
    let bearer = signer.bearer(Timestamp::now())?;
    let reply: AccessToken = http.send(&call, &bearer).await?.json()?;
    let bearer = Bearer::new(SecretString::from(reply.token))
        .ok_or_else(|| Fault::credentials("GitHub returned an empty token"))?;
    Ok(Token { bearer, ends: reply.expires_at })
}
