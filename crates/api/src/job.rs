//! Jobs.

use std::collections::HashMap;

use ecsrunner_core::id::JobId;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::records::job::{Assignment, EndedJob, Job, JobEnding, JobStage, JobState};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::timeline::Timeline;
use ecsrunner_core::rules::class::Catalogue;
use ecsrunner_core::wire::job::{Conclusion, JobFacts};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::deployment::JobHold;
use crate::reason::ReasonView;
use crate::stage::{StageView, reached, stages};

/// A job as the API shows it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JobView {
    pub id: u64,
    pub repository: String,
    pub run_id: u64,
    pub attempt: u32,
    pub name: String,
    pub workflow: Option<String>,
    pub labels: Vec<String>,
    pub class: Option<String>,
    pub pool: Option<String>,
    pub state: JobStage,
    pub reason: Option<ReasonView>,
    pub runner: Option<String>,
    pub conclusion: Option<Conclusion>,
    /// The hold for which it waits, until its next try may be made; `None` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<JobHold>,
    pub created_at: Timestamp,
    pub timeline: Vec<StageView<JobStage>>,
}

impl JobView {
    /// Returns the view of an open job, with its reason to wait from a plan, and the hold that is the reason.
    #[must_use]
    pub fn planned(job: &Job, open: &Open, reasons: &HashMap<JobId, Reason>, catalogue: &Catalogue) -> Self {
        let view = Self::open(job);
        match reasons.get(&job.id()) {
            Some(reason) if view.state == JobStage::Queued => Self {
                reason: Some(ReasonView::of(reason)),
                hold: JobHold::of(job, reason.code(), open, catalogue),
                ..view
            },
            _ => view,
        }
    }

    /// Returns the view of an open job by its record alone.
    #[must_use]
    pub fn open(job: &Job) -> Self {
        let (state, reason, runner) = match &job.state {
            JobState::Waiting => (JobStage::Waiting, Some(Code::ApprovalPending.into()), None),
            JobState::Queued { wait, .. } => (JobStage::Queued, Some(wait.clone()), None),
            JobState::InProgress { runner, .. } => (JobStage::InProgress, None, runner.name()),
            JobState::Refused { reason } => (JobStage::Refused, Some(reason.clone()), None),
        };
        Self {
            state,
            reason: reason.as_ref().map(ReasonView::of),
            runner: runner.map(str::to_owned),
            ..Self::new(&job.facts, job.assignment(), job.created_at, &job.timeline)
        }
    }

    /// Returns the view of an ended job.
    #[must_use]
    pub fn ended(job: &EndedJob) -> Self {
        let (state, reason, after) = match &job.ending {
            JobEnding::Completed { conclusion, runner, reason } => {
                (JobStage::Completed, reason.as_ref().map(ReasonView::of), Some((conclusion, runner)))
            }
            JobEnding::Refused { reason, after } => (
                JobStage::Refused,
                Some(ReasonView::of(reason)),
                after.as_ref().map(|(conclusion, runner)| (conclusion, runner)),
            ),
        };
        Self {
            state,
            reason,
            runner: after.and_then(|(_, runner)| runner.name()).map(str::to_owned),
            conclusion: after.map(|(conclusion, _)| conclusion.clone()),
            ..Self::new(&job.facts, job.assignment.as_ref(), job.created_at, &job.timeline)
        }
    }

    fn new(
        facts: &JobFacts,
        assignment: Option<&Assignment>,
        created_at: Timestamp,
        timeline: &Timeline<JobStage>,
    ) -> Self {
        Self {
            id: facts.id.get(),
            repository: facts.repository.to_string(),
            run_id: facts.run.get(),
            attempt: facts.attempt,
            name: facts.name.as_ref().to_owned(),
            workflow: facts.workflow.as_deref().map(str::to_owned),
            labels: facts.labels.clone().into(),
            class: assignment.map(|assignment| assignment.class.to_string()),
            pool: assignment.map(|assignment| assignment.pool.to_string()),
            state: JobStage::Queued,
            reason: None,
            runner: None,
            conclusion: None,
            hold: None,
            created_at,
            timeline: stages(timeline),
        }
    }

    /// Returns when it last changed.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.timeline.last().map(|stage| stage.at)
    }

    /// Returns when a state was reached last.
    #[must_use]
    pub fn reached(&self, state: JobStage) -> Option<Timestamp> {
        reached(&self.timeline, state)
    }

    /// Returns when a state was reached first.
    #[must_use]
    pub fn first_reached(&self, state: JobStage) -> Option<Timestamp> {
        self.timeline.iter().find(|stage| stage.state == state).map(|stage| stage.at)
    }

    /// Whether the job has ended or was refused.
    #[must_use]
    pub fn is_past(&self) -> bool {
        match self.state {
            JobStage::Waiting | JobStage::Queued | JobStage::InProgress => false,
            JobStage::Completed | JobStage::Refused => true,
        }
    }

    /// Whether GitHub says that it succeeded.
    #[must_use]
    pub fn has_succeeded(&self) -> bool {
        self.state == JobStage::Completed && self.conclusion == Some(Conclusion::Success)
    }
}
