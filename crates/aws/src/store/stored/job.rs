//! The stored form of jobs.

use std::sync::Arc;

use ecsrunner_core::id::{ClassName, JobId, PoolId, Repository, RunId, Version};
use ecsrunner_core::records::job::{
    Assignment, EndedJob, Failing, HeldBack, Job, JobEnding, JobStage, JobState,
};
use ecsrunner_core::records::times::HeldBy;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::wire::job::{Conclusion, JobFacts, TakenBy};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{StoredReason, StoredTimeline, UnreadableError, read_timeline, store_timeline};

#[derive(Serialize, Deserialize)]
struct StoredFacts {
    #[serde(rename = "i")]
    id: u64,
    #[serde(rename = "r")]
    run: u64,
    #[serde(rename = "a")]
    attempt: u32,
    #[serde(rename = "o")]
    repository: Repository,
    #[serde(rename = "n")]
    name: String,
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    workflow: Option<String>,
    #[serde(rename = "l")]
    labels: Labels,
    #[serde(rename = "c")]
    created_at: i64,
}

impl StoredFacts {
    fn of(facts: &JobFacts, created_at: Timestamp) -> Self {
        Self {
            id: facts.id.get(),
            run: facts.run.get(),
            attempt: facts.attempt,
            repository: facts.repository.clone(),
            name: facts.name.as_ref().to_owned(),
            workflow: facts.workflow.as_deref().map(str::to_owned),
            labels: facts.labels.clone(),
            created_at: created_at.as_millisecond(),
        }
    }

    fn read(self) -> Result<(Arc<JobFacts>, Timestamp), UnreadableError> {
        let created_at = Timestamp::from_millisecond(self.created_at)?;
        let facts = JobFacts {
            id: JobId::new(self.id),
            run: RunId::new(self.run),
            attempt: self.attempt,
            repository: self.repository,
            name: Arc::from(self.name),
            workflow: self.workflow.map(Arc::from),
            labels: self.labels,
        };
        Ok((Arc::new(facts), created_at))
    }
}

#[derive(Serialize, Deserialize)]
struct StoredAssignment(ClassName, PoolId);

impl StoredAssignment {
    fn of(assignment: &Assignment) -> Self {
        Self(assignment.class.clone(), assignment.pool.clone())
    }

    fn read(self) -> Assignment {
        Assignment { class: self.0, pool: self.1 }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredState {
    Waiting,
    Queued(StoredAssignment, StoredReason),
    InProgress(Option<StoredAssignment>, Option<String>),
    Refused(StoredReason),
}

/// What was done to fail a job that cannot be served. Times are in milliseconds since the epoch.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredFailing {
    Allowed,
    Confirmed(i64),
    Reserved(i64, StoredReason),
    Launched(i64, StoredReason),
}

impl StoredFailing {
    fn of(failing: &Failing) -> Self {
        match failing {
            Failing::Allowed => Self::Allowed,
            Failing::Confirmed(at) => Self::Confirmed(at.as_millisecond()),
            Failing::Reserved { at, reason } => Self::Reserved(at.as_millisecond(), reason.into()),
            Failing::Launched { at, reason } => Self::Launched(at.as_millisecond(), reason.into()),
        }
    }

    fn read(self) -> Result<Failing, UnreadableError> {
        Ok(match self {
            Self::Allowed => Failing::Allowed,
            Self::Confirmed(at) => Failing::Confirmed(Timestamp::from_millisecond(at)?),
            Self::Reserved(at, reason) => {
                Failing::Reserved { at: Timestamp::from_millisecond(at)?, reason: reason.read() }
            }
            Self::Launched(at, reason) => {
                Failing::Launched { at: Timestamp::from_millisecond(at)?, reason: reason.read() }
            }
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredJob {
    f: StoredFacts,
    t: StoredTimeline,
    /// When GitHub was last asked about the job, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    q: Option<i64>,
    /// When the job was recorded, if that was late, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    l: Option<i64>,
    /// What held it back, and when that was found, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    h: Option<(String, i64)>,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    failing: Option<StoredFailing>,
    s: StoredState,
}

impl StoredJob {
    pub(in crate::store) fn of(job: &Job) -> Self {
        let state = match &job.state {
            JobState::Waiting => StoredState::Waiting,
            JobState::Queued { assignment, wait } => {
                StoredState::Queued(StoredAssignment::of(assignment), wait.into())
            }
            JobState::InProgress { assignment, runner } => StoredState::InProgress(
                assignment.as_ref().map(StoredAssignment::of),
                runner.name().map(str::to_owned),
            ),
            JobState::Refused { reason } => StoredState::Refused(reason.into()),
        };
        Self {
            f: StoredFacts::of(&job.facts, job.created_at),
            t: store_timeline(&job.timeline, JobStage::as_str),
            q: job.asked_at.map(Timestamp::as_millisecond),
            l: job.recorded_late_at.map(Timestamp::as_millisecond),
            h: job.held.map(|held| (held.by.as_str().to_owned(), held.at.as_millisecond())),
            failing: job.failing.as_ref().map(StoredFailing::of),
            s: state,
        }
    }

    pub(in crate::store) fn read(self, version: Version) -> Result<Job, UnreadableError> {
        let (facts, created_at) = self.f.read()?;
        let state = match self.s {
            StoredState::Waiting => JobState::Waiting,
            StoredState::Queued(assignment, wait) => {
                JobState::Queued { assignment: assignment.read(), wait: wait.read() }
            }
            StoredState::InProgress(assignment, runner) => JobState::InProgress {
                assignment: assignment.map(StoredAssignment::read),
                runner: TakenBy::from_name(runner.as_deref()),
            },
            StoredState::Refused(reason) => JobState::Refused { reason: reason.read() },
        };
        let timeline = read_timeline(&self.t, &JobStage::ALL, JobStage::as_str)?;
        let asked_at = self.q.map(Timestamp::from_millisecond).transpose()?;
        let failing = self.failing.map(StoredFailing::read).transpose()?;
        let recorded_late_at = self.l.map(Timestamp::from_millisecond).transpose()?;
        // An obstacle of a newer release is one that this release does not know.
        let held = self.h.map(|(by, at)| {
            let by = HeldBy::parse(&by).unwrap_or(HeldBy::Hold);
            Timestamp::from_millisecond(at).map(|at| HeldBack { by, at })
        });
        let held = held.transpose()?;
        Ok(Job { facts, version, created_at, timeline, recorded_late_at, asked_at, failing, held, state })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredEnding {
    Completed(String, Option<String>),
    Refused(StoredReason, Option<(String, Option<String>)>),
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredEndedJob {
    f: StoredFacts,
    t: StoredTimeline,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    p: Option<StoredAssignment>,
    e: StoredEnding,
    /// Why a completed job did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<StoredReason>,
}

impl StoredEndedJob {
    pub(in crate::store) fn of(job: &EndedJob) -> Self {
        let word = |conclusion: &Conclusion| conclusion.as_str().to_owned();
        let name = |runner: &TakenBy| runner.name().map(str::to_owned);
        let ending = match &job.ending {
            JobEnding::Completed { conclusion, runner, .. } => {
                StoredEnding::Completed(word(conclusion), name(runner))
            }
            JobEnding::Refused { reason, after } => StoredEnding::Refused(
                reason.into(),
                after.as_ref().map(|(conclusion, runner)| (word(conclusion), name(runner))),
            ),
        };
        Self {
            f: StoredFacts::of(&job.facts, job.created_at),
            t: store_timeline(&job.timeline, JobStage::as_str),
            p: job.assignment.as_ref().map(StoredAssignment::of),
            e: ending,
            r: match &job.ending {
                JobEnding::Completed { reason, .. } => reason.as_ref().map(StoredReason::from),
                JobEnding::Refused { .. } => None,
            },
        }
    }

    pub(in crate::store) fn read(self, version: Version) -> Result<EndedJob, UnreadableError> {
        let (facts, created_at) = self.f.read()?;
        let taken = |name: Option<String>| TakenBy::from_name(name.as_deref());
        let ending = match self.e {
            StoredEnding::Completed(conclusion, runner) => JobEnding::Completed {
                conclusion: Conclusion::parse(&conclusion),
                runner: taken(runner),
                reason: self.r.as_ref().map(StoredReason::read),
            },
            StoredEnding::Refused(reason, after) => JobEnding::Refused {
                reason: reason.read(),
                after: after.map(|(conclusion, runner)| (Conclusion::parse(&conclusion), taken(runner))),
            },
        };
        let timeline = read_timeline(&self.t, &JobStage::ALL, JobStage::as_str)?;
        Ok(EndedJob {
            facts,
            version,
            created_at,
            timeline,
            assignment: self.p.map(StoredAssignment::read),
            ending,
        })
    }
}
