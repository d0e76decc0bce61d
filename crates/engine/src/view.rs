//! Jobs and runners as people see them, in the API, on the page and by the
//! command line: `docs/interface.md`.

use ecsrunner_core::decide::record::Outcome;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::records::job::{Assignment, EndedJob, Job, JobEnding, JobStage, JobState};
use ecsrunner_core::records::runner::{EndedRunner, Runner, RunnerFacts, RunnerStage, RunnerState, Served};
use ecsrunner_core::records::timeline::Timeline;
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::class::{Catalogue, Class};
use ecsrunner_core::rules::cost::{Market, task_usd};
use ecsrunner_core::wire::job::JobFacts;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Ruleset;

/// Why something is as it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReasonView {
    /// One of the closed list in `docs/semantics.md`.
    pub code: String,
    /// The same for people.
    pub text: String,
}

impl ReasonView {
    /// A reason, as it is shown.
    #[must_use]
    pub fn of(reason: &Reason) -> Self {
        Self { code: reason.code().as_str().to_owned(), text: reason.text() }
    }
}

/// What became of something that was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OutcomeView {
    /// `accepted`, `ignored` or `refused`.
    pub outcome: String,
    pub reason: ReasonView,
}

impl OutcomeView {
    /// An outcome, as it is shown.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        Self { outcome: outcome.as_str().to_owned(), reason: ReasonView::of(outcome.reason()) }
    }

    /// Whether something was changed.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.outcome == "accepted"
    }
}

/// How a deployment stands, as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StatusView {
    pub deployment: String,
    /// Whether it launches no more runners.
    pub paused: bool,
    /// The most runners at once.
    pub max_runners: u32,
    /// The most for one repository, where there is such a limit.
    pub max_runners_per_repository: Option<u32>,
}

impl StatusView {
    /// How a deployment with these rules stands.
    #[must_use]
    pub fn of(rules: &Ruleset) -> Self {
        let settings = &rules.settings;
        Self {
            deployment: settings.deployment.to_string(),
            paused: settings.paused,
            max_runners: settings.limits.max_runners,
            max_runners_per_repository: settings.limits.max_runners_per_repository,
        }
    }
}

/// When a state was reached.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StageView {
    pub at: Timestamp,
    pub state: String,
}

fn stages<S: Copy + PartialEq>(timeline: &Timeline<S>, name: fn(S) -> &'static str) -> Vec<StageView> {
    timeline.iter().map(|(stage, at)| StageView { at, state: name(stage).to_owned() }).collect()
}

/// A job, as it is shown.
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
    pub state: String,
    pub reason: Option<ReasonView>,
    pub runner: Option<String>,
    pub conclusion: Option<String>,
    pub created_at: Timestamp,
    pub timeline: Vec<StageView>,
}

impl JobView {
    #[must_use]
    pub fn open(job: &Job) -> Self {
        let (state, reason, runner) = match &job.state {
            JobState::Waiting => (JobStage::Waiting, Some(Code::ApprovalPending.into()), None),
            JobState::Queued { wait, .. } => (JobStage::Queued, Some(wait.clone()), None),
            JobState::InProgress { runner, .. } => (JobStage::InProgress, None, runner.name()),
        };
        Self {
            state: state.as_str().to_owned(),
            reason: reason.as_ref().map(ReasonView::of),
            runner: runner.map(str::to_owned),
            ..Self::new(&job.facts, job.assignment(), job.created_at, &job.timeline)
        }
    }

    /// A job that has ended.
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
            state: state.as_str().to_owned(),
            reason,
            runner: after.and_then(|(_, runner)| runner.name()).map(str::to_owned),
            conclusion: after.map(|(conclusion, _)| conclusion.as_str().to_owned()),
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
            state: JobStage::Queued.as_str().to_owned(),
            reason: None,
            runner: None,
            conclusion: None,
            created_at,
            timeline: stages(timeline, JobStage::as_str),
        }
    }
}

/// A runner, as it is shown.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RunnerView {
    pub name: String,
    pub repository: String,
    pub class: String,
    pub pool: String,
    pub state: String,
    pub ending: Option<String>,
    pub reason: Option<ReasonView>,
    pub job: Option<u64>,
    pub launched_for: u64,
    pub task: Option<String>,
    pub capacity_provider: String,
    pub task_seconds: Option<f64>,
    pub cost_usd: Option<f64>,
    pub timeline: Vec<StageView>,
}

impl RunnerView {
    /// An open runner, with what it costs up to now.
    #[must_use]
    pub fn open(runner: &Runner, now: Timestamp) -> Self {
        let (ending, note) = match &runner.state {
            RunnerState::Ending(ending) => (Some(ending.kind), ending.note.as_ref()),
            _ => (None, None),
        };
        Self {
            state: runner.stage().as_str().to_owned(),
            ending: ending.map(|kind| kind.as_str().to_owned()),
            reason: note.map(ReasonView::of),
            job: runner.names_job().map(ecsrunner_core::id::JobId::get),
            task: runner.task().map(ToString::to_string),
            capacity_provider: runner.placement.market.capacity_provider().to_owned(),
            task_seconds: seconds(runner.launched_at(), Some(runner.stopped_at().unwrap_or(now))),
            cost_usd: runner.cost_usd(now),
            ..Self::new(&runner.facts, &runner.timeline)
        }
    }

    /// A runner that is gone.
    #[must_use]
    pub fn gone(runner: &EndedRunner) -> Self {
        let job = match runner.served {
            Served::Job(job) => Some(job.get()),
            Served::Unnamed | Served::Nothing => None,
        };
        Self {
            state: RunnerStage::Gone.as_str().to_owned(),
            ending: Some(runner.kind.as_str().to_owned()),
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
            state: RunnerStage::Gone.as_str().to_owned(),
            ending: None,
            reason: None,
            job: None,
            launched_for: facts.launched_for.get(),
            task: None,
            capacity_provider: String::new(),
            task_seconds: None,
            cost_usd: None,
            timeline: stages(timeline, RunnerStage::as_str),
        }
    }
}

impl JobView {
    /// When a state was reached last.
    #[must_use]
    pub fn reached(&self, state: &str) -> Option<Timestamp> {
        reached(&self.timeline, state)
    }
}

impl RunnerView {
    /// When a state was reached last.
    #[must_use]
    pub fn reached(&self, state: &str) -> Option<Timestamp> {
        reached(&self.timeline, state)
    }

    /// When it was recorded first.
    #[must_use]
    pub fn began(&self) -> Option<Timestamp> {
        self.timeline.first().map(|stage| stage.at)
    }
}

fn seconds(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<f64> {
    Some(to?.duration_since(from?).as_secs_f64().max(0.0))
}

fn reached(timeline: &[StageView], state: &str) -> Option<Timestamp> {
    timeline.iter().rev().find(|stage| stage.state == state).map(|stage| stage.at)
}

/// A class, as it is shown.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ClassView {
    pub name: String,
    pub cpu: u32,
    pub memory: u32,
    pub ephemeral_storage_gib: u32,
    pub arch: Arch,
    pub capacity: String,
    pub max_runners: Option<u32>,
    pub max_job_minutes: Option<u32>,
    pub labels: Vec<String>,
    pub image: Option<String>,
    pub repositories: Option<Vec<String>>,
    pub exec: bool,
    pub default: bool,
    pub usd_per_hour: f64,
    pub spot_usd_per_hour: f64,
}

impl ClassView {
    /// The sound classes of a catalogue, by name.
    #[must_use]
    pub fn all(catalogue: &Catalogue) -> Vec<Self> {
        let default = catalogue.default_class().map(|class| &class.name);
        catalogue.iter().map(|class| Self::of(class, default == Some(&class.name))).collect()
    }

    fn of(class: &Class, default: bool) -> Self {
        let hour = |market| {
            let began = Timestamp::UNIX_EPOCH;
            task_usd(class.size, market, began, began + SignedDuration::from_hours(1))
        };
        Self {
            name: class.name.to_string(),
            cpu: class.size.cpu(),
            memory: class.size.memory(),
            ephemeral_storage_gib: class.size.ephemeral_storage_gib(),
            arch: class.size.arch(),
            capacity: class.capacity.to_string(),
            max_runners: class.max_runners,
            max_job_minutes: class.max_job_minutes,
            labels: class.offers.iter().map(str::to_owned).collect(),
            image: class.image.clone(),
            repositories: class
                .repositories
                .as_ref()
                .map(|patterns| patterns.iter().map(ToString::to_string).collect()),
            exec: class.exec,
            default,
            usd_per_hour: hour(Market::OnDemand),
            spot_usd_per_hour: hour(Market::Spot),
        }
    }
}
