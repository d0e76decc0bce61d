//! Creates GitHub's client at the first call to GitHub. Most invocations make none.

use std::sync::{Arc, Mutex, PoisonError};

use ecsrunner_aws::connection::Connection;
use ecsrunner_aws::secrets::{GitHubCredentials, SecretError, Secrets};
use ecsrunner_core::id::{Account, JobId, Repository, RunId, RunnerId, RunnerName};
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_engine::ports::Disposition;
use ecsrunner_engine::ports::github::{
    Deletion, DeliveredWebhook, DeliveryPage, GitHub, GitHubError, JitConfig, QueuedJobs, Registration,
    RegistrationPage, RemoteJob, RemoteRun, RepositoryPage, RunPart,
};
use ecsrunner_github::{ApiUrl, App, CALL_LIMIT, Client, Credentials};
use jiff::Timestamp;

/// A client that reads its credentials at the first call, and again after they change.
#[derive(Clone, Debug)]
pub(crate) struct LazyGitHub {
    secrets: Arc<Secrets>,
    connection: Connection,
    api: ApiUrl,
    made: Arc<Mutex<Option<Made>>>,
}

/// A client and the credentials that it was made from. Its tokens outlive an invocation.
#[derive(Debug)]
struct Made {
    of: Arc<GitHubCredentials>,
    client: Client,
}

impl LazyGitHub {
    pub(crate) fn new(secrets: Arc<Secrets>, connection: Connection, api: ApiUrl) -> Self {
        Self { secrets, connection, api, made: Arc::default() }
    }

    /// Keeps the client and its tokens, but reads the credentials from other secrets.
    pub(crate) fn with_secrets(&self, secrets: Arc<Secrets>) -> Self {
        Self { secrets, ..self.clone() }
    }

    pub(crate) async fn client(&self) -> Result<Client, GitHubError> {
        let credentials = self.secrets.github_credentials(Timestamp::now()).await.map_err(unusable)?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref().filter(|made| Arc::ptr_eq(&made.of, &credentials)) {
            return Ok(made.client.clone());
        }
        let client = self.make(&credentials)?;
        *made = Some(Made { of: credentials, client: client.clone() });
        Ok(client)
    }

    fn make(&self, credentials: &GitHubCredentials) -> Result<Client, GitHubError> {
        let unusable = |error: &dyn std::fmt::Display| GitHubError::Credentials(error.to_string());
        let credentials = match credentials {
            GitHubCredentials::Token(token) => Credentials::Token(token.clone()),
            GitHubCredentials::App(app) => Credentials::App(
                App::new(&app.id, app.private_key.clone(), app.installation)
                    .map_err(|error| unusable(&error))?,
            ),
        };
        Client::with_tls(self.api.clone(), &credentials, CALL_LIMIT, Some(self.connection.tls()))
            .map_err(|error| unusable(&error))
    }
}

/// Converts a failure to read the credentials. A transient failure must not look
/// like a refusal, which would hold launches.
fn unusable(error: SecretError) -> GitHubError {
    match error.disposition() {
        Disposition::Retry { .. } => GitHubError::Unreachable {
            operation: "the request for its credentials".to_owned(),
            source: Box::new(error),
        },
        Disposition::Permanent | Disposition::AlreadyDone => GitHubError::Credentials(error.to_string()),
    }
}

impl GitHub for LazyGitHub {
    /// Returns the owner, also with a token: each owner has its own pace.
    fn account(&self, scope: &Scope) -> Account {
        scope.owner()
    }

    async fn generate_jitconfig(
        &self,
        scope: &Scope,
        runner: &RunnerName,
        labels: &[String],
    ) -> Result<JitConfig, GitHubError> {
        self.client().await?.generate_jitconfig(scope, runner, labels).await
    }

    async fn runner(&self, scope: &Scope, runner: &RunnerName) -> Result<Option<Registration>, GitHubError> {
        self.client().await?.runner(scope, runner).await
    }

    async fn delete_runner(&self, scope: &Scope, id: RunnerId) -> Result<Deletion, GitHubError> {
        self.client().await?.delete_runner(scope, id).await
    }

    async fn job(&self, repository: &Repository, job: JobId) -> Result<Option<RemoteJob>, GitHubError> {
        self.client().await?.job(repository, job).await
    }

    async fn run(&self, repository: &Repository, run: RunId) -> Result<Option<RemoteRun>, GitHubError> {
        self.client().await?.run(repository, run).await
    }

    async fn latest_jobs(&self, repository: &Repository, run: RunId) -> Result<Vec<RemoteJob>, GitHubError> {
        self.client().await?.latest_jobs(repository, run).await
    }

    async fn run_again(&self, repository: &Repository, job: JobId) -> Result<(), GitHubError> {
        self.client().await?.run_again(repository, job).await
    }

    async fn queued_jobs(&self, repository: &Repository, part: RunPart) -> Result<QueuedJobs, GitHubError> {
        self.client().await?.queued_jobs(repository, part).await
    }

    async fn repositories(
        &self,
        owner: Option<&Account>,
        cursor: Option<&str>,
    ) -> Result<RepositoryPage, GitHubError> {
        self.client().await?.repositories(owner, cursor).await
    }

    async fn registrations(&self, scope: &Scope, page: u32) -> Result<RegistrationPage, GitHubError> {
        self.client().await?.registrations(scope, page).await
    }

    async fn deliveries(&self, cursor: Option<&str>) -> Result<Option<DeliveryPage>, GitHubError> {
        self.client().await?.deliveries(cursor).await
    }

    async fn delivery(&self, number: u64) -> Result<Option<DeliveredWebhook>, GitHubError> {
        self.client().await?.delivery(number).await
    }
}
