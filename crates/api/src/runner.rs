//! Runners.

use ecsrunner_core::id::JobId;
use ecsrunner_core::records::runner::{
    EndedRunner, EndingKind, Runner, RunnerFacts, RunnerStage, RunnerState, Served,
};
use ecsrunner_core::records::timeline::Timeline;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::reason::ReasonView;
use crate::stage::{StageView, reached, stages};

/// A runner as the API shows it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RunnerView {
    pub name: String,
    pub repository: String,
    pub class: String,
    pub pool: String,
    pub state: RunnerStage,
    pub ending: Option<EndingKind>,
    pub reason: Option<ReasonView>,
    pub job: Option<u64>,
    pub launched_for: u64,
    pub task: Option<String>,
    /// The version of GitHub's runner, as the image says from which it started. Only a single runner's view has it.
    #[serde(default)]
    pub runner_version: Option<String>,
    pub capacity_provider: String,
    pub task_seconds: Option<f64>,
    pub cost_usd: Option<f64>,
    pub timeline: Vec<StageView<RunnerStage>>,
}

impl RunnerView {
    /// Returns the view of an open runner, with its cost so far.
    #[must_use]
    pub fn open(runner: &Runner, now: Timestamp) -> Self {
        let (ending, note) = match &runner.state {
            RunnerState::Ending(ending) => (Some(ending.kind), ending.note.as_ref()),
            _ => (None, None),
        };
        Self {
            state: runner.stage(),
            ending,
            reason: note.map(ReasonView::of),
            job: runner.names_job().map(JobId::get),
            task: runner.task().map(ToString::to_string),
            capacity_provider: runner.placement.market.capacity_provider().to_owned(),
            task_seconds: seconds(runner.launched_at(), Some(runner.stopped_at().unwrap_or(now))),
            cost_usd: runner.cost_usd(now),
            ..Self::new(&runner.facts, &runner.timeline)
        }
    }

    /// Returns the view of an ended runner.
    #[must_use]
    pub fn gone(runner: &EndedRunner) -> Self {
        let job = match runner.served {
            Served::Job(job) => Some(job.get()),
            Served::Unnamed | Served::Nothing => None,
        };
        Self {
            state: RunnerStage::Gone,
            ending: Some(runner.kind),
            reason: runner.note.as_ref().map(ReasonView::of),
            job,
            task: runner.task.as_ref().map(ToString::to_string),
            capacity_provider: runner.placement.market.capacity_provider().to_owned(),
            task_seconds: seconds(runner.launched_at(), runner.stopped_at),
            cost_usd: runner.cost_usd,
            ..Self::new(&runner.facts, &runner.timeline)
        }
    }

    fn new(facts: &RunnerFacts, timeline: &Timeline<RunnerStage>) -> Self {
        Self {
            name: facts.name.to_string(),
            repository: facts.repository.to_string(),
            class: facts.class.to_string(),
            pool: facts.pool.to_string(),
            state: RunnerStage::Gone,
            ending: None,
            reason: None,
            job: None,
            launched_for: facts.launched_for.get(),
            task: None,
            runner_version: None,
            capacity_provider: String::new(),
            task_seconds: None,
            cost_usd: None,
            timeline: stages(timeline),
        }
    }

    /// Returns when a state was reached last.
    #[must_use]
    pub fn reached(&self, state: RunnerStage) -> Option<Timestamp> {
        reached(&self.timeline, state)
    }

    /// Returns when the runner was first recorded.
    #[must_use]
    pub fn began(&self) -> Option<Timestamp> {
        self.timeline.first().map(|stage| stage.at)
    }

    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.state == RunnerStage::Gone
    }
}

fn seconds(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<f64> {
    Some(to?.duration_since(from?).as_secs_f64().max(0.0))
}
