//! Events: the form in which webhooks, task state changes and GitHub's answers
//! are passed to [`crate::decide::record::record`].

use std::sync::Arc;

use jiff::Timestamp;

use crate::id::{
    HostId, InstanceId, JobId, Repository, RunnerId, RunnerName, TaskId, TaskName, Version, WarmName,
};
use crate::reason::Reason;
use crate::rules::image::RunnerVersion;
use crate::wire::exit::AgentExit;
use crate::wire::exit_record::{AgentTimes, ExitRecord};
use crate::wire::job::{Conclusion, JobFacts, TakenBy};
use crate::wire::peaks::Peaks;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// GitHub sent a webhook about a job.
    Job(JobEvent),
    /// GitHub was asked about a job, and answered.
    JobAnswer(JobAnswer),
    /// GitHub was asked what started a job's run, and answered.
    RunAnswer(RunAnswer),
    /// A task changed its state.
    Task(TaskEvent),
    /// GitHub was asked about a registration, and answered.
    RegistrationAnswer(RegistrationAnswer),
    /// An operator wants a runner stopped.
    Stop(StopRequest),
    /// An operator wants a job judged again.
    Retry(RetryRequest),
    /// A runner's end explains why its job ended.
    JobReason(JobReason),
    /// A runner's agent said when it did what.
    Exit(ExitReport),
}

/// The records that an event is about.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Keys {
    pub job: Option<JobId>,
    pub runner: Option<RunnerName>,
    pub warm: Option<WarmName>,
    /// Whether the runner's history record is wanted if it has no open one.
    pub gone: bool,
    /// The EC2 instance whose runner is wanted.
    pub host: Option<HostId>,
}

impl Keys {
    #[must_use]
    pub fn of_job(job: JobId) -> Self {
        Self { job: Some(job), ..Self::default() }
    }

    #[must_use]
    pub fn of_runner(runner: &RunnerName) -> Self {
        Self { runner: Some(runner.clone()), ..Self::default() }
    }

    #[must_use]
    pub fn of_task(name: &TaskName) -> Self {
        match name {
            TaskName::Runner(runner) => Self::of_runner(runner),
            TaskName::Warm(warm) => Self { warm: Some(warm.clone()), ..Self::default() },
        }
    }
}

impl Event {
    /// Returns the keys of the records to load before it is recorded.
    #[must_use]
    pub fn keys(&self) -> Keys {
        match self {
            Self::Job(event) => event.keys(),
            Self::JobAnswer(answer) => match &answer.outcome {
                JobOutcome::Found(event) => {
                    let keys = event.keys();
                    Keys { runner: keys.runner.or_else(|| answer.on_behalf_of.clone()), ..keys }
                }
                JobOutcome::Absent | JobOutcome::Unanswered => Keys::of_job(answer.job),
            },
            Self::RunAnswer(answer) => Keys::of_job(answer.job),
            Self::Task(event) => Keys::of_task(&event.name),
            Self::RegistrationAnswer(answer) => Keys::of_runner(&answer.runner),
            Self::Stop(request) => Keys::of_runner(&request.runner),
            Self::Retry(request) => Keys::of_job(request.job),
            Self::JobReason(told) => Keys::of_job(told.job),
            Self::Exit(report) => Keys { gone: true, ..Keys::of_runner(&report.runner) },
        }
    }
}

impl Event {
    /// Returns the facts of its job, if GitHub described one.
    #[must_use]
    pub fn job_facts(&self) -> Option<&JobFacts> {
        match self {
            Self::Job(event) => Some(&event.facts),
            Self::JobAnswer(JobAnswer { outcome: JobOutcome::Found(event), .. }) => Some(&event.facts),
            Self::JobAnswer(_)
            | Self::RunAnswer(_)
            | Self::Task(_)
            | Self::RegistrationAnswer(_)
            | Self::Stop(_)
            | Self::Retry(_)
            | Self::JobReason(_)
            | Self::Exit(_) => None,
        }
    }
}

/// A `workflow_job` event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobEvent {
    pub action: JobAction,
    pub facts: Arc<JobFacts>,
    /// Whether the repository is private or internal, if GitHub said so.
    pub private: Option<bool>,
    /// When GitHub created the job.
    pub created_at: Option<Timestamp>,
    /// When this reached us.
    pub received_at: Timestamp,
}

impl JobEvent {
    fn keys(&self) -> Keys {
        let runner = match &self.action {
            JobAction::InProgress { runner, .. } | JobAction::Completed { runner, .. } => {
                runner.ours().cloned()
            }
            JobAction::Waiting | JobAction::Queued => None,
        };
        // What tells when a job has begun can come when its runner is gone. Then it is only shown there.
        let tells_begin = matches!(self.action, JobAction::InProgress { .. }) || self.began_at().is_some();
        let gone = runner.is_some() && tells_begin;
        Keys { runner, gone, ..Keys::of_job(self.facts.id) }
    }

    /// Returns when a runner began a job that has ended, if GitHub said so: not later than it ended.
    #[must_use]
    pub fn began_at(&self) -> Option<Timestamp> {
        match &self.action {
            JobAction::Completed { runner, started_at, .. } => {
                let began = started_at.filter(|_| runner.name().is_some());
                began.map(|at| at.min(self.happened_at()))
            }
            JobAction::Waiting | JobAction::Queued | JobAction::InProgress { .. } => None,
        }
    }

    /// Returns when it happened: by our clock, which is finer, unless the event came late.
    #[must_use]
    pub fn happened_at(&self) -> Timestamp {
        const FRESH_SECS: i64 = 3;
        let by_github = match &self.action {
            JobAction::Waiting | JobAction::Queued => self.created_at,
            JobAction::InProgress { started_at, .. } => *started_at,
            JobAction::Completed { completed_at, .. } => *completed_at,
        };
        match by_github {
            Some(at) if self.received_at.duration_since(at).as_secs() > FRESH_SECS => at,
            _ => self.received_at,
        }
    }
}

/// The actions of `workflow_job`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobAction {
    /// GitHub waits for an approval.
    Waiting,
    /// It waits for a runner.
    Queued,
    /// A runner began it.
    InProgress {
        runner: TakenBy,
        /// When, by GitHub's clock.
        started_at: Option<Timestamp>,
    },
    Completed {
        /// On which runner, if any.
        runner: TakenBy,
        conclusion: Conclusion,
        /// When the runner began it, by GitHub's clock. For a job that no runner began this means nothing.
        started_at: Option<Timestamp>,
        /// When, by GitHub's clock.
        completed_at: Option<Timestamp>,
    },
}

/// GitHub's answer to a question about a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobAnswer {
    pub job: JobId,
    /// The version of its record before the question. If the record has changed since, the answer is dropped.
    pub asked: Version,
    /// A runner that completed an unknown job, if the question was asked for it.
    pub on_behalf_of: Option<RunnerName>,
    pub outcome: JobOutcome,
    pub at: Timestamp,
}

/// What GitHub said of a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobOutcome {
    /// The job's present state.
    Found(JobEvent),
    /// There is no such job, and a control read succeeded.
    Absent,
    /// No usable answer: the question is asked again later.
    Unanswered,
}

/// GitHub's answer to the question of what started a job's run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunAnswer {
    /// The job for which GitHub was asked.
    pub job: JobId,
    /// The version of the job's record before the question.
    pub asked: Version,
    pub outcome: RunOutcome,
    pub at: Timestamp,
}

/// What GitHub said of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RunOutcome {
    Found {
        /// The event, such as `pull_request`.
        event: Arc<str>,
        /// The repository of its head commit; `None` for a deleted fork.
        head_repository: Option<Repository>,
        /// Whether its repository is private or internal, if GitHub said so.
        private: Option<bool>,
    },
    /// There is no such run, and a control read succeeded.
    Absent,
    /// No usable answer: the question is asked again later.
    Unanswered,
}

/// GitHub's answer to a question about a registration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistrationAnswer {
    pub runner: RunnerName,
    /// The version of its record before the question.
    pub asked: Version,
    pub outcome: RegistrationOutcome,
    pub at: Timestamp,
}

/// What GitHub said of a registration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegistrationOutcome {
    /// It runs a job.
    Busy(RunnerId),
    /// It waits for a job.
    Idle,
    /// There is none, and a control read succeeded.
    Absent,
    /// No usable answer: the question is asked again later.
    Unanswered,
}

/// An operator wants a runner stopped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StopRequest {
    pub runner: RunnerName,
    /// Whether its task is stopped even if it executes a job, which then fails.
    pub force: bool,
    pub at: Timestamp,
}

/// An operator wants a refused job judged again by the present rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryRequest {
    pub job: JobId,
    pub at: Timestamp,
}

/// Why a job ended, derived from its runner's end. GitHub says how it ended, often earlier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobReason {
    pub job: JobId,
    /// The runner that executed it.
    pub runner: RunnerName,
    pub reason: Reason,
}

/// A task's state change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskEvent {
    /// The name with which it was launched.
    pub name: TaskName,
    pub task: TaskId,
    /// Increases for each task: an event with an older version is dropped.
    pub version: u64,
    pub change: TaskChange,
    /// What the compute service says of its course.
    pub times: TaskTimes,
    /// On which instance it runs, if the service told.
    pub instance: Option<InstanceId>,
    pub at: Timestamp,
}

/// When a task reached its steps, by the compute service. An event may lack any of them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TaskTimes {
    /// It was accepted (ECS: `createdAt`).
    pub created: Option<Timestamp>,
    /// The pull of its image began (ECS: `pullStartedAt`).
    pub pull_started: Option<Timestamp>,
    /// The pull of its image ended (ECS: `pullStoppedAt`).
    pub pull_stopped: Option<Timestamp>,
    /// Its container ran (ECS: `startedAt`).
    pub started: Option<Timestamp>,
}

impl TaskTimes {
    /// The steps in their order.
    #[must_use]
    pub fn steps(&self) -> [Option<Timestamp>; 4] {
        [self.created, self.pull_started, self.pull_stopped, self.started]
    }

    /// The reverse of [`Self::steps`].
    #[must_use]
    pub fn from_steps([created, pull_started, pull_stopped, started]: [Option<Timestamp>; 4]) -> Self {
        Self { created, pull_started, pull_stopped, started }
    }

    /// Returns these times, and those of a later event where these lack one.
    #[must_use]
    pub fn or(self, later: Self) -> Self {
        Self {
            created: self.created.or(later.created),
            pull_started: self.pull_started.or(later.pull_started),
            pull_stopped: self.pull_stopped.or(later.pull_stopped),
            started: self.started.or(later.started),
        }
    }
}

/// What a runner's agent said in its exit record, and where that stood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExitReport {
    /// The runner that the record names.
    pub runner: RunnerName,
    /// The task in whose log it stood.
    pub task: TaskId,
    /// When the line was written, by the log.
    pub written_at: Timestamp,
    pub times: AgentTimes,
    pub runner_version: Option<RunnerVersion>,
    pub peaks: Option<Peaks>,
}

impl ExitReport {
    /// Returns what a record says that stood in this task's log; `None` if it names no runner.
    #[must_use]
    pub fn of(record: ExitRecord, task: TaskId, written_at: Timestamp) -> Option<Self> {
        let ExitRecord { runner, times, runner_version, peaks, .. } = record;
        Some(Self { runner: runner?, task, written_at, times, runner_version, peaks })
    }
}

/// The new state of a task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TaskChange {
    Running,
    Stopped(StopCause),
}

/// Why a task stopped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StopCause {
    /// The agent ended with a code of its own.
    Agent(AgentExit),
    /// The agent ended with another code, or no code is known.
    Unknown(Arc<str>),
    /// The task never started.
    FailedToStart(Arc<str>),
    /// The task never started because there was no capacity.
    NoCapacity(Arc<str>),
    /// AWS took the Spot capacity back.
    SpotInterrupted,
    /// We or an operator stopped it.
    StoppedByUser,
    /// It no longer exists, and how it ended is unknown.
    Missing,
}
