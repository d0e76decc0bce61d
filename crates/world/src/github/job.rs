//! Workflow jobs of GitHub.

use std::time::Duration;

use ecsrunner_core::id::{JobId, Repository, RunId};
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::wire::job::JobStatus;
use ecsrunner_engine::ports::github::RemoteJob;
use jiff::Timestamp;

/// A job to be queued.
#[derive(Clone, Debug)]
pub struct Order {
    pub repository: Repository,
    /// The labels of `runs-on`.
    pub labels: Vec<String>,
    /// How long the job runs.
    pub lasts: Duration,
}

impl Order {
    /// Makes a job that runs for `secs` seconds.
    #[must_use]
    pub fn new(repository: &Repository, labels: &[&str], secs: u64) -> Self {
        Self {
            repository: repository.clone(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            lasts: Duration::from_secs(secs),
        }
    }
}

/// The state of a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HubState {
    /// It waits for a runner.
    Queued,
    /// A runner took it and does not start it.
    Unstarted {
        runner: String,
        /// When GitHub reported it as begun, if it did.
        reported_at: Option<Timestamp>,
    },
    /// A runner executes it.
    InProgress { runner: String, since: Timestamp },
    Completed {
        conclusion: &'static str,
        /// The runner that executed it, if any did.
        runner: Option<String>,
        at: Timestamp,
    },
}

#[derive(Clone, Debug)]
pub struct HubJob {
    pub id: JobId,
    pub order: Order,
    /// Its run.
    pub run: RunId,
    /// The attempt of its run, from 1.
    pub attempt: u32,
    /// Its name, the same in each attempt.
    pub name: String,
    /// The labels that a runner must offer.
    pub labels: Labels,
    /// When it was queued.
    pub created_at: Timestamp,
    /// How often a runner started to execute it.
    pub begun: u32,
    pub state: HubState,
}

impl HubJob {
    /// Whether a runner with these labels can take it.
    #[must_use]
    pub fn fits(&self, offered: &Labels) -> bool {
        self.state == HubState::Queued && offered.is_superset(&self.labels)
    }

    /// Returns GitHub's word for its state.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match self.state {
            HubState::Queued | HubState::Unstarted { reported_at: None, .. } => "queued",
            HubState::Unstarted { reported_at: Some(_), .. } | HubState::InProgress { .. } => "in_progress",
            HubState::Completed { .. } => "completed",
        }
    }

    /// Returns the runner's name, if there is one.
    #[must_use]
    pub fn runner(&self) -> Option<&str> {
        match &self.state {
            HubState::Queued | HubState::Unstarted { reported_at: None, .. } => None,
            HubState::Unstarted { runner, .. } | HubState::InProgress { runner, .. } => Some(runner),
            HubState::Completed { runner, .. } => runner.as_deref(),
        }
    }

    pub(super) fn times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        match &self.state {
            HubState::Queued => (None, None),
            HubState::Unstarted { reported_at, .. } => (*reported_at, None),
            HubState::InProgress { since, .. } => (Some(*since), None),
            HubState::Completed { at, .. } => (None, Some(*at)),
        }
    }

    pub(super) fn conclusion(&self) -> Option<&'static str> {
        match &self.state {
            HubState::Completed { conclusion, .. } => Some(conclusion),
            _ => None,
        }
    }

    pub(super) fn remote(&self) -> RemoteJob {
        let (started_at, completed_at) = self.times();
        RemoteJob {
            id: self.id,
            run: self.run,
            attempt: self.attempt,
            name: self.name.clone(),
            workflow: Some("CI".to_owned()),
            head_branch: Some("main".to_owned()),
            labels: self.order.labels.clone(),
            private: Some(true),
            status: JobStatus::parse(self.status()),
            conclusion: self.conclusion().map(str::to_owned),
            runner_name: self.runner().map(str::to_owned),
            created_at: Some(self.created_at),
            started_at,
            completed_at,
        }
    }
}
