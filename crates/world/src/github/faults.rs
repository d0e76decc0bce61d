//! Faults of GitHub that hit a part of the requests. The default is none of them.

use std::collections::HashSet;
use std::time::Duration;

use ecsrunner_core::id::Repository;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_engine::ports::github::GitHubError;
use jiff::Timestamp;

/// Faults that are on now. Probabilities are between 0 and 1, of each request.
#[derive(Clone, Debug, Default)]
pub struct HubFaults {
    /// The App has no webhook of its own: an organization's or a repository's webhook is used, so the
    /// App's list of deliveries is empty.
    pub no_app_webhook: bool,
    /// Probability that a registration is answered with `registration_failure`.
    pub registration_fails: f64,
    /// What a registration that fails is answered with.
    pub registration_failure: RegistrationFailure,
    /// How long GitHub takes over a registration, in addition to the way there and back.
    pub registration_takes: Duration,
    /// Registrations a minute that other clients of the account leave; GitHub's own limit where `None`.
    pub registrations_per_minute: Option<usize>,
    /// Repositories whose registrations are not answered before the client gives up.
    pub hanging: HashSet<Repository>,
    /// Repositories whose runners are registered and cannot connect, as behind an IP allow list.
    pub unconnectable: HashSet<Repository>,
    /// Until when reads of single jobs are throttled; the answer says so.
    pub job_reads_throttled_until: Option<Timestamp>,
}

/// An answer that makes no registration, although a retry would.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RegistrationFailure {
    /// 502.
    #[default]
    BadGateway,
    /// 404, although nothing is missing.
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

    /// How long to wait before a job may be read, as long as reads of jobs are throttled.
    pub(super) fn job_reads_wait(&self, now: Timestamp) -> Option<Duration> {
        let until = self.job_reads_throttled_until.filter(|until| now < *until)?;
        Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
    }
}

/// Whether the scope is one of the repositories.
fn names(repositories: &HashSet<Repository>, scope: &Scope) -> bool {
    matches!(scope, Scope::Repository(repository) if repositories.contains(repository))
}
