//! GitHub's API, as far as the engine needs it.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use ecsrunner_core::decide::sweep::repositories::Listed as ListedRepository;
use ecsrunner_core::id::{Account, DeliveryId, JobId, Repository, RunId, RunnerId, RunnerName};
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::job::JobStatus;
use jiff::Timestamp;
use secrecy::SecretString;

use super::Disposition;

/// How long one call may take, including reading its answer. GitHub ends its own requests after ten seconds.
pub const CALL_LIMIT: Duration = Duration::from_secs(10);

/// GitHub's REST API. Every call has a timeout of its own.
pub trait GitHub: Send + Sync {
    /// Returns the account whose rate limit a registration in that scope counts against.
    fn account(&self, scope: &Scope) -> Account;

    /// Creates a just-in-time configuration. This registers the runner at once in
    /// this scope, with exactly these labels.
    fn generate_jitconfig(
        &self,
        scope: &Scope,
        runner: &RunnerName,
        labels: &[String],
    ) -> impl Future<Output = Result<JitConfig, GitHubError>> + Send;

    /// Returns the registration of that name. `None` only after a control read in
    /// the same scope has succeeded, so that lost permissions never look like an
    /// absent runner.
    fn runner(
        &self,
        scope: &Scope,
        runner: &RunnerName,
    ) -> impl Future<Output = Result<Option<Registration>, GitHubError>> + Send;

    /// Deletes a registration, unless its runner is busy.
    fn delete_runner(
        &self,
        scope: &Scope,
        id: RunnerId,
    ) -> impl Future<Output = Result<Deletion, GitHubError>> + Send;

    /// Returns a workflow job's current state; `None` under the same rule as [`Self::runner`].
    fn job(
        &self,
        repository: &Repository,
        job: JobId,
    ) -> impl Future<Output = Result<Option<RemoteJob>, GitHubError>> + Send;

    /// Returns a workflow run's current state; `None` under the same rule as [`Self::runner`].
    fn run(
        &self,
        repository: &Repository,
        run: RunId,
    ) -> impl Future<Output = Result<Option<RemoteRun>, GitHubError>> + Send;

    /// Lists all jobs of a run's latest attempt; empty if the run does not exist.
    fn latest_jobs(
        &self,
        repository: &Repository,
        run: RunId,
    ) -> impl Future<Output = Result<Vec<RemoteJob>, GitHubError>> + Send;

    /// Runs a job and the jobs that depend on it again, as a new attempt of its run,
    /// which must have ended.
    fn run_again(
        &self,
        repository: &Repository,
        job: JobId,
    ) -> impl Future<Output = Result<(), GitHubError>> + Send;

    /// Lists the queued jobs of a part of a repository's queued and running runs, oldest run first.
    fn queued_jobs(
        &self,
        repository: &Repository,
        part: RunPart,
    ) -> impl Future<Output = Result<QueuedJobs, GitHubError>> + Send;

    /// Lists a page of the repositories of this owner, or of all owners, that the
    /// credentials reach, from a cursor on.
    fn repositories(
        &self,
        owner: Option<&Account>,
        cursor: Option<&str>,
    ) -> impl Future<Output = Result<RepositoryPage, GitHubError>> + Send;

    /// Lists a page of at most 100 of a scope's registrations. Pages count from 1.
    fn registrations(
        &self,
        scope: &Scope,
        page: u32,
    ) -> impl Future<Output = Result<RegistrationPage, GitHubError>> + Send;

    /// Lists a page of the App's webhook deliveries from a cursor on, the latest
    /// first. `None` without an App, because a token cannot list deliveries.
    fn deliveries(
        &self,
        cursor: Option<&str>,
    ) -> impl Future<Output = Result<Option<DeliveryPage>, GitHubError>> + Send;

    /// Returns a delivery's payload; `None` if GitHub no longer keeps it.
    fn delivery(
        &self,
        number: u64,
    ) -> impl Future<Output = Result<Option<DeliveredWebhook>, GitHubError>> + Send;
}

/// A part of a repository's active runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunPart {
    /// The run after which it begins; `None` for the oldest one.
    pub after: Option<RunId>,
    /// The most runs.
    pub most: usize,
}

/// The queued jobs of a part of a repository's active runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueuedJobs {
    /// The jobs of the oldest run first.
    pub jobs: Vec<RemoteJob>,
    /// The run after which the next part begins; `None` if this is the last part.
    pub next: Option<RunId>,
    /// How many calls of GitHub's API this took.
    pub calls: u32,
}

/// A page of repositories.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RepositoryPage {
    pub repositories: Vec<ListedRepository>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
    /// How many calls of GitHub's API this took.
    pub calls: u32,
    /// Why an installation was passed over, if GitHub did not list its repositories. The next page is another one's.
    pub passed_over: Option<String>,
}

/// A page of registrations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistrationPage {
    /// All registrations by name, including those of other systems.
    pub runners: Vec<(String, Registration)>,
    /// Whether another page follows.
    pub more: bool,
}

/// A page of webhook deliveries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryPage {
    /// The latest first.
    pub deliveries: Vec<PastDelivery>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
}

/// A webhook delivery that GitHub made or attempted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PastDelivery {
    /// GitHub's id of the delivery. A redelivery has its own.
    pub number: u64,
    /// `X-GitHub-Delivery`.
    pub id: DeliveryId,
    pub delivered_at: Timestamp,
    /// The event, such as `workflow_job`.
    pub event: String,
    /// Its action, such as `queued`, if it has one.
    pub action: Option<String>,
    /// The repository's id, if there is one.
    pub repository: Option<u64>,
    /// `OK`, or what went wrong. A delivery with `OK` can still have been lost after it arrived.
    pub status: String,
}

/// A delivery's payload. It comes from GitHub's authenticated API, so it has no
/// signature and needs none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveredWebhook {
    pub event: String,
    /// The payload as JSON text.
    pub body: String,
}

/// A just-in-time configuration. It serves one job, and one session at a time.
/// Anyone who holds it can use it until that job is done.
#[derive(Debug)]
pub struct JitConfig {
    /// GitHub's id of the registration that was created with it.
    pub runner_id: RunnerId,
    /// The encoded configuration: a secret.
    pub encoded: SecretString,
}

/// A registered self-hosted runner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    pub id: RunnerId,
    /// Whether it runs a job. GitHub's answer can lag.
    pub busy: bool,
    /// Whether its listener is connected.
    pub online: bool,
}

/// The result of deleting a registration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deletion {
    /// The registration existed and is deleted. A job may still be on its way to the runner.
    Deleted,
    /// The registration did not exist, and a control read in the same scope succeeded.
    Absent,
    /// The runner executes a job (GitHub's 422), so its registration stays.
    Busy,
}

/// A workflow job from GitHub's API, with the same facts as in a webhook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteJob {
    pub id: JobId,
    pub run: RunId,
    /// The run's attempt, from 1.
    pub attempt: u32,
    /// The name that GitHub's pages show.
    pub name: String,
    pub workflow: Option<String>,
    /// The branch of the run's head.
    pub head_branch: Option<String>,
    /// The labels of `runs-on`, with the case in which they are written.
    pub labels: Vec<String>,
    /// Whether its repository is private or internal, if GitHub gave it.
    pub private: Option<bool>,
    pub status: JobStatus,
    /// `success`, `failure`, …, once completed.
    pub conclusion: Option<String>,
    /// The runner that took it.
    pub runner_name: Option<String>,
    /// When it was queued.
    pub created_at: Option<Timestamp>,
    /// When a runner started it.
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
}

/// A workflow run from GitHub's API, the only source of the event that started it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteRun {
    /// Its latest attempt, from 1.
    pub attempt: u32,
    /// Whether that attempt has ended.
    pub is_completed: bool,
    /// The event that started it, such as `pull_request`.
    pub event: String,
    /// The repository of its head commit; `None` for a deleted fork.
    pub head_repository: Option<Repository>,
    pub actor: Option<String>,
    /// Whether its repository is private or internal, if GitHub gave it.
    pub private: Option<bool>,
}

/// Why a call to GitHub failed.
#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    /// No answer, or an answer that cannot be parsed.
    #[error("no usable answer from GitHub to {operation}")]
    Unreachable {
        /// The operation and its subject, such as `generate-jitconfig of acme/app`.
        operation: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A server error (5xx).
    #[error("GitHub answered {status} to {operation}")]
    Server { operation: String, status: u16 },
    /// A rate limit, primary or secondary.
    #[error("GitHub's rate limit holds {operation} back for {} s", after.as_secs())]
    Throttled {
        operation: String,
        /// `retry-after`, the limit's reset, or 60 s if GitHub gives neither.
        after: Duration,
    },
    /// A runner of that name is registered already (409).
    #[error("a runner of that name is registered already")]
    NameTaken,
    /// Another status that is no rate limit, such as 401, 403, 404 or 422.
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
    /// Returns what a caller can do about the error.
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
