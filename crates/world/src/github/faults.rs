//! Faults of GitHub for a part of the requests. The default is no fault.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ecsrunner_core::id::{Account, JobId, Repository};
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_engine::ports::github::GitHubError;
use jiff::{SignedDuration, Timestamp};

/// The current faults. Probabilities are between 0 and 1, for each request.
#[derive(Clone, Debug, Default)]
pub struct HubFaults {
    /// The App has no webhook. A webhook of an organization or a repository is used, so the App's list of
    /// deliveries is empty.
    pub no_app_webhook: bool,
    /// From when on the App's webhook is off: later deliveries are those of an organization's webhook, and the
    /// App's list does not contain them.
    pub app_webhook_until: Option<Timestamp>,
    /// Until when lists of runs are throttled. The answer contains this time.
    pub lists_throttled_until: Option<Timestamp>,
    /// Repositories whose runs cannot be read, with the status of the answer.
    pub unlistable: HashMap<Repository, u16>,
    /// Accounts whose installation cannot be read, with the status of the answer: it lists no repositories.
    pub unlistable_installations: HashMap<Account, u16>,
    /// Deliveries by number that cannot be read, with the status of the answer.
    pub unreadable_deliveries: HashMap<u64, u16>,
    /// Deliveries by number that GitHub lists, and whose payload it no longer keeps.
    pub forgotten_deliveries: HashSet<u64>,
    /// The App lacks the permission to run jobs again: 403.
    pub reruns_refused: bool,
    /// Probability that a registration gets the answer `registration_failure`.
    pub registration_fails: f64,
    /// The answer to a failing registration.
    pub registration_failure: RegistrationFailure,
    /// How long GitHub takes for a registration, in addition to the network latency.
    pub registration_takes: Duration,
    /// Registrations a minute that other clients of the account leave; `None` for GitHub's own limit.
    pub registrations_per_minute: Option<usize>,
    /// Repositories whose registrations get no answer before the client gives up.
    pub hanging: HashSet<Repository>,
    /// Repositories whose registered runners cannot connect, for example because of an IP allow list.
    pub unconnectable: HashSet<Repository>,
    /// Repositories whose registrations GitHub takes away as soon as their runners wait for a job.
    pub losing: HashSet<Repository>,
    /// Jobs whose code stops the listener and keeps the runner's session open. GitHub says that such a job has ended, and
    /// goes on to call its runner busy.
    pub clinging: HashSet<JobId>,
    /// Until when reads of single jobs are throttled. The answer contains this time.
    pub job_reads_throttled_until: Option<Timestamp>,
    /// How long after the begin of its job a runner is still reported as not busy.
    pub busy_lags: Duration,
    /// Probability that a runner that connects gets no job, though it is idle and a job fits.
    pub starves_idle: f64,
    /// Probability that a runner does not start the job that GitHub gives it. GitHub queues such a job again after
    /// [`UNSTARTED_LIMIT`].
    pub unstarted: f64,
    /// Probability that GitHub reports such a job as begun meanwhile. It never reports that the job is queued again.
    pub unstarted_reported: f64,
}

/// How long GitHub waits for the start of a job that a runner took: 60 s (reported).
pub const UNSTARTED_LIMIT: SignedDuration = SignedDuration::from_secs(60);

/// The answer to a registration that fails, although a retry would succeed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RegistrationFailure {
    /// 502.
    #[default]
    BadGateway,
    /// 404, although the repository exists.
    NotFound,
}

impl RegistrationFailure {
    pub(super) fn error(self, operation: String) -> GitHubError {
        match self {
            Self::BadGateway => GitHubError::Server { operation, status: 502 },
            Self::NotFound => {
                GitHubError::Refused { operation, status: 404, message: "Not Found".to_owned() }
            }
        }
    }
}

impl HubFaults {
    pub(super) fn hangs(&self, scope: &Scope) -> bool {
        names(&self.hanging, scope)
    }

    pub(super) fn refuses_connection(&self, scope: &Scope) -> bool {
        names(&self.unconnectable, scope)
    }

    pub(super) fn takes_away(&self, scope: &Scope) -> bool {
        names(&self.losing, scope)
    }

    /// Returns how long to wait before a job may be read, if reads of jobs are throttled.
    pub(super) fn job_reads_wait(&self, now: Timestamp) -> Option<Duration> {
        wait(self.job_reads_throttled_until, now)
    }

    /// Returns how long to wait before runs may be listed, if lists of runs are throttled.
    pub(super) fn lists_wait(&self, now: Timestamp) -> Option<Duration> {
        wait(self.lists_throttled_until, now)
    }
}

fn wait(until: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    let until = until.filter(|until| now < *until)?;
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

/// Whether the scope is one of the repositories.
fn names(repositories: &HashSet<Repository>, scope: &Scope) -> bool {
    matches!(scope, Scope::Repository(repository) if repositories.contains(repository))
}
