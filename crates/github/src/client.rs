//! The client for GitHub's API: chooses the token for each call and sends it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ecsrunner_core::id::{Account, JobId, Repository, RunId, RunnerId, RunnerName};
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_engine::ports::github::{
    CALL_LIMIT, Deletion, DeliveredWebhook, DeliveryPage, GitHub, GitHubError, JitConfig, QueuedJobs,
    Registration, RegistrationPage, RemoteJob, RemoteRun, RepositoryPage, RunPart,
};
use rustls::ClientConfig;

use crate::auth::{Authority, Credentials, CredentialsError, Grant, InstallationId};
use crate::http::{ApiUrl, Call, Http, StorageError, Stored};
use crate::relay::Relay;
use crate::releases::LastRelease;
use crate::reply::{Fault, Reply};
use crate::{deliveries, jobs, repositories, runners};

/// GitHub's REST API. Cloning shares connections and tokens.
#[derive(Clone, Debug)]
pub struct Client {
    via: Via,
    last_release: LastRelease,
}

#[derive(Clone, Debug)]
enum Via {
    /// This process has credentials.
    Direct { http: Http, authority: Authority },
    /// Another process has them.
    Relay(Relay),
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The token or the App's key is not valid.
    #[error("the GitHub credentials cannot be used")]
    Credentials(#[from] CredentialsError),
    /// The TLS stack or its root certificates are not available.
    #[error("the HTTP client could not be set up")]
    Http(#[source] reqwest::Error),
}

impl Client {
    /// Creates a client whose HTTP calls each end within [`CALL_LIMIT`].
    ///
    /// # Errors
    ///
    /// The credentials cannot be used, or the machine has no root certificates.
    pub fn new(api: ApiUrl, credentials: &Credentials) -> Result<Self, ClientError> {
        Self::with_call_limit(api, credentials, CALL_LIMIT)
    }

    /// Creates a client whose HTTP calls each end within `call_limit`.
    ///
    /// # Errors
    ///
    /// As for [`Self::new`].
    pub fn with_call_limit(
        api: ApiUrl,
        credentials: &Credentials,
        call_limit: Duration,
    ) -> Result<Self, ClientError> {
        Self::with_tls(api, credentials, call_limit, None)
    }

    /// Creates a client whose HTTP calls each end within `call_limit`. If `tls`
    /// is given, it is used and no root certificates are loaded.
    ///
    /// # Errors
    ///
    /// The credentials cannot be used; without `tls`, as for [`Self::new`].
    pub fn with_tls(
        api: ApiUrl,
        credentials: &Credentials,
        call_limit: Duration,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Self, ClientError> {
        let http = Http::new(api, call_limit, tls).map_err(ClientError::Http)?;
        let authority = Authority::new(http.clone(), credentials)?;
        Ok(Self { via: Via::Direct { http, authority }, last_release: LastRelease::default() })
    }

    pub(crate) fn of_relay(relay: Relay) -> Self {
        Self { via: Via::Relay(relay), last_release: LastRelease::default() }
    }

    pub(crate) fn last_release(&self) -> &LastRelease {
        &self.last_release
    }

    /// Sends a call with the bearer that `grant` needs. If GitHub no longer accepts
    /// the bearer (401), the call is sent once more with a new one. A plain token
    /// cannot be replaced.
    pub(crate) async fn ask(&self, grant: &Grant, call: &Call) -> Result<Reply, Fault> {
        let (http, authority) = match &self.via {
            Via::Direct { http, authority } => (http, authority),
            Via::Relay(relay) => return relay.ask(grant, call).await,
        };
        let bearer = authority.bearer(grant).await?;
        let reply = http.send(call, &bearer).await?;
        if reply.status() != 401 || !authority.forget(&bearer) {
            return Ok(reply);
        }
        let bearer = authority.bearer(grant).await?;
        http.send(call, &bearer).await
    }

    /// Whether this is github.com's API, or a stand-in for it on this machine. Another API may lack the repositories of
    /// github.com.
    pub(crate) fn has_public_repositories(&self) -> bool {
        match &self.via {
            Via::Direct { http, .. } => http.has_public_repositories(),
            Via::Relay(_) => false,
        }
    }

    /// Returns the App's installation, if the credentials name one.
    pub(crate) fn configured_installation(&self) -> Option<InstallationId> {
        match &self.via {
            Via::Direct { authority, .. } => authority.configured_installation(),
            Via::Relay(_) => None,
        }
    }

    /// Reads the target of a reply's redirect, without a bearer.
    pub(crate) async fn read_stored(&self, location: &str, limit: usize) -> Result<Stored, StorageError> {
        match &self.via {
            Via::Direct { http, .. } => http.read_stored(location, limit).await,
            // No reply of a relay has a location.
            Via::Relay(_) => Err(StorageError::Address("a deployment passes on no files")),
        }
    }

    /// Sends a call about a plain token's user; `None` with an App.
    pub(crate) async fn ask_as_user(&self, call: &Call) -> Result<Option<Reply>, Fault> {
        match &self.via {
            Via::Direct { http, authority } => match authority.plain_token() {
                None => Ok(None),
                Some(bearer) => http.send(call, &bearer).await.map(Some),
            },
            Via::Relay(relay) => relay.ask_as_user(call).await,
        }
    }

    /// Sends a call as anyone on the internet can.
    pub(crate) async fn ask_as_anyone(&self, call: &Call) -> Result<Reply, Fault> {
        match &self.via {
            Via::Direct { http, .. } => http.send(call, None).await,
            Via::Relay(relay) => relay.ask_as_anyone(call).await,
        }
    }

    /// Sends a call that an App makes about itself; `None` with a token.
    pub(crate) async fn ask_as_app(&self, call: &Call) -> Result<Option<Reply>, Fault> {
        match &self.via {
            Via::Direct { http, authority } => match authority.app()? {
                None => Ok(None),
                Some(bearer) => http.send(call, &bearer).await.map(Some),
            },
            Via::Relay(relay) => relay.ask_as_app(call).await,
        }
    }
}

impl GitHub for Client {
    fn account(&self, scope: &Scope) -> Account {
        match &self.via {
            Via::Direct { authority, .. } => authority.account(scope),
            Via::Relay(_) => scope.owner(),
        }
    }

    fn generate_jitconfig(
        &self,
        scope: &Scope,
        runner: &RunnerName,
        labels: &[String],
    ) -> impl Future<Output = Result<JitConfig, GitHubError>> + Send {
        runners::generate_jitconfig(self, scope, runner, labels)
    }

    async fn runner(&self, scope: &Scope, runner: &RunnerName) -> Result<Option<Registration>, GitHubError> {
        Ok(runners::by_name(self, scope, runner).await?)
    }

    async fn delete_runner(&self, scope: &Scope, id: RunnerId) -> Result<Deletion, GitHubError> {
        Ok(runners::delete(self, scope, id).await?)
    }

    async fn job(&self, repository: &Repository, job: JobId) -> Result<Option<RemoteJob>, GitHubError> {
        Ok(jobs::job(self, repository, job).await?)
    }

    async fn run(&self, repository: &Repository, run: RunId) -> Result<Option<RemoteRun>, GitHubError> {
        Ok(jobs::run(self, repository, run).await?)
    }

    async fn latest_jobs(&self, repository: &Repository, run: RunId) -> Result<Vec<RemoteJob>, GitHubError> {
        Ok(jobs::latest(self, repository, run).await?)
    }

    async fn run_again(&self, repository: &Repository, job: JobId) -> Result<(), GitHubError> {
        Ok(jobs::run_again(self, repository, job).await?)
    }

    async fn queued_jobs(&self, repository: &Repository, part: RunPart) -> Result<QueuedJobs, GitHubError> {
        Ok(jobs::queued(self, repository, part).await?)
    }

    async fn repositories(
        &self,
        owner: Option<&Account>,
        cursor: Option<&str>,
    ) -> Result<RepositoryPage, GitHubError> {
        Ok(repositories::page(self, owner, cursor).await?)
    }

    async fn registrations(&self, scope: &Scope, page: u32) -> Result<RegistrationPage, GitHubError> {
        Ok(runners::page(self, scope, page).await?)
    }

    async fn deliveries(&self, cursor: Option<&str>) -> Result<Option<DeliveryPage>, GitHubError> {
        Ok(deliveries::page(self, cursor).await?)
    }

    async fn delivery(&self, number: u64) -> Result<Option<DeliveredWebhook>, GitHubError> {
        Ok(deliveries::one(self, number).await?)
    }
}
