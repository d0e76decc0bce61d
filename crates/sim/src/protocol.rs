//! What the fake GitHub and the stand-in listener say to each other.
//!
//! GitHub's own runner protocol is not public; this one is ours. What it
//! carries is the same: a session, one job, its log, its result.

use std::sync::Arc;

use ecsrunner_core::id::{JobId, Repository, RunId, RunnerId};
use serde::{Deserialize, Serialize};

use crate::workflow::{Environment, Files, Step};

/// Below which path of the server the runner's side is served.
pub(crate) const RUNNER_PATH: &str = "/_runner";

/// The version that the stand-in listener claims to be.
pub(crate) const RUNNER_VERSION: &str = "2.336.0";

/// The file `.runner` of a just-in-time configuration.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunnerFile {
    pub agent_id: RunnerId,
    pub agent_name: String,
    pub pool_id: u64,
    pub pool_name: String,
    pub server_url: String,
    pub git_hub_url: String,
    pub work_folder: String,
    pub ephemeral: bool,
    pub disable_update: bool,
}

/// The file `.credentials` of a just-in-time configuration.
#[derive(Serialize, Deserialize)]
pub(crate) struct CredentialsFile {
    pub scheme: String,
    pub data: CredentialsData,
}

/// A secret: not to be printed, hence no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CredentialsData {
    pub client_id: String,
    pub token: String,
}

/// The answer to a new session.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Connected {
    pub session: String,
}

/// What a long poll brings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Message {
    /// A job is assigned; it has to be started within a minute.
    Job(JobId),
    /// The job is cancelled by a person or its time-out.
    Cancel(JobId),
}

/// The repository of a job, as its event file tells it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RepositoryFacts {
    pub id: u64,
    pub full_name: Repository,
    pub private: bool,
    pub fork: bool,
}

/// The answer to starting a job: all that executing it takes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JobSpec {
    pub job: JobId,
    pub run: RunId,
    pub run_attempt: u32,
    pub run_number: u64,
    /// The key below `jobs`.
    pub key: String,
    pub name: String,
    pub workflow: String,
    pub file: String,
    pub event: String,
    pub repository: RepositoryFacts,
    pub head_repository: RepositoryFacts,
    pub head_branch: String,
    pub head_sha: String,
    pub labels: Vec<String>,
    pub work: Arc<JobWork>,
}

/// What a job executes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobWork {
    /// A workflow's steps.
    Steps { env: Environment, steps: Vec<Step>, files: Arc<Files> },
    /// A synthetic job that takes so many milliseconds and succeeds.
    SleepMs(u64),
    /// A synthetic job whose only step ends with this code.
    Exit(u8),
}

/// How a step or job ended, in GitHub's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Conclusion {
    Success,
    Failure,
    Cancelled,
    Skipped,
}

impl Conclusion {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

/// One executed or skipped step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StepReport {
    pub name: String,
    pub conclusion: Conclusion,
    pub started_at: jiff::Timestamp,
    pub completed_at: jiff::Timestamp,
}

/// The end of a job.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Completion {
    pub conclusion: Conclusion,
    pub steps: Vec<StepReport>,
}
