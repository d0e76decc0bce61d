//! Runners: what a runner was launched as, and how one version of its record becomes the next.
//! [`crate::decide::step`] decides its next step.

mod ending;
mod state;
mod gone;

use jiff::Timestamp;

use crate::id::{
    ClassName, Epoch, JobId, PoolId, Repository, RunnerId, RunnerName, TaskId, Version, WarmName,
};
use crate::reason::Reason;
use crate::records::instance::Instance;
use crate::records::timeline::Timeline;
use crate::records::times::Times;
use crate::rules::class::size::Size;
use crate::rules::labels::Labels;
use crate::rules::limits::{Limits, WaitLimits};
use crate::rules::placement::Placement;
use crate::rules::pool::Scope;
use crate::wire::boot::TaskRole;
use crate::wire::fault::Fault;
use crate::wire_form::by_wire_form;
pub use ending::EndingKind;
pub use gone::EndedRunner;
pub use state::{Custody, Ending, RegistrationLeft, RunnerState, Served, Task, TaskLeft};

/// The stages of a runner's timeline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunnerStage {
    /// Recorded, with a slot in the limits.
    Reserved,
    /// Its task was accepted.
    Starting,
    /// Its container runs, and no runner has taken it over. Only warm tasks are shown in this stage.
    Warm,
    Booted,
    /// It executes a job.
    Busy,
    /// It has ended, or is to end; something is left to clean up.
    Ending,
    /// Task, registration and boot item are gone.
    Gone,
}

impl RunnerStage {
    pub const ALL: [Self; 7] =
        [Self::Reserved, Self::Starting, Self::Warm, Self::Booted, Self::Busy, Self::Ending, Self::Gone];

    /// The wire form, pinned.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Starting => "starting",
            Self::Warm => "warm",
            Self::Booted => "booted",
            Self::Busy => "busy",
            Self::Ending => "ending",
            Self::Gone => "gone",
        }
    }
}

by_wire_form!(RunnerStage, "state of a runner");

/// The facts with which a runner was launched; they never change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunnerFacts {
    pub name: RunnerName,
    pub class: ClassName,
    /// The class's size when it was launched.
    pub size: Size,
    pub pool: PoolId,
    pub scope: Scope,
    pub labels: Labels,
    /// The repository of the job for which it was launched.
    pub repository: Repository,
    /// The job for which it was launched: a hint, since runners of a pool are interchangeable.
    pub launched_for: JobId,
    /// Minutes after which its job is ended.
    pub max_job_minutes: u32,
    /// Its agent's limits; `None` for a runner of an earlier release: the present settings count.
    pub wait_limits: Option<WaitLimits>,
    /// The image's name; `None` for the deployment's default image.
    pub image: Option<String>,
    /// Whether ECS Exec may open a shell in it.
    pub exec: bool,
    /// Whether it was launched to fail a job that cannot be served. It serves no job.
    pub fails: bool,
    /// The warm task that it took over; `None` if it was launched with a task of its own.
    pub warm: Option<WarmName>,
}

impl RunnerFacts {
    #[must_use]
    pub fn task_role(&self) -> TaskRole {
        if self.exec { TaskRole::Exec } else { TaskRole::Plain }
    }

    /// Bounds the end of its task on Fargate by the longest life that the limits of its agent allow. Elsewhere its price is not
    /// known.
    fn bounded(&self, launched_at: Option<Timestamp>, end: Timestamp) -> Timestamp {
        // A runner of an earlier release does not say: then the defaults.
        let limits = self.wait_limits.unwrap_or_else(|| Limits::default().waiting());
        let longest = limits.longest_start(false) + limits.longest_life(self.max_job_minutes);
        launched_at.map_or(end, |from| end.min(from + longest))
    }
}

/// A runner that is not gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Runner {
    /// What it was launched as.
    pub facts: RunnerFacts,
    pub version: Version,
    /// The dispatcher's term in which it was last claimed.
    pub epoch: Epoch,
    /// What it went through.
    pub timeline: Timeline<RunnerStage>,
    /// Since when it has been surplus: its pool has more supply than demand, and it goes first.
    pub surplus_since: Option<Timestamp>,
    /// Where its latest attempt was, or is to be.
    pub placement: Placement,
    /// Where its task runs, if that may be an instance with other tasks; `None` until it is known, and on Fargate.
    pub instance: Option<Instance>,
    /// Whether it was launched to try what a hold holds back, or an image.
    pub probe: bool,
    /// When a failed step is retried; cleared by the next change of its state.
    pub retry: Option<Retry>,
    /// When GitHub was last asked about it.
    pub asked_at: Option<Timestamp>,
    /// When its task, its agent and its job did what.
    pub times: Box<Times>,
    pub state: RunnerState,
}

/// A step failed and is retried later.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retry {
    /// Failures in a row.
    pub failures: u32,
    /// When the next attempt may be made.
    pub not_before: Timestamp,
    /// Why the last attempt failed.
    pub reason: Reason,
}

impl Runner {
    #[must_use]
    pub fn name(&self) -> &RunnerName {
        &self.facts.name
    }

    /// The stage of its state.
    #[must_use]
    pub fn stage(&self) -> RunnerStage {
        match self.state {
            RunnerState::Reserved { .. } => RunnerStage::Reserved,
            RunnerState::Starting { .. } => RunnerStage::Starting,
            RunnerState::Booted { .. } => RunnerStage::Booted,
            RunnerState::Busy { .. } => RunnerStage::Busy,
            RunnerState::Ending(_) => RunnerStage::Ending,
        }
    }

    /// Returns the job in its record, regardless of that job's own record.
    #[must_use]
    pub fn names_job(&self) -> Option<JobId> {
        match &self.state {
            RunnerState::Busy { job, .. } => *job,
            RunnerState::Ending(Ending { served: Served::Job(job), .. }) => Some(*job),
            _ => None,
        }
    }

    /// Whether it is starting or waits for a job.
    #[must_use]
    pub fn is_supply(&self) -> bool {
        matches!(
            self.state,
            RunnerState::Reserved { .. } | RunnerState::Starting { .. } | RunnerState::Booted { .. }
        )
    }

    /// Whether its task is still to be started.
    #[must_use]
    pub fn awaits_task(&self) -> bool {
        matches!(self.state, RunnerState::Reserved { .. })
    }

    /// Whether a configuration is still to be handed over to it.
    #[must_use]
    pub fn awaits_configuration(&self) -> bool {
        match &self.state {
            RunnerState::Reserved { .. } => true,
            RunnerState::Starting { custody, .. } | RunnerState::Booted { custody, .. } => {
                *custody == Custody::Unissued
            }
            RunnerState::Busy { .. } | RunnerState::Ending(_) => false,
        }
    }

    /// Whether this configuration was handed over to it and has not been taken back.
    #[must_use]
    pub fn has_been_issued(&self, registration: RunnerId) -> bool {
        match &self.state {
            RunnerState::Starting { custody, .. } | RunnerState::Booted { custody, .. } => {
                *custody == Custody::Issued(registration)
            }
            _ => false,
        }
    }

    /// Whether it takes a slot in the limits, which it does until its task has stopped.
    #[must_use]
    pub fn takes_slot(&self) -> bool {
        self.stopped_at().is_none()
    }

    /// When its task stopped.
    #[must_use]
    pub fn stopped_at(&self) -> Option<Timestamp> {
        match &self.state {
            RunnerState::Ending(Ending { task: TaskLeft::Stopped { at, .. }, .. }) => Some(*at),
            _ => None,
        }
    }

    /// When its task was launched: the first stage from `Starting` to `Busy`, since
    /// an event of the task may come before the answer to `RunTask`. A runner that ended before that answer has no such
    /// stage: then it is the first time that the compute service gave its task.
    #[must_use]
    pub fn launched_at(&self) -> Option<Timestamp> {
        launched_at(&self.timeline, self.task(), &self.times)
    }

    /// Its task, if it is known.
    #[must_use]
    pub fn task(&self) -> Option<&TaskId> {
        match &self.state {
            RunnerState::Reserved { .. } => None,
            RunnerState::Starting { task, .. }
            | RunnerState::Booted { task, .. }
            | RunnerState::Busy { task, .. } => Some(&task.id),
            RunnerState::Ending(ending) => match &ending.task {
                TaskLeft::Unanswered { .. } => None,
                TaskLeft::Running(task) | TaskLeft::Stopping { task, .. } => Some(&task.id),
                TaskLeft::Stopped { task, .. } => task.as_ref(),
            },
        }
    }

    /// Returns the next version of this record in another state. A new stage is
    /// added to the timeline, and a pending retry is cleared.
    #[must_use]
    pub fn with_state(&self, state: RunnerState, at: Timestamp) -> Self {
        let mut next = Self { version: self.version.next(), state, retry: None, ..self.clone() };
        if next.stage() != self.stage() {
            next.timeline.push(next.stage(), at);
        }
        if !next.is_supply() {
            next.surplus_since = None;
        }
        next
    }

    /// Returns the next version of this record, ending for this reason. Only what is
    /// known to be cleaned up counts as clean.
    #[must_use]
    pub fn end(&self, kind: EndingKind, note: Option<Reason>, at: Timestamp) -> Self {
        let (task, custody, served) = match &self.state {
            RunnerState::Reserved { attempt } => {
                (TaskLeft::Unanswered { attempt: *attempt }, Custody::Unissued, Served::Nothing)
            }
            RunnerState::Starting { task, custody } | RunnerState::Booted { task, custody } => {
                (TaskLeft::Running(task.clone()), *custody, Served::Nothing)
            }
            RunnerState::Busy { task, registration, job } => (
                TaskLeft::Running(task.clone()),
                Custody::Taken(*registration),
                job.map_or(Served::Unnamed, Served::Job),
            ),
            RunnerState::Ending(ending) => (ending.task.clone(), ending.custody, ending.served),
        };
        let registration = match &self.state {
            RunnerState::Ending(ending) => ending.registration,
            _ => RegistrationLeft::Unproved,
        };
        let ending = Ending { kind, note, fault: None, served, task, custody, registration };
        self.with_state(RunnerState::Ending(ending), at)
    }

    /// Returns this record with the fault for which the runner ends.
    #[must_use]
    pub fn for_fault(mut self, fault: Option<Fault>) -> Self {
        if let RunnerState::Ending(ending) = &mut self.state {
            ending.fault = fault;
        }
        self
    }

    /// Returns the cost of its task up to `now`, in US dollars at list prices; `None` if no price is known.
    #[must_use]
    pub fn cost_usd(&self, now: Timestamp) -> Option<f64> {
        self.placement.usd(self.facts.size, self.billed_from(now)?, self.billed_until(now))
    }

    /// Since when its task costs something: AWS bills from the start of the image pull
    /// (<https://aws.amazon.com/fargate/pricing/>). Until that is known, its launch counts.
    #[must_use]
    pub fn billed_from(&self, now: Timestamp) -> Option<Timestamp> {
        Some(billed_from(self.launched_at()?, &self.times, self.billed_until(now)))
    }

    /// Until when its task costs something: its stop, or `now`. A stop that becomes known late counts as soon as the
    /// task's own limits have ended it.
    #[must_use]
    pub fn billed_until(&self, now: Timestamp) -> Timestamp {
        self.facts.bounded(self.launched_at(), self.stopped_at().unwrap_or(now))
    }
}

fn billed_from(launched_at: Timestamp, times: &Times, until: Timestamp) -> Timestamp {
    // The pull of a warm task was before its runner took it over. Before the pull, AWS's minimum of a minute
    // is all that counts.
    times.task.pull_started.map_or(launched_at, |pull| pull.min(until).max(launched_at))
}

fn launched_at(timeline: &Timeline<RunnerStage>, task: Option<&TaskId>, times: &Times) -> Option<Timestamp> {
    let launched = [RunnerStage::Starting, RunnerStage::Booted, RunnerStage::Busy];
    let by_stage = timeline.iter().find(|(stage, _)| launched.contains(stage)).map(|(_, at)| at);
    // Not before its reservation, whatever the other clock says.
    let by_task = || times.task.steps().into_iter().flatten().next().map(|at| at.max(timeline.began()));
    by_stage.or_else(|| task.and_then(|_| by_task()))
}
