//! Reads a workflow job's log, which GitHub keeps once the job has ended.
//!
//! The log of a runner's task does not belong here. It tells how the runner
//! started and ended, not what its job printed.

mod line;

use ecsrunner_core::id::{JobId, Repository};
use ecsrunner_core::wire::job::JobStatus;
use ecsrunner_engine::ports::github::GitHubError;
use jiff::Timestamp;

use crate::auth::Grant;
use crate::client::Client;
use crate::http::Call;
use crate::jobs;

pub use crate::http::StorageError;
pub use line::Line;

/// The most bytes of a log that are read: 64 MiB. The rest of a longer log is left out.
pub const MAX_LOG_BYTES: usize = 64 << 20;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobLog {
    text: String,
    is_cut: bool,
}

impl JobLog {
    fn new(bytes: Vec<u8>, is_cut: bool) -> Self {
        let mut text = String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        // Drop the last, incomplete line. It could be mistaken for a complete one.
        if is_cut && let Some(end) = text.rfind('\n') {
            text.truncate(end + 1);
        }
        Self { text, is_cut }
    }

    /// Returns the lines in order, without terminal escapes and control characters.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        line::lines(&self.text)
    }

    /// Returns whether the log is longer than [`MAX_LOG_BYTES`] and its end is left out.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }
}

/// Why there is no log to show.
#[derive(Debug, thiserror::Error)]
pub enum JobLogError {
    /// The repository can be read and has no such job.
    #[error("GitHub knows no job {job} in {repository}")]
    NoJob { job: JobId, repository: Repository },
    /// The job is waiting or running.
    #[error("job {job} is {}, and GitHub gives a job's log once the job has ended", .status.as_str().replace('_', " "))]
    NotEnded {
        job: JobId,
        /// Its status, in GitHub's words.
        status: JobStatus,
        /// The name of the runner that has it.
        runner: Option<String>,
    },
    /// The job was cancelled or skipped before a runner had it.
    #[error("job {job} has no log: it ended before a runner took it")]
    NeverStarted { job: JobId },
    /// GitHub says that the log is gone.
    #[error("GitHub no longer has the log of job {job}")]
    Gone { job: JobId },
    /// The job has ended, and GitHub has no log of it.
    #[error("GitHub has no log of job {job}{}", .ended.map(|at| format!(", which ended at {at:.0}")).unwrap_or_default())]
    Missing {
        job: JobId,
        /// When the job ended.
        ended: Option<Timestamp>,
    },
    /// The caller may not read the log, or the repository's actions.
    #[error("GitHub denies access to the log of job {job} of {repository}")]
    Denied { job: JobId, repository: Repository, source: GitHubError },
    /// GitHub gave no answer, or one that says nothing about the log.
    #[error("GitHub cannot be asked for the log of job {job}")]
    GitHub { job: JobId, source: GitHubError },
    /// GitHub has the log, but it cannot be read from the storage.
    #[error("the log of job {job} cannot be read from GitHub's storage")]
    Storage { job: JobId, source: StorageError },
}

impl Client {
    /// Reads the log of a job that has ended. Needs *Actions: read*.
    ///
    /// GitHub answers with a redirect to its storage. At most [`MAX_LOG_BYTES`]
    /// are read from there, without the client's token.
    ///
    /// # Errors
    ///
    /// GitHub answers 404 for several causes, which [`JobLogError`] distinguishes:
    /// no such job, a job that has not ended, a job without a log, and a missing
    /// permission.
    pub async fn job_log(&self, repository: &Repository, job: JobId) -> Result<JobLog, JobLogError> {
        let path = format!("repos/{repository}/actions/jobs/{job}/logs");
        let call = Call::get("download-job-logs", format!("{job} in {repository}"), path);
        let grant = Grant::Read(repository.clone());
        let reply = self.ask(&grant, &call).await.map_err(|fault| failed(repository, job, fault.into()))?;
        let location = match (reply.status(), reply.location()) {
            (301 | 302 | 303 | 307 | 308, Some(location)) => location,
            (404, _) => return Err(self.why_absent(repository, job).await),
            (410, _) => return Err(JobLogError::Gone { job }),
            (200..=399, _) => {
                let source = StorageError::Address("its location is missing");
                return Err(JobLogError::Storage { job, source });
            }
            _ => return Err(failed(repository, job, reply.fault().into())),
        };
        match self.read_stored(location, MAX_LOG_BYTES).await {
            Ok(stored) => Ok(JobLog::new(stored.bytes, stored.is_cut)),
            // GitHub also redirects to a log that is not written yet or was deleted.
            Err(StorageError::Absent { .. }) => Err(self.why_absent(repository, job).await),
            Err(source) => Err(JobLogError::Storage { job, source }),
        }
    }

    /// Looks up the job itself to find the cause of a 404 for its log.
    async fn why_absent(&self, repository: &Repository, job: JobId) -> JobLogError {
        match jobs::job(self, repository, job).await {
            Ok(None) => JobLogError::NoJob { job, repository: repository.clone() },
            Ok(Some(found)) if found.status != JobStatus::Completed => {
                JobLogError::NotEnded { job, status: found.status, runner: found.runner_name }
            }
            Ok(Some(found)) if found.runner_name.is_none() => JobLogError::NeverStarted { job },
            Ok(Some(found)) => JobLogError::Missing { job, ended: found.completed_at },
            Err(fault) => failed(repository, job, fault.into()),
        }
    }
}

/// A 404 counts as denied, because GitHub uses it to hide what the caller may not see.
pub(crate) fn failed(repository: &Repository, job: JobId, source: GitHubError) -> JobLogError {
    match source {
        GitHubError::Refused { status: 401 | 403 | 404, .. } | GitHubError::Credentials(_) => {
            JobLogError::Denied { job, repository: repository.clone(), source }
        }
        _ => JobLogError::GitHub { job, source },
    }
}
