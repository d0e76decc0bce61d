//! What history has of a runner.

use jiff::Timestamp;

use super::{EndingKind, RunnerFacts, RunnerStage, Served, billed_from, launched_at};
use crate::id::{TaskId, Version};
use crate::reason::Reason;
use crate::records::timeline::Timeline;
use crate::records::times::Times;
use crate::rules::placement::Placement;

/// The history record of a runner that is gone.
#[derive(Clone, PartialEq, Debug)]
pub struct EndedRunner {
    /// What it was launched as.
    pub facts: RunnerFacts,
    pub version: Version,
    /// What it went through.
    pub timeline: Timeline<RunnerStage>,
    pub kind: EndingKind,
    pub note: Option<Reason>,
    pub served: Served,
    /// Where its latest attempt was.
    pub placement: Placement,
    pub task: Option<TaskId>,
    pub stopped_at: Option<Timestamp>,
    /// The cost of its task, in US dollars at list prices.
    pub cost_usd: Option<f64>,
    /// When its task, its agent and its job did what.
    pub times: Times,
}

impl EndedRunner {
    /// When its task was launched, as for [`Runner::launched_at`].
    #[must_use]
    pub fn launched_at(&self) -> Option<Timestamp> {
        launched_at(&self.timeline, self.task.as_ref(), &self.times)
    }

    /// Since when its task cost something, as for [`Runner::billed_from`].
    #[must_use]
    pub fn billed_from(&self) -> Option<Timestamp> {
        Some(billed_from(self.launched_at()?, &self.times, self.billed_until()))
    }

    /// Until when its task cost something, as for [`Runner::billed_until`].
    #[must_use]
    pub fn billed_until(&self) -> Timestamp {
        self.facts.bounded(self.launched_at(), self.stopped_at.unwrap_or_else(|| self.timeline.latest()))
    }
}
