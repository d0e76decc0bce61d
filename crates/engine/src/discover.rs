//! Finds queued jobs whose webhooks were lost by asking GitHub. The API's answer
//! about a job becomes the same event as a webhook.

use std::collections::HashSet;
use std::sync::Arc;

use ecsrunner_core::clock::has_passed;
use ecsrunner_core::decide::plan::DOUBT;
use ecsrunner_core::id::{JobId, Repository, RunId};
use ecsrunner_core::records::job::{Job, JobState};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::Runner;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::wire::event::{Event, JobAction, JobEvent};
use ecsrunner_core::wire::job::{Conclusion, JobFacts, JobStatus, TakenBy};
use jiff::Timestamp;
use tracing::{debug, info, warn};

use crate::chain;
use crate::ports::github::{GitHub, GitHubError, RemoteJob, RunPart};
use crate::ports::store::{Store, StoreError};
use crate::ports::{Clock, Disposition};
use crate::{Engine, World};

/// The most jobs that one call looks up one by one.
const MAX_ASKED: usize = 100;
/// The most active runs of a repository that polling looks at, the oldest first.
const MAX_RUNS: usize = 200;

/// The fewest jobs that a turn records, even if its time is over, so that each turn gets on.
const LEAST_RECORDED: usize = 50;

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

/// Jobs that were not on record.
#[derive(Default)]
struct NewJobs {
    found: usize,
    /// Whether they can alter the plan.
    replan: bool,
    /// The run after which the next turn goes on, if the time was over before the end.
    cut_at: Option<RunId>,
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
        let open = self.ports.store.open().await?;
        let mut found = 0;
        for repository in repositories {
            let part = RunPart { after: None, most: MAX_RUNS };
            match self.discover_in(&open, repository, part, until).await {
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
                // The sweep asks it too, and warns.
                Err(DiscoverError::GitHub(error)) if error.disposition() == Disposition::Permanent => {
                    debug!(%repository, error = %chain(&error), "could not look for queued jobs");
                }
                Err(DiscoverError::GitHub(error)) => {
                    warn!(%repository, error = %chain(&error), "could not look for queued jobs");
                }
                Err(DiscoverError::Store(error)) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Looks for queued jobs in a part of a repository's active runs, and records those that are not in `open`, which was
    /// read before, until that time. If that part is all of them, open jobs that GitHub no longer lists are looked up one
    /// by one.
    pub(crate) async fn discover_in(
        &self,
        open: &Open,
        repository: &Repository,
        part: RunPart,
        until: Option<Timestamp>,
    ) -> Result<Discovered, DiscoverError> {
        let queued = self.ports.github.queued_jobs(repository, part).await?;
        let mut new = NewJobs::default();
        let recorded = self.record_new(&mut new, open, repository, &queued.jobs, until).await;
        if new.replan {
            // One kick for all of them.
            self.kick_or_later().await?;
        }
        recorded?;
        let mut calls = queued.calls;
        if part.after.is_none() && queued.next.is_none() && new.cut_at.is_none() {
            let listed: HashSet<JobId> = queued.jobs.iter().map(|job| job.id).collect();
            let known = unheard_of(open, |job| job.facts.repository == *repository);
            let unlisted = known.into_iter().filter(|job| !listed.contains(&job.id()));
            calls = calls.saturating_add(self.ask_about(unlisted, until).await);
        }
        Ok(Discovered { found: new.found, next: new.cut_at.or(queued.next), calls })
    }

    async fn record_new(
        &self,
        new: &mut NewJobs,
        open: &Open,
        repository: &Repository,
        listed: &[RemoteJob],
        until: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        // The last run whose jobs are all on record, and the run of the job before.
        let (mut done, mut last) = (None, None);
        let unknown = listed.iter().filter(|remote| !is_on_record(open, remote));
        for (count, remote) in unknown.enumerate() {
            if last != Some(remote.run) {
                (done, last) = (last, Some(remote.run));
            }
            let now = self.ports.clock.now();
            if count >= LEAST_RECORDED && until.is_some_and(|until| now >= until) {
                // A run that is longer than a turn is passed over, and its rest is found in another turn.
                new.cut_at = done.or(last);
                return Ok(());
            }
            let Some(event) = event_of(remote, &facts_of(remote, repository), now) else { continue };
            let recorded = self.record_unkicked(&Event::Job(event), None).await?;
            new.replan |= recorded.replan;
            if !recorded.changes.is_empty() {
                info!(%repository, job_id = remote.id.get(), "discovered queued job");
                new.found += 1;
            }
        }
        Ok(())
    }

    /// Asks GitHub about every open job that no open runner names. Webhooks may
    /// have been missed while this process was not running.
    ///
    /// # Errors
    ///
    /// The store is unavailable.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        let open = self.ports.store.open().await?;
        self.ask_about(unheard_of(&open, |_| true).into_iter(), None).await;
        Ok(())
    }

    /// Asks about these jobs one by one; returns how many were asked about.
    async fn ask_about(&self, jobs: impl Iterator<Item = Job>, until: Option<Timestamp>) -> u32 {
        let now = self.ports.clock.now();
        let mut asked = 0;
        let unasked = jobs.filter(|job| job.asked_at.is_none_or(|asked| has_passed(DOUBT, asked, now)));
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

/// Returns the open jobs about which only a webhook brings news.
fn unheard_of(open: &Open, wanted: impl Fn(&Job) -> bool) -> Vec<Job> {
    let runners = open.runners.values().filter(|runner| runner.takes_slot());
    let at_work: HashSet<JobId> = runners.filter_map(Runner::names_job).collect();
    let jobs = open.jobs.values().filter(|job| wanted(job) && !at_work.contains(&job.id()));
    jobs.cloned().collect()
}

/// Whether a job's record already has what a list of queued jobs says.
fn is_on_record(open: &Open, remote: &RemoteJob) -> bool {
    match open.jobs.get(&remote.id).map(|job| &job.state) {
        None => false,
        Some(JobState::Waiting) => remote.status == JobStatus::Waiting,
        Some(_) => remote.status == JobStatus::Queued,
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
            started_at: remote.started_at,
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
