//! Jobs and runners as the API shows them: `docs/interface.md`.

use ecsrunner_core::job::{EndedJob, Job, JobEnding, JobFacts, JobStage, JobState, Place};
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::record::Change;
use ecsrunner_core::runner::{EndedRunner, Runner, RunnerFacts, RunnerStage, RunnerState, Served};
use ecsrunner_core::timeline::Timeline;
use jiff::Timestamp;
use serde::Serialize;

#[derive(Clone, Serialize)]
pub(super) struct ReasonView {
    code: &'static str,
    text: String,
}

impl ReasonView {
    pub(super) fn of(reason: &Reason) -> Self {
        Self { code: reason.code().as_str(), text: reason.text() }
    }
}

#[derive(Clone, Serialize)]
struct Stage {
    at: Timestamp,
    state: &'static str,
}

fn stages<S: Copy + PartialEq>(timeline: &Timeline<S>, name: fn(S) -> &'static str) -> Vec<Stage> {
    timeline.iter().map(|(stage, at)| Stage { at, state: name(stage) }).collect()
}

#[derive(Clone, Serialize)]
pub(super) struct JobView {
    id: u64,
    pub(super) repository: String,
    run_id: u64,
    attempt: u32,
    name: String,
    workflow: Option<String>,
    labels: Vec<String>,
    pub(super) class: Option<String>,
    pool: Option<String>,
    pub(super) state: &'static str,
    reason: Option<ReasonView>,
    runner: Option<String>,
    conclusion: Option<String>,
    created_at: Timestamp,
    timeline: Vec<Stage>,
}

impl JobView {
    pub(super) fn open(job: &Job) -> Self {
        let (state, reason, runner) = match &job.state {
            JobState::Waiting => (JobStage::Waiting, Some(Code::ApprovalPending.into()), None),
            JobState::Queued { wait, .. } => (JobStage::Queued, Some(wait.clone()), None),
            JobState::InProgress { runner, .. } => (JobStage::InProgress, None, runner.name()),
        };
        Self {
            state: state.as_str(),
            reason: reason.as_ref().map(ReasonView::of),
            runner: runner.map(str::to_owned),
            ..Self::new(&job.facts, job.place(), job.created_at, &job.timeline)
        }
    }

    pub(super) fn ended(job: &EndedJob) -> Self {
        let (state, reason, after) = match &job.ending {
            JobEnding::Completed { conclusion, runner } => {
                (JobStage::Completed, None, Some((conclusion, runner)))
            }
            JobEnding::Refused { reason, after } => (
                JobStage::Refused,
                Some(ReasonView::of(reason)),
                after.as_ref().map(|(conclusion, runner)| (conclusion, runner)),
            ),
        };
        Self {
            state: state.as_str(),
            reason,
            runner: after.and_then(|(_, runner)| runner.name()).map(str::to_owned),
            conclusion: after.map(|(conclusion, _)| conclusion.as_str().to_owned()),
            ..Self::new(&job.facts, job.place.as_ref(), job.created_at, &job.timeline)
        }
    }

    fn new(
        facts: &JobFacts,
        place: Option<&Place>,
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
            class: place.map(|place| place.class.to_string()),
            pool: place.map(|place| place.pool.to_string()),
            state: JobStage::Queued.as_str(),
            reason: None,
            runner: None,
            conclusion: None,
            created_at,
            timeline: stages(timeline, JobStage::as_str),
        }
    }
}

#[derive(Clone, Serialize)]
pub(super) struct RunnerView {
    pub(super) name: String,
    pub(super) repository: String,
    pub(super) class: String,
    pool: String,
    pub(super) state: &'static str,
    ending: Option<&'static str>,
    reason: Option<ReasonView>,
    job: Option<u64>,
    launched_for: u64,
    task: Option<String>,
    cost_usd: Option<f64>,
    timeline: Vec<Stage>,
}

impl RunnerView {
    pub(super) fn open(runner: &Runner, now: Timestamp) -> Self {
        let (ending, note) = match &runner.state {
            RunnerState::Ending(ending) => (Some(ending.kind), ending.note.as_ref()),
            _ => (None, None),
        };
        Self {
            state: runner.stage().as_str(),
            ending: ending.map(ecsrunner_core::runner::EndingKind::as_str),
            reason: note.map(ReasonView::of),
            job: runner.names_job().map(ecsrunner_core::id::JobId::get),
            task: runner.task().map(ToString::to_string),
            cost_usd: runner.cost_usd(now),
            ..Self::new(&runner.facts, &runner.timeline)
        }
    }

    pub(super) fn gone(runner: &EndedRunner) -> Self {
        let job = match runner.served {
            Served::Job(job) => Some(job.get()),
            Served::Unnamed | Served::Nothing => None,
        };
        Self {
            state: RunnerStage::Gone.as_str(),
            ending: Some(runner.kind.as_str()),
            reason: runner.note.as_ref().map(ReasonView::of),
            job,
            task: runner.task.as_ref().map(ToString::to_string),
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
            state: RunnerStage::Gone.as_str(),
            ending: None,
            reason: None,
            job: None,
            launched_for: facts.launched_for.get(),
            task: None,
            cost_usd: None,
            timeline: stages(timeline, RunnerStage::as_str),
        }
    }
}

/// One server-sent event.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum EventView {
    Hello { version: &'static str },
    Lagged,
    Job { job: Box<JobView> },
    Runner { runner: Box<RunnerView> },
}

impl EventView {
    /// The event that tells of a change; a hold is told by the jobs that wait for it.
    pub(super) fn of(change: &Change, now: Timestamp) -> Option<Self> {
        Some(match change {
            Change::Job(job) => Self::Job { job: Box::new(JobView::open(job)) },
            Change::JobEnded(job) | Change::JobAmended(job) => {
                Self::Job { job: Box::new(JobView::ended(job)) }
            }
            Change::Runner(runner) => Self::Runner { runner: Box::new(RunnerView::open(runner, now)) },
            Change::RunnerGone(runner) => Self::Runner { runner: Box::new(RunnerView::gone(runner)) },
            Change::Hold(_) | Change::Released(_) => return None,
        })
    }
}
