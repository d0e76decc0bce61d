//! Finds queued jobs whose webhooks were lost by asking GitHub. The API's answer
//! about a job becomes the same event as a webhook.

use std::collections::HashSet;
use std::sync::Arc;

use ecsrunner_core::decide::plan::DOUBT;
use ecsrunner_core::id::{JobId, Repository};
use ecsrunner_core::records::job::Job;
use ecsrunner_core::records::runner::Runner;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::wire::event::{Event, JobAction, JobEvent};
use ecsrunner_core::wire::job::{Conclusion, JobFacts, JobStatus, TakenBy};
use jiff::Timestamp;
use tracing::{info, warn};

use crate::chain;
use crate::ports::Clock;
use crate::ports::github::{GitHub, RemoteJob};
use crate::ports::store::{Store, StoreError};
use crate::{Engine, World};

/// The most jobs that one call looks up one by one.
const MAX_ASKED: usize = 100;

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
            let known = self.unheard_of(|job| job.facts.repository == *repository).await?;
            let jobs = match self.ports.github.queued_jobs(repository).await {
                Ok(jobs) => jobs,
                Err(error) => {
                    warn!(%repository, error = %chain(&error), "could not look for queued jobs");
                    continue;
                }
            };
            let listed: HashSet<JobId> = jobs.iter().map(|job| job.id).collect();
            for remote in jobs {
                let now = self.ports.clock.now();
                let Some(event) = event_of(&remote, &facts_of(&remote, repository), now) else { continue };
                if !self.record(&Event::Job(event)).await?.changes.is_empty() {
                    info!(%repository, job_id = remote.id.get(), "discovered queued job");
                    found += 1;
                }
            }
            self.ask_about(known.into_iter().filter(|job| !listed.contains(&job.id())), until).await;
        }
        Ok(found)
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

    async fn ask_about(&self, jobs: impl Iterator<Item = Job>, until: Option<Timestamp>) {
        let now = self.ports.clock.now();
        let unasked = jobs.filter(|job| job.asked_at.is_none_or(|asked| now.duration_since(asked) >= DOUBT));
        for job in unasked.take(MAX_ASKED) {
            if until.is_some_and(|until| self.ports.clock.now() >= until) {
                return;
            }
            // `ask_job` logs a failure, and the next call asks again.
            self.ask_job(job, None).await;
        }
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
        labels: Labels::new(&remote.labels),
    })
}
