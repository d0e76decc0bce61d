//! Workflow jobs: the record of an open job, and the history record of an ended one.

use std::sync::Arc;

use jiff::Timestamp;

use crate::id::{ClassName, JobId, PoolId, Version};
use crate::reason::Reason;
use crate::records::timeline::Timeline;
use crate::records::times::{HeldBy, JobTimes};
use crate::wire::job::{Conclusion, JobFacts, TakenBy};
use crate::wire_form::by_wire_form;

/// The stages of a job's timeline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobStage {
    /// GitHub waits for an approval.
    Waiting,
    /// It waits for a runner.
    Queued,
    /// A runner executes it.
    InProgress,
    Completed,
    /// It is not served here.
    Refused,
}

impl JobStage {
    pub const ALL: [Self; 5] =
        [Self::Waiting, Self::Queued, Self::InProgress, Self::Completed, Self::Refused];

    /// The wire form, pinned.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Refused => "refused",
        }
    }
}

by_wire_form!(JobStage, "state of a job");

/// The class and pool of an admitted job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    /// The class that serves it.
    pub class: ClassName,
    /// The pool whose runners can take it.
    pub pool: PoolId,
}

/// A job that has not ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// What GitHub said of it.
    pub facts: Arc<JobFacts>,
    pub version: Version,
    /// When GitHub created it: the oldest job is served first.
    pub created_at: Timestamp,
    /// What it went through.
    pub timeline: Timeline<JobStage>,
    /// When it was recorded as queued, if that was long after GitHub had queued it. Otherwise the timeline has it.
    pub recorded_late_at: Option<Timestamp>,
    /// When GitHub was last asked about it.
    pub asked_at: Option<Timestamp>,
    /// What was done to fail it, if it cannot be served.
    pub failing: Option<Failing>,
    /// What held it back, as far as a plan wrote it down.
    pub held: Option<HeldBack>,
    pub state: JobState,
}

/// What held a job back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeldBack {
    pub by: HeldBy,
    /// When a round found that.
    pub at: Timestamp,
}

/// What was done to fail a job that cannot be served. Each step is made once it is due, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failing {
    /// Policy allows what started its run.
    Allowed,
    /// GitHub said at that time that it is still queued.
    Confirmed(Timestamp),
    /// A runner was reserved to fail it, after GitHub had said at that time that it is still queued. A runner that is
    /// given back before it has its configuration is replaced.
    Reserved { at: Timestamp, reason: Reason },
    /// That runner got its configuration, which happens once.
    Launched { at: Timestamp, reason: Reason },
}

/// The state of an open job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobState {
    /// GitHub waits for an approval: the job is no demand yet.
    Waiting,
    /// It waits for a runner.
    Queued {
        assignment: Assignment,
        /// Why it still waits.
        wait: Reason,
    },
    /// A runner executes it.
    InProgress {
        /// Class and pool, if it was admitted.
        assignment: Option<Assignment>,
        runner: TakenBy,
    },
    /// It cannot be served here. It stays open until it is failed or ends at GitHub.
    Refused { reason: Reason },
}

impl Job {
    #[must_use]
    pub fn id(&self) -> JobId {
        self.facts.id
    }

    /// Returns when it waited for the runner that starts it at `started_at`.
    #[must_use]
    pub fn times(&self, started_at: Timestamp) -> JobTimes {
        let in_timeline = self.timeline.at(JobStage::Queued);
        // GitHub does not say when it released a job that waited for an approval. A retried job waits from then on.
        let is_later = self.timeline.iter().next().is_some_and(|(stage, _)| stage != JobStage::Queued);
        let queued_at = in_timeline.filter(|_| is_later).unwrap_or(self.created_at);
        let recorded_at = self.recorded_late_at.or(in_timeline);
        JobTimes { queued_at, recorded_at, started_at, held_by: self.held.map(|held| held.by) }
    }

    #[must_use]
    pub fn assignment(&self) -> Option<&Assignment> {
        match &self.state {
            JobState::Waiting | JobState::Refused { .. } => None,
            JobState::Queued { assignment, .. } => Some(assignment),
            JobState::InProgress { assignment, .. } => assignment.as_ref(),
        }
    }

    /// Returns the next version of this record, in another state.
    #[must_use]
    pub fn with_state(&self, state: JobState) -> Self {
        Self { version: self.version.next(), state, ..self.clone() }
    }

    /// Whether no runner has it, as far as its own record says.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        matches!(self.state, JobState::Queued { .. } | JobState::Refused { .. })
    }

    /// Whether it is not served here, and waits for its end.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self.state, JobState::Refused { .. })
    }

    /// Whether a runner got its configuration to fail it: no other one does.
    #[must_use]
    pub fn had_failing_runner(&self) -> bool {
        matches!(self.failing, Some(Failing::Launched { .. }))
    }

    /// Returns the next version of this record once a runner is reserved to fail it; `None` unless GitHub has confirmed
    /// it.
    #[must_use]
    pub fn reserved_to_fail(&self, reason: &Reason) -> Option<Self> {
        let (Failing::Confirmed(at) | Failing::Reserved { at, .. }) = self.failing.as_ref()? else {
            return None;
        };
        Some(self.with_failing(Failing::Reserved { at: *at, reason: reason.clone() }))
    }

    /// Returns the next version of this record once the runner that was to fail it has another job; `None` unless it got
    /// one.
    #[must_use]
    pub fn missed_by_its_runner(&self) -> Option<Self> {
        let Failing::Launched { at, reason } = self.failing.as_ref()? else { return None };
        Some(self.with_failing(Failing::Reserved { at: *at, reason: reason.clone() }))
    }

    /// Returns the next version of this record, with what held it back.
    #[must_use]
    pub fn held_back(&self, held: HeldBack) -> Self {
        Self { version: self.version.next(), held: Some(held), ..self.clone() }
    }

    /// Returns the next version of this record, with what was done to fail it.
    #[must_use]
    pub fn with_failing(&self, failing: Failing) -> Self {
        Self { version: self.version.next(), failing: Some(failing), ..self.clone() }
    }

    /// Returns the next version of this record, waiting for that reason; `None` if the job is not queued.
    #[must_use]
    pub fn waiting_for(&self, reason: &Reason) -> Option<Self> {
        let JobState::Queued { assignment, .. } = &self.state else { return None };
        Some(self.with_state(JobState::Queued { assignment: assignment.clone(), wait: reason.clone() }))
    }
}

/// The history record of a job that ended or was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndedJob {
    /// What GitHub said of it.
    pub facts: Arc<JobFacts>,
    pub version: Version,
    /// When GitHub created it.
    pub created_at: Timestamp,
    /// What it went through.
    pub timeline: Timeline<JobStage>,
    /// Class and pool, if it was admitted.
    pub assignment: Option<Assignment>,
    pub ending: JobEnding,
}

/// How a job ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobEnding {
    Completed {
        conclusion: Conclusion,
        /// The runner that executed it.
        runner: TakenBy,
        /// Why it did not succeed, if its runner is the cause.
        reason: Option<Reason>,
    },
    /// It is not served here.
    Refused {
        reason: Reason,
        /// How it ended at GitHub later, and on which runner.
        after: Option<(Conclusion, TakenBy)>,
    },
}

/// The stored record of a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobRecord {
    Open(Job),
    Ended(EndedJob),
}
