//! The steps of a workflow job as far as it has come.
//!
//! GitHub's API shows them while the job runs. Its log is there only after the end, see `logs.rs`.

use ecsrunner_core::id::{JobId, Repository};
use serde::Deserialize;

use crate::client::Client;
use crate::jobs;
use crate::logs::JobLogError;

/// A job and its steps.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct JobSteps {
    /// Its status, in GitHub's words.
    pub status: String,
    pub conclusion: Option<String>,
    /// The steps that GitHub knows so far.
    #[serde(default)]
    pub steps: Vec<JobStep>,
}

/// A step of a job.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct JobStep {
    pub number: u64,
    pub name: String,
    /// Its status, in GitHub's words.
    pub status: String,
    pub conclusion: Option<String>,
}

impl JobSteps {
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.status == "completed"
    }
}

impl Client {
    /// Reads a job's steps. Needs *Actions: read*.
    ///
    /// # Errors
    ///
    /// As [`Client::job_log`], for a job that does not exist or may not be read.
    pub async fn job_steps(&self, repository: &Repository, job: JobId) -> Result<JobSteps, JobLogError> {
        match jobs::steps(self, repository, job).await {
            Ok(Some(steps)) => Ok(steps),
            Ok(None) => Err(JobLogError::NoJob { job, repository: repository.clone() }),
            Err(fault) => Err(crate::logs::failed(repository, job, fault.into())),
        }
    }
}
