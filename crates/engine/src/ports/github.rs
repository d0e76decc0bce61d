//! GitHub's API, as far as the engine needs it.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use ecsrunner_core::id::{Account, DeliveryId, JobId, Repository, RunId, RunnerId, RunnerName};
use ecsrunner_core::rules::pool::Scope;
use jiff::Timestamp;
use secrecy::SecretString;

use super::Disposition;

/// GitHub's REST API. Every call has a timeout of its own.
pub trait GitHub: Send + Sync {
    /// Whose budget a registration in that scope draws on.
    fn account(&self, scope: &Scope) -> Account;

    /// Makes a just-in-time runner configuration: registers the runner at once,
    /// with exactly these labels, in this scope.
    fn generate_jitconfig(
        &self,
        scope: &Scope,
        runner: &RunnerName,
        labels: &[String],
    ) -> impl Future<Output = Result<JitConfig, GitHubError>> + Send;

    /// The registration of that name. `None` only after a control read in the
    /// same scope has succeeded, so that lost permissions never look like an
    /// absent runner.
    fn runner(
        &self,
        scope: &Scope,
        runner: &RunnerName,
    ) -> impl Future<Output = Result<Option<Registration>, GitHubError>> + Send;

    /// Deletes a registration. A busy runner's is not deleted.
    fn delete_runner(
        &self,
        scope: &Scope,
        id: RunnerId,
    ) -> impl Future<Output = Result<Deletion, GitHubError>> + Send;

    /// A workflow job as GitHub has it now; `None` under the same rule as [`Self::runner`].
    fn job(
        &self,
        repository: &Repository,
        job: JobId,
    ) -> impl Future<Output = Result<Option<RemoteJob>, GitHubError>> + Send;

    /// A workflow run as GitHub has it now; `None` under the same rule as [`Self::runner`].
    fn run(
        &self,
        repository: &Repository,
        run: RunId,
    ) -> impl Future<Output = Result<Option<RemoteRun>, GitHubError>> + Send;

    /// The queued jobs of a repository's queued and running runs, oldest run first.
    fn queued_jobs(
        &self,
        repository: &Repository,
    ) -> impl Future<Output = Result<Vec<RemoteJob>, GitHubError>> + Send;

    /// A page of a scope's registrations, a hundred at most; pages count from 1.
    fn registrations(
        &self,
        scope: &Scope,
        page: u32,
    ) -> impl Future<Output = Result<RegistrationPage, GitHubError>> + Send;

    /// A page of the App's webhook deliveries, the latest first, from a cursor
    /// on. `None` without an App: a token is told of no deliveries.
    fn deliveries(
        &self,
        cursor: Option<&str>,
    ) -> impl Future<Output = Result<Option<DeliveryPage>, GitHubError>> + Send;

    /// What a delivery carried; `None` where GitHub keeps it no more.
    fn delivery(
        &self,
        number: u64,
    ) -> impl Future<Output = Result<Option<DeliveredWebhook>, GitHubError>> + Send;
}

/// A page of registrations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistrationPage {
    /// Names as registered, ours and others'.
    pub runners: Vec<(String, Registration)>,
    /// Whether another page follows.
    pub more: bool,
}

/// A page of webhook deliveries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryPage {
    /// The latest first.
    pub deliveries: Vec<PastDelivery>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// A webhook delivery that GitHub made, or tried to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PastDelivery {
    /// GitHub's number of it; a redelivery has one of its own.
    pub number: u64,
    /// `X-GitHub-Delivery`.
    pub id: DeliveryId,
    /// When it was made.
    pub delivered_at: Timestamp,
    /// The event, such as `workflow_job`.
    pub event: String,
    /// The repository's id, where there is one.
    pub repository: Option<u64>,
    /// `OK`, or what went wrong. An `OK` was delivered, and may still have been lost.
    pub status: String,
}

/// What a delivery carried. GitHub's answer to an authenticated question: there
/// is no signature over it, and none is needed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveredWebhook {
    pub event: String,
    /// The payload as JSON text.
    pub body: String,
}

/// A just-in-time configuration. It serves one job, and one session at a time;
/// anyone who holds it can use it until that job is done.
#[derive(Debug)]
pub struct JitConfig {
    /// GitHub's id of the registration that came with it.
    pub runner_id: RunnerId,
    /// The encoded configuration: a secret.
    pub encoded: SecretString,
}

/// A registered self-hosted runner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    pub id: RunnerId,
    /// Whether it runs a job; GitHub's answer can lag.
    pub busy: bool,
    /// Whether its listener is connected.
    pub online: bool,
}

/// What deleting a registration brought about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deletion {
    /// It was there and is gone. Proves nothing about a job on its way to the runner.
    Deleted,
    /// It was not there, and a control read in the same scope succeeded.
    Absent,
    /// It runs a job (GitHub's 422) and stays.
    Busy,
}

/// A workflow job as GitHub's API tells it. The same facts as the webhook's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteJob {
    pub id: JobId,
    /// The run that it belongs to.
    pub run: RunId,
    /// The run's attempt, from 1.
    pub attempt: u32,
    /// The name as shown in GitHub's pages.
    pub name: String,
    pub workflow: Option<String>,
    /// The branch of the run's head.
    pub head_branch: Option<String>,
    /// The labels of `runs-on`, as spelt.
    pub labels: Vec<String>,
    /// Whether its repository is private or internal, where GitHub said.
    pub private: Option<bool>,
    /// `queued`, `in_progress`, `completed`, `waiting`, or what GitHub adds.
    pub status: String,
    /// `success`, `failure`, …, once completed.
    pub conclusion: Option<String>,
    /// The runner that took it.
    pub runner_name: Option<String>,
    /// When it was queued.
    pub created_at: Option<Timestamp>,
    /// When a runner began it.
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
}

/// A workflow run as GitHub's API tells it: the only source of what started it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteRun {
    /// The event that started it, such as `pull_request`.
    pub event: String,
    /// The repository that its head commit is in; a deleted fork has none.
    pub head_repository: Option<Repository>,
    pub actor: Option<String>,
    /// Whether its repository is private or internal, where GitHub said.
    pub private: Option<bool>,
}

/// Why a call to GitHub brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    /// No answer, or none that could be read.
    #[error("no usable answer from GitHub to {operation}")]
    Unreachable {
        /// What was asked, such as `generate-jitconfig of acme/app`.
        operation: String,
        /// What went wrong below.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// GitHub's own fault (5xx).
    #[error("GitHub answered {status} to {operation}")]
    Server { operation: String, status: u16 },
    /// A rate limit, primary or secondary.
    #[error("GitHub's rate limit holds {operation} back for {} s", after.as_secs())]
    Throttled {
        operation: String,
        /// `retry-after`, the limit's reset, or 60 s where GitHub says neither.
        after: Duration,
    },
    /// A runner of that name is registered already (409).
    #[error("a runner of that name is registered already")]
    NameTaken,
    /// 401, 403, 404 or 422 without a wish to be asked again.
    #[error("GitHub refuses {operation} with {status}: {message}")]
    Refused {
        operation: String,
        status: u16,
        /// GitHub's `message`.
        message: String,
    },
    /// The configured credentials cannot be used.
    #[error("the GitHub credentials cannot be used: {0}")]
    Credentials(String),
}

impl GitHubError {
    /// What a caller can do about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unreachable { .. } | Self::Server { .. } => Disposition::Retry { after: None },
            Self::Throttled { after, .. } => Disposition::Retry { after: Some(*after) },
            Self::NameTaken => Disposition::AlreadyDone,
            Self::Refused { .. } | Self::Credentials(_) => Disposition::Permanent,
        }
    }
}
