//! Runs and jobs of the fake.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ecsrunner_core::id::{JobId, Repository, RunId, RunnerId};
use ecsrunner_workflow::run::{Ready, RunsOn};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::protocol::Conclusion;
use crate::workflow::Executor;

use super::commit::Commit;
use super::course::Course;
use super::job_log::JobLog;
use super::state::SessionId;

/// GitHub's default limit of a job, in minutes.
pub(super) const DEFAULT_TIMEOUT_MINUTES: u32 = 360;

#[derive(Debug)]
pub(super) struct Run {
    pub id: RunId,
    /// The GUID that runners use for it.
    pub plan: String,
    pub repository: Repository,
    pub head_repository: Repository,
    pub number: u64,
    pub workflow: String,
    pub workflow_id: u64,
    pub file: String,
    /// What GitHub shows for the run: its `run-name`, or the name of the workflow.
    pub title: String,
    pub event: Event,
    pub head_branch: String,
    pub head_sha: String,
    pub commit: Commit,
    /// Whether runners execute `node20` actions with Node.js 24.
    pub node24: bool,
    /// The branch that a pull request asks to change, and its commit.
    pub base_branch: String,
    pub base_sha: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Its latest attempt, from 1.
    pub attempt: u32,
    /// The latest job of each name, whichever attempt it is of.
    pub jobs: Vec<JobId>,
    /// The course of a workflow's jobs; `None` for synthetic ones.
    pub course: Option<Course>,
}

/// The event that started a run.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub name: String,
    /// The activity type, such as `opened`.
    pub activity: Option<String>,
    /// The tag that was pushed.
    pub tag: Option<String>,
    /// The time of a schedule, or the workflow that has ended.
    pub source: Option<String>,
    /// Fields of the payload that the fake does not set itself.
    pub payload: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug)]
pub(super) struct Job {
    pub id: JobId,
    pub run: RunId,
    /// The attempt of its run, from 1.
    pub attempt: u32,
    pub key: String,
    pub name: String,
    pub runs_on: RunsOn,
    pub definition: Arc<Definition>,
    /// The GUID that runners use for the job and for its request.
    pub guid: String,
    pub request: String,
    pub timeout_minutes: u32,
    pub state: JobState,
    pub created_at: Timestamp,
    /// Every state that it reached, the oldest first.
    pub timeline: Vec<(Timestamp, JobPhase)>,
    /// How many times a runner started it. More than once is a fault.
    pub starts: u32,
    pub log: JobLog,
    /// The summaries of steps in the order of their upload, each with its step's id.
    pub summaries: Vec<(String, String)>,
    pub steps: Vec<StepReport>,
    pub outputs: BTreeMap<String, String>,
    pub annotations: Vec<serde_json::Value>,
    /// Whether it was cancelled for its `timeout-minutes`.
    pub timed_out: bool,
}

/// What a job executes.
#[derive(Debug)]
pub(super) enum Definition {
    /// It is not known yet.
    Blocked,
    /// The script of its only step.
    Synthetic(String),
    /// A job of a workflow.
    Workflow {
        ready: Box<Ready>,
        executor: Executor,
        /// The action that puts the repository's files into the workspace before the first step.
        put_files: Option<String>,
    },
}

/// A step as the API shows it.
#[derive(Clone, Debug)]
pub(super) struct StepReport {
    pub id: String,
    pub number: u64,
    pub name: String,
    /// `None` while it is not completed.
    pub conclusion: Option<Conclusion>,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
}

/// The runner that has a job.
#[derive(Clone, Debug)]
pub(super) struct Taker {
    pub id: RunnerId,
    pub name: String,
    pub group: u64,
    pub session: SessionId,
}

#[derive(Clone, Debug)]
pub(super) enum JobState {
    /// Jobs that it needs have not ended. GitHub does not show it yet.
    Blocked,
    /// An approval is missing.
    Waiting,
    /// Any runner that fits may take it.
    Queued,
    /// A runner was offered the job and has not started it. GitHub shows it as queued.
    Assigned { taker: Taker, since: Instant },
    /// A runner executes it.
    InProgress { taker: Taker, since: Instant, started_at: Timestamp, cancelled: bool },
    Completed {
        taker: Option<Taker>,
        conclusion: Conclusion,
        started_at: Option<Timestamp>,
        completed_at: Timestamp,
    },
}

/// The state of a job, as the control API shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobPhase {
    /// Jobs that it needs have not ended.
    Blocked,
    /// An approval is missing.
    Waiting,
    Queued,
    /// A runner was offered the job and has not started it.
    Assigned,
    InProgress,
    Completed,
}

impl JobState {
    /// Returns GitHub's `status`, or `None` while GitHub does not show the job.
    pub(super) const fn status(&self) -> Option<&'static str> {
        match self {
            Self::Blocked => None,
            Self::Waiting => Some("waiting"),
            Self::Queued | Self::Assigned { .. } => Some("queued"),
            Self::InProgress { .. } => Some("in_progress"),
            Self::Completed { .. } => Some("completed"),
        }
    }

    /// Returns the state for the control API, which also shows states that GitHub hides.
    pub(super) const fn phase(&self) -> JobPhase {
        match self {
            Self::Blocked => JobPhase::Blocked,
            Self::Waiting => JobPhase::Waiting,
            Self::Queued => JobPhase::Queued,
            Self::Assigned { .. } => JobPhase::Assigned,
            Self::InProgress { .. } => JobPhase::InProgress,
            Self::Completed { .. } => JobPhase::Completed,
        }
    }

    /// Returns the runner, which GitHub shows once the job has started.
    pub(super) const fn shown_taker(&self) -> Option<&Taker> {
        match self {
            Self::InProgress { taker, .. } => Some(taker),
            Self::Completed { taker, .. } => taker.as_ref(),
            _ => None,
        }
    }

    pub(super) const fn conclusion(&self) -> Option<Conclusion> {
        match self {
            Self::Completed { conclusion, .. } => Some(*conclusion),
            _ => None,
        }
    }

    pub(super) const fn started_at(&self) -> Option<Timestamp> {
        match self {
            Self::InProgress { started_at, .. } => Some(*started_at),
            Self::Completed { started_at, .. } => *started_at,
            _ => None,
        }
    }

    pub(super) const fn completed_at(&self) -> Option<Timestamp> {
        match self {
            Self::Completed { completed_at, .. } => Some(*completed_at),
            _ => None,
        }
    }
}

impl StepReport {
    pub(super) const fn is_in_progress(&self) -> bool {
        self.conclusion.is_none() && self.started_at.is_some()
    }
}

/// What a new job is made of.
pub(super) struct NewJob {
    pub run: RunId,
    /// The attempt of its run, from 1.
    pub attempt: u32,
    pub key: String,
    pub name: String,
    pub runs_on: RunsOn,
    pub definition: Arc<Definition>,
    pub timeout_minutes: u32,
    pub state: JobState,
}

impl Job {
    /// Makes a job that nothing has happened to. `guids` are its own and that of its request.
    pub(super) fn new(id: JobId, guids: (String, String), new: NewJob) -> Self {
        let now = Timestamp::now();
        let NewJob { run, attempt, key, name, runs_on, definition, timeout_minutes, state } = new;
        let (guid, request) = guids;
        Self {
            id,
            run,
            attempt,
            key,
            name,
            runs_on,
            definition,
            guid,
            request,
            timeout_minutes,
            timeline: vec![(now, state.phase())],
            state,
            created_at: now,
            starts: 0,
            log: JobLog::default(),
            summaries: Vec::new(),
            steps: Vec::new(),
            outputs: BTreeMap::new(),
            annotations: Vec::new(),
            timed_out: false,
        }
    }

    /// Returns the log as far as it was sent.
    pub(super) fn whole_log(&self) -> Option<String> {
        self.log.text(&self.steps)
    }

    pub(super) fn enter(&mut self, state: JobState, now: Timestamp) {
        self.timeline.push((now, state.phase()));
        self.state = state;
    }
}
