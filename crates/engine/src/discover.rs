//! Finds queued jobs whose webhooks were lost by asking GitHub. The API's answer
//! about a job becomes the same event as a webhook.

use std::collections::HashSet;
use std::sync::Arc;

use ecsrunner_core::decide::plan::DOUBT;
use ecsrunner_core::id::{JobId, Repository, RunId};
use ecsrunner_core::records::job::Job;
use ecsrunner_core::records::runner::Runner;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::wire::event::{Event, JobAction, JobEvent};
use ecsrunner_core::wire::job::{Conclusion, JobFacts, JobStatus, TakenBy};
use jiff::Timestamp;
use tracing::{info, warn};

use crate::chain;
use crate::ports::Clock;
use crate::ports::github::{GitHub, GitHubError, RemoteJob, RunPart};
use crate::ports::store::{Store, StoreError};
use crate::{Engine, World};

/// The most jobs that one call looks up one by one.
const MAX_ASKED: usize = 100;
/// The most active runs of a repository that polling looks at, the oldest first.
const MAX_RUNS: usize = 200;

/// What asking a repository for its queued jobs brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Discovered {
    /// How many jobs were new.
    pub(crate) found: usize,
    /// The run after which the next part begins.
    pub(crate) next: Option<RunId>,
    /// How many calls of GitHub's API this took.
    pub(crate) calls: u32,
}

/// Why a repository's queued jobs were not recorded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiscoverError {
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<W: World> Engine<W> {
    /// Looks for queued jobs in these repositories and returns how many were new.
    /// Open jobs that GitHub no longer lists are looked up one by one, until that
    /// time. A repository that GitHub does not answer for is left to the next call.
    ///
    /// # Errors
    ///
    /// The store is unavailable.
    pub async fn discover(
        &self,
        repositories: &[Repository],
        until: Option<Timestamp>,
    ) -> Result<usize, StoreError> {
        let mut found = 0;
        for repository in repositories {
            let part = RunPart { after: None, most: MAX_RUNS };
            match self.discover_in(repository, part, until).await {
                Ok(discovered) => {
                    if discovered.next.is_some() {
                        warn!(
                            %repository,
                            looked_at = MAX_RUNS,
                            "too many active runs to look at: queued jobs of the newest ones may be missed"
                        );
                    }
                    found += discovered.found;
                }
                Err(DiscoverError::GitHub(error)) => {
                    warn!(%repository, error = %chain(&error), "could not look for queued jobs");
                }
                Err(DiscoverError::Store(error)) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Looks for queued jobs in a part of a repository's active runs. If that part is
    /// all of them, open jobs that GitHub no longer lists are looked up one by one,
    /// until that time.
    pub(crate) async fn discover_in(
        &self,
        repository: &Repository,
        part: RunPart,
        until: Option<Timestamp>,
    ) -> Result<Discovered, DiscoverError> {
        let known = self.unheard_of(|job| job.facts.repository == *repository).await?;
        let queued = self.ports.github.queued_jobs(repository, part).await?;
        let listed: HashSet<JobId> = queued.jobs.iter().map(|job| job.id).collect();
        let mut found = 0;
        for remote in queued.jobs {
            let now = self.ports.clock.now();
            let Some(event) = event_of(&remote, &facts_of(&remote, repository), now) else { continue };
            if !self.record(&Event::Job(event)).await?.changes.is_empty() {
                info!(%repository, job_id = remote.id.get(), "discovered queued job");
                found += 1;
            }
        }
        let mut calls = queued.calls;
        if part.after.is_none() && queued.next.is_none() {
            let unlisted = known.into_iter().filter(|job| !listed.contains(&job.id()));
            calls = calls.saturating_add(self.ask_about(unlisted, until).await);
        }
        Ok(Discovered { found, next: queued.next, calls })
    }

    /// Asks GitHub about every open job that no open runner names. Webhooks may
    /// have been missed while this process was not running.
    ///
    /// # Errors
    ///
    /// The store is unavailable.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        let known = self.unheard_of(|_| true).await?;
        self.ask_about(known.into_iter(), None).await;
        Ok(())
    }

    /// Returns the open jobs about which only a webhook brings news.
    async fn unheard_of(&self, wanted: impl Fn(&Job) -> bool) -> Result<Vec<Job>, StoreError> {
        let open = self.ports.store.open().await?;
        let at_work: HashSet<JobId> = open
            .runners
            .values()
            .filter(|runner| runner.takes_slot())
            .filter_map(Runner::names_job)
            .collect();
        Ok(open.jobs.into_values().filter(|job| wanted(job) && !at_work.contains(&job.id())).collect())
    }

    /// Asks about these jobs one by one; returns how many were asked about.
    async fn ask_about(&self, jobs: impl Iterator<Item = Job>, until: Option<Timestamp>) -> u32 {
        let now = self.ports.clock.now();
        let mut asked = 0;
        let unasked = jobs.filter(|job| job.asked_at.is_none_or(|asked| now.duration_since(asked) >= DOUBT));
        for job in unasked.take(MAX_ASKED) {
            if until.is_some_and(|until| self.ports.clock.now() >= until) {
                break;
            }
            // `ask_job` logs a failure, and the next call asks again.
            self.ask_job(job, None).await;
            asked += 1;
        }
        asked
    }
}

/// Converts the API's answer about a job to the same event as a webhook. `None`
/// for a status that is not known here.
pub(crate) fn event_of(remote: &RemoteJob, facts: &Arc<JobFacts>, now: Timestamp) -> Option<JobEvent> {
    let runner = TakenBy::from_name(remote.runner_name.as_deref());
    let action = match &remote.status {
        JobStatus::Queued | JobStatus::Requested | JobStatus::Pending => JobAction::Queued,
        JobStatus::Waiting => JobAction::Waiting,
        JobStatus::InProgress => JobAction::InProgress { runner, started_at: remote.started_at },
        JobStatus::Completed => JobAction::Completed {
            runner,
            conclusion: Conclusion::parse(remote.conclusion.as_deref().unwrap_or("unknown")),
            completed_at: remote.completed_at,
        },
        JobStatus::Other(_) => return None,
    };
    Some(JobEvent {
        action,
        facts: facts.clone(),
        private: remote.private,
        created_at: remote.created_at,
        received_at: now,
    })
}

/// Reads the facts of a job from the API's answer.
fn facts_of(remote: &RemoteJob, repository: &Repository) -> Arc<JobFacts> {
    Arc::new(JobFacts {
        id: remote.id,
        run: remote.run,
        attempt: remote.attempt,
        repository: repository.clone(),
        name: JobFacts::cut(&remote.name),
        workflow: remote.workflow.as_deref().map(JobFacts::cut),
        labels: Labels::of_job(&remote.labels),
    })
}
