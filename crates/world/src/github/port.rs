//! The engine's view of GitHub.

use std::time::Duration;

use ecsrunner_core::id::{Account, JobId, Repository, RunId, RunnerId, RunnerName};
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_engine::ports::Clock;
use ecsrunner_engine::ports::github::{
    CALL_LIMIT, Deletion, DeliveredWebhook, DeliveryPage, GitHub, GitHubError, JitConfig, PastDelivery,
    QueuedJobs, Registration, RegistrationPage, RemoteJob, RemoteRun, RepositoryPage, RunPart,
};
use jiff::Timestamp;
use secrecy::SecretString;

use super::{HubDelivery, HubJob, HubRunner, Trouble};
use crate::outside::{Outside, Shared};

/// The size of a page of registrations or deliveries.
const PAGE: usize = 100;

#[derive(Clone, Debug)]
pub struct MemoryGitHub(pub(crate) Shared);

impl MemoryGitHub {
    /// Answers a request from the current state, unless GitHub is down.
    fn ask<T>(
        &self,
        operation: &str,
        answer: impl FnOnce(&mut Outside) -> Result<T, GitHubError>,
    ) -> Result<T, GitHubError> {
        let mut outside = self.0.lock();
        if outside.hub.trouble == Trouble::Outage {
            return Err(GitHubError::Server { operation: operation.to_owned(), status: 502 });
        }
        answer(&mut outside)
    }

    /// Like [`Self::ask`], for requests that need the permission to administer runners.
    fn administer<T>(
        &self,
        operation: &str,
        answer: impl FnOnce(&mut Outside) -> Result<T, GitHubError>,
    ) -> Result<T, GitHubError> {
        self.ask(operation, |outside| {
            if outside.hub.trouble == Trouble::Refused {
                let message = "Resource not accessible by integration".to_owned();
                return Err(GitHubError::Refused { operation: operation.to_owned(), status: 403, message });
            }
            answer(outside)
        })
    }

    /// Waits for the time that GitHub needs for a registration, or until the caller gives up.
    async fn await_registration(&self, scope: &Scope) -> Result<(), GitHubError> {
        let (takes, hangs) = {
            let faults = &self.0.lock().hub.faults;
            (faults.registration_takes, faults.hangs(scope))
        };
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        if hangs {
            tokio::time::sleep(CALL_LIMIT).await;
            let operation = "generate-jitconfig".to_owned();
            return Err(GitHubError::Unreachable {
                operation,
                source: "no answer within the time limit".into(),
            });
        }
        Ok(())
    }
}

impl GitHub for MemoryGitHub {
    fn account(&self, scope: &Scope) -> Account {
        scope.owner()
    }

    async fn generate_jitconfig(
        &self,
        scope: &Scope,
        runner: &RunnerName,
        labels: &[String],
    ) -> Result<JitConfig, GitHubError> {
        let operation = || "generate-jitconfig".to_owned();
        let now = self.0.clock().now();
        // GitHub counts a request when it arrives, whether or not it fails or its answer takes long.
        self.ask("generate-jitconfig", |outside| {
            let admitted = outside.hub.admit(&scope.owner(), now);
            admitted.map_err(|after| GitHubError::Throttled { operation: operation(), after })
        })?;
        self.await_registration(scope).await?;
        self.administer("generate-jitconfig", |outside| {
            let Outside { hub, random, .. } = outside;
            if random.happens(hub.faults.registration_fails) {
                return Err(hub.faults.registration_failure.error(operation()));
            }
            let id = hub.register(runner.as_str(), scope, labels, now).ok_or(GitHubError::NameTaken)?;
            outside.check_task_of(runner);
            Ok(JitConfig { runner_id: id, encoded: SecretString::from(id.to_string()) })
        })
    }

    async fn runner(&self, scope: &Scope, runner: &RunnerName) -> Result<Option<Registration>, GitHubError> {
        let now = self.0.clock().now();
        self.administer("get runner", |outside| {
            let lag = outside.hub.faults.busy_lags;
            let mut runners = outside.hub.runners.iter();
            let found = runners.find(|(_, known)| known.name == runner.as_str() && known.scope == *scope);
            Ok(found.map(|(id, runner)| registration(*id, runner, lag, now)))
        })
    }

    async fn delete_runner(&self, scope: &Scope, id: RunnerId) -> Result<Deletion, GitHubError> {
        self.administer("delete runner", |outside| {
            Ok(match outside.hub.runners.get(&id).filter(|runner| runner.scope == *scope) {
                None => Deletion::Absent,
                Some(runner) if runner.job.is_some() => Deletion::Busy,
                Some(_) => {
                    outside.hub.runners.remove(&id);
                    Deletion::Deleted
                }
            })
        })
    }

    async fn job(&self, repository: &Repository, job: JobId) -> Result<Option<RemoteJob>, GitHubError> {
        let now = self.0.clock().now();
        self.ask("get job", |outside| {
            if let Some(after) = outside.hub.faults.job_reads_wait(now) {
                outside.hub.throttled_job_reads += 1;
                return Err(GitHubError::Throttled { operation: "get job".to_owned(), after });
            }
            let job = outside.hub.jobs.get(&job).filter(|job| job.order.repository == *repository);
            Ok(job.map(HubJob::remote))
        })
    }

    async fn run(&self, repository: &Repository, run: RunId) -> Result<Option<RemoteRun>, GitHubError> {
        let head_repository = Some(repository.clone());
        self.ask("get run", |outside| {
            let Some(attempt) = outside.hub.attempt(run) else { return Ok(None) };
            Ok(Some(RemoteRun {
                attempt,
                is_completed: outside.hub.has_run_ended(run),
                event: "push".to_owned(),
                head_repository,
                actor: None,
                private: Some(true),
            }))
        })
    }

    async fn latest_jobs(&self, repository: &Repository, run: RunId) -> Result<Vec<RemoteJob>, GitHubError> {
        self.ask("list jobs", |outside| {
            let latest = outside.hub.latest_jobs(run);
            let latest = latest.filter(|job| job.order.repository == *repository);
            Ok(latest.map(HubJob::remote).collect())
        })
    }

    async fn run_again(&self, _repository: &Repository, job: JobId) -> Result<(), GitHubError> {
        let now = self.0.clock().now();
        self.ask("re-run job", |outside| {
            let operation = "re-run-job".to_owned();
            if outside.hub.faults.reruns_refused {
                let message = "Resource not accessible by integration".to_owned();
                return Err(GitHubError::Refused { operation, status: 403, message });
            }
            match outside.hub.rerun(job, now) {
                Some(_) => Ok(()),
                None => {
                    let message = "This workflow run is already running".to_owned();
                    Err(GitHubError::Refused { operation, status: 403, message })
                }
            }
        })?;
        self.0.touch();
        Ok(())
    }

    async fn queued_jobs(&self, repository: &Repository, part: RunPart) -> Result<QueuedJobs, GitHubError> {
        let now = self.0.clock().now();
        self.ask("list jobs", |outside| {
            let hub = &mut outside.hub;
            let operation = || "list-runs".to_owned();
            if let Some(after) = hub.faults.lists_wait(now) {
                hub.list_calls += 1;
                return Err(GitHubError::Throttled { operation: operation(), after });
            }
            if let Some(status) = hub.faults.unlistable.get(repository) {
                hub.list_calls += 1;
                return Err(refusal(operation(), *status));
            }
            let queued = hub.queued_jobs(repository, part);
            hub.list_calls += u64::from(queued.calls);
            Ok(queued)
        })
    }

    async fn repositories(
        &self,
        owner: Option<&Account>,
        cursor: Option<&str>,
    ) -> Result<RepositoryPage, GitHubError> {
        self.ask("list repositories", |outside| {
            let page = outside.hub.repository_page(owner, cursor);
            outside.hub.list_calls += u64::from(page.calls);
            Ok(page)
        })
    }

    async fn registrations(&self, scope: &Scope, page: u32) -> Result<RegistrationPage, GitHubError> {
        let before = usize::try_from(page.saturating_sub(1)).unwrap_or(0) * PAGE;
        let now = self.0.clock().now();
        self.administer("list runners", |outside| {
            let lag = outside.hub.faults.busy_lags;
            let of_scope = outside.hub.runners.iter().filter(|(_, runner)| runner.scope == *scope);
            let mut rest = of_scope
                .skip(before)
                .map(|(id, runner)| (runner.name.clone(), registration(*id, runner, lag, now)));
            let runners: Vec<(String, Registration)> = rest.by_ref().take(PAGE).collect();
            Ok(RegistrationPage { more: rest.next().is_some(), runners })
        })
    }

    async fn deliveries(&self, cursor: Option<&str>) -> Result<Option<DeliveryPage>, GitHubError> {
        let before = cursor.and_then(|cursor| cursor.parse::<u64>().ok()).unwrap_or(u64::MAX);
        self.ask("list deliveries", |outside| {
            let hub = &outside.hub;
            let is_of_app = |delivery: &&HubDelivery| {
                !hub.faults.no_app_webhook
                    && hub.faults.app_webhook_until.is_none_or(|until| delivery.at < until)
            };
            let mut older = hub.deliveries.iter().rev().filter(is_of_app).filter(|it| it.number < before);
            let deliveries: Vec<PastDelivery> = older
                .by_ref()
                .take(PAGE)
                .map(|delivery| PastDelivery {
                    number: delivery.number,
                    id: delivery.id.clone(),
                    delivered_at: delivery.at,
                    event: "workflow_job".to_owned(),
                    action: Some(delivery.action.to_owned()),
                    repository: Some(1),
                    // API Gateway accepts every delivery. Losses happen behind it.
                    status: "OK".to_owned(),
                })
                .collect();
            let last = deliveries.last().map(|delivery| delivery.number.to_string());
            let next = older.next().and(last);
            Ok(Some(DeliveryPage { deliveries, next }))
        })
    }

    async fn delivery(&self, number: u64) -> Result<Option<DeliveredWebhook>, GitHubError> {
        self.ask("get delivery", |outside| {
            let hub = &outside.hub;
            if let Some(status) = hub.faults.unreadable_deliveries.get(&number) {
                return Err(refusal("get delivery".to_owned(), *status));
            }
            let found = hub.deliveries.iter().find(|delivery| delivery.number == number);
            let found = found.filter(|_| !hub.faults.forgotten_deliveries.contains(&number));
            Ok(found
                .map(|found| DeliveredWebhook { event: "workflow_job".to_owned(), body: found.body.clone() }))
        })
    }
}

/// Returns the error of a status: of a server error, or of a refusal.
fn refusal(operation: String, status: u16) -> GitHubError {
    match status {
        500.. => GitHubError::Server { operation, status },
        _ => GitHubError::Refused { operation, status, message: "no such thing".to_owned() },
    }
}

/// Describes a registration. The word `busy` comes this much later than the job.
fn registration(id: RunnerId, runner: &HubRunner, lag: Duration, now: Timestamp) -> Registration {
    let busy = runner.busy_since.is_some_and(|since| since + lag <= now);
    Registration { id, busy, online: runner.online }
}
