//! Warm tasks: tasks that have booted before a job needs them. A warm task has no registration, scope or labels, so it
//! serves any pool of its class. When a job needs it, the record of a runner takes over its task, and this record remains
//! as the link from the task's name to that runner until the runner is gone.

use jiff::{SignedDuration, Timestamp};

use crate::id::{ClassName, Epoch, RunnerName, TaskId, Version, WarmName};
use crate::records::runner::{Retry, Task, TaskLeft};
use crate::records::timeline::Timeline;
use crate::rules::class::size::Size;
use crate::rules::limits::WaitLimits;
use crate::rules::placement::Placement;
use crate::wire::boot::TaskRole;
use crate::wire::fault::Fault;
use crate::wire_form::by_wire_form;

/// The stages of a warm task's timeline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WarmStage {
    /// Recorded, with a slot in the limits.
    Reserved,
    /// Its task was accepted.
    Starting,
    /// Its container runs.
    Warm,
    /// A runner has taken over its task.
    Used,
    /// It is to end, or has ended without a runner.
    Ending,
    /// Nothing is left of it, or of the runner that took it over.
    Gone,
}

impl WarmStage {
    pub const ALL: [Self; 6] =
        [Self::Reserved, Self::Starting, Self::Warm, Self::Used, Self::Ending, Self::Gone];

    /// The wire form, pinned.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Starting => "starting",
            Self::Warm => "warm",
            Self::Used => "used",
            Self::Ending => "ending",
            Self::Gone => "gone",
        }
    }
}

by_wire_form!(WarmStage, "state of a warm task");

/// Why a warm task ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WarmEnd {
    /// A runner took it over.
    Used,
    /// More were there than the class keeps at this time.
    Surplus,
    /// It was as old as the class allows.
    Aged,
    /// Its class or its image had changed.
    Outdated,
    /// A job needed its slot or its capacity.
    Yielded,
    /// It failed.
    Failed,
    /// AWS or an operator stopped it.
    Stopped,
}

impl WarmEnd {
    pub const ALL: [Self; 7] =
        [Self::Used, Self::Surplus, Self::Aged, Self::Outdated, Self::Yielded, Self::Failed, Self::Stopped];

    /// The wire form, pinned.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Surplus => "surplus",
            Self::Aged => "aged",
            Self::Outdated => "outdated",
            Self::Yielded => "yielded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    /// A sentence for a person, without a full stop.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Used => "a runner took it over",
            Self::Surplus => "its class keeps fewer warm runners at this time",
            Self::Aged => "it was as old as its class allows",
            Self::Outdated => "its class or its image had changed",
            Self::Yielded => "a job needed its slot or its capacity",
            Self::Failed => "it failed",
            Self::Stopped => "AWS or an operator stopped it",
        }
    }
}

by_wire_form!(WarmEnd, "ending of a warm task");

/// The facts with which a warm task was launched; they never change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WarmFacts {
    pub name: WarmName,
    pub class: ClassName,
    pub size: Size,
    /// Minutes after which the job of its runner is ended.
    pub max_job_minutes: u32,
    pub wait_limits: WaitLimits,
    /// Seconds until its job's hook must have checked in.
    pub hook_limit_secs: u32,
    /// How long it may wait for a runner.
    pub max_age: SignedDuration,
    /// The image's name; `None` for the deployment's default image.
    pub image: Option<String>,
    /// The digest of the default image, if that is known: its tag moves.
    pub digest: Option<String>,
    /// Whether ECS Exec may open a shell in it.
    pub exec: bool,
    /// [`crate::rules::class::Class::services_digest`] of its class.
    pub services: Option<String>,
}

impl WarmFacts {
    #[must_use]
    pub fn task_role(&self) -> TaskRole {
        if self.exec { TaskRole::Exec } else { TaskRole::Plain }
    }

    /// Bounds the end of its task by the longest time that its agent waits for a runner.
    fn bounded(&self, launched_at: Option<Timestamp>, end: Timestamp) -> Timestamp {
        let longest = self.wait_limits.longest_start(false) + self.max_age + AGED_MARGIN;
        launched_at.map_or(end, |from| end.min(from + longest))
    }
}

/// A warm task that is not gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WarmTask {
    pub facts: WarmFacts,
    pub version: Version,
    /// The dispatcher's term in which it was last claimed.
    pub epoch: Epoch,
    pub timeline: Timeline<WarmStage>,
    pub placement: Placement,
    /// When a failed step is retried; cleared by the next change of its state.
    pub retry: Option<Retry>,
    pub state: WarmState,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WarmState {
    /// `RunTask` may have been called.
    Reserved,
    /// Its task was accepted.
    Starting(Task),
    /// Its container runs, and its agent waits for a boot item.
    Warm(Task),
    /// A runner has taken over the task.
    Used(RunnerName),
    Ending(WarmEnding),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WarmEnding {
    pub kind: WarmEnd,
    /// What AWS or its agent said.
    pub words: Option<String>,
    /// What went wrong, until that has been learnt.
    pub fault: Option<Fault>,
    pub task: TaskLeft,
}

/// The history record of a warm task: what it cost to keep it.
#[derive(Clone, PartialEq, Debug)]
pub struct EndedWarm {
    pub facts: WarmFacts,
    pub version: Version,
    pub timeline: Timeline<WarmStage>,
    pub placement: Placement,
    pub kind: WarmEnd,
    pub words: Option<String>,
    /// The runner that took it over.
    pub runner: Option<RunnerName>,
    /// The cost until a runner took it over or its task stopped, in US dollars at list prices.
    pub cost_usd: Option<f64>,
}

/// How much longer than its greatest age a warm task may live.
const AGED_MARGIN: SignedDuration = SignedDuration::from_mins(5);
/// The only attempt: one that is refused ends the task, and a later plan launches another one.
const ATTEMPT: u32 = 1;

impl WarmTask {
    #[must_use]
    pub fn name(&self) -> &WarmName {
        &self.facts.name
    }

    #[must_use]
    pub fn stage(&self) -> WarmStage {
        match self.state {
            WarmState::Reserved => WarmStage::Reserved,
            WarmState::Starting(_) => WarmStage::Starting,
            WarmState::Warm(_) => WarmStage::Warm,
            WarmState::Used(_) => WarmStage::Used,
            WarmState::Ending(_) => WarmStage::Ending,
        }
    }

    /// Whether it is on its way or waits for a runner.
    #[must_use]
    pub fn is_supply(&self) -> bool {
        matches!(self.state, WarmState::Reserved | WarmState::Starting(_) | WarmState::Warm(_))
    }

    /// Whether it takes a slot in the limits itself: until its task has stopped or a runner has taken it over.
    #[must_use]
    pub fn takes_slot(&self) -> bool {
        !matches!(self.state, WarmState::Used(_)) && self.stopped_at().is_none()
    }

    /// When its task stopped.
    #[must_use]
    pub fn stopped_at(&self) -> Option<Timestamp> {
        match &self.state {
            WarmState::Ending(WarmEnding { task: TaskLeft::Stopped { at, .. }, .. }) => Some(*at),
            _ => None,
        }
    }

    /// Its task, unless that is a runner's.
    #[must_use]
    pub fn task(&self) -> Option<&TaskId> {
        match &self.state {
            WarmState::Reserved | WarmState::Used(_) => None,
            WarmState::Starting(task) | WarmState::Warm(task) => Some(&task.id),
            WarmState::Ending(ending) => match &ending.task {
                TaskLeft::Unanswered { .. } => None,
                TaskLeft::Running(task) | TaskLeft::Stopping { task, .. } => Some(&task.id),
                TaskLeft::Stopped { task, .. } => task.as_ref(),
            },
        }
    }

    /// When its task was launched.
    #[must_use]
    pub fn launched_at(&self) -> Option<Timestamp> {
        launched_at(&self.timeline)
    }

    /// Returns the next version of this record in another state.
    #[must_use]
    pub fn with_state(&self, state: WarmState, at: Timestamp) -> Self {
        let mut next = Self { version: self.version.next(), state, retry: None, ..self.clone() };
        if next.stage() != self.stage() {
            next.timeline.push(next.stage(), at);
        }
        next
    }

    /// Returns the next version of this record, ending for this reason; `None` if it ends already or is a runner's.
    #[must_use]
    pub fn end(&self, kind: WarmEnd, words: Option<String>, at: Timestamp) -> Option<Self> {
        let task = match &self.state {
            WarmState::Reserved => TaskLeft::Unanswered { attempt: ATTEMPT },
            WarmState::Starting(task) | WarmState::Warm(task) => TaskLeft::Running(task.clone()),
            WarmState::Used(_) | WarmState::Ending(_) => return None,
        };
        let ending = WarmEnding { kind, words, fault: None, task };
        Some(self.with_state(WarmState::Ending(ending), at))
    }

    /// Returns the next version of this record and the task that the runner takes over; `None` if it has none to give.
    #[must_use]
    pub fn used_by(&self, runner: &RunnerName, at: Timestamp) -> Option<Self> {
        match &self.state {
            WarmState::Starting(_) | WarmState::Warm(_) => {
                Some(self.with_state(WarmState::Used(runner.clone()), at))
            }
            WarmState::Reserved | WarmState::Used(_) | WarmState::Ending(_) => None,
        }
    }

    /// Returns the cost of keeping it up to `now`, in US dollars at list prices.
    #[must_use]
    pub fn cost_usd(&self, now: Timestamp) -> Option<f64> {
        self.placement.usd(self.facts.size, self.launched_at()?, self.billed_until(now))
    }

    /// Until when keeping it costs something: until a runner took it over, its stop, or `now`. A stop that becomes known late
    /// counts as soon as the task's own limits have ended it.
    #[must_use]
    pub fn billed_until(&self, now: Timestamp) -> Timestamp {
        let used = self.timeline.at(WarmStage::Used);
        used.unwrap_or_else(|| self.facts.bounded(self.launched_at(), self.stopped_at().unwrap_or(now)))
    }

    /// Returns its history record. Ask only when its task has stopped, or its runner is gone.
    #[must_use]
    pub fn gone(&self, now: Timestamp) -> Option<EndedWarm> {
        let (kind, words, runner) = match &self.state {
            WarmState::Used(runner) => (WarmEnd::Used, None, Some(runner.clone())),
            WarmState::Ending(ending) if self.stopped_at().is_some() => {
                (ending.kind, ending.words.clone(), None)
            }
            _ => return None,
        };
        let mut timeline = self.timeline.clone();
        timeline.push(WarmStage::Gone, now);
        Some(EndedWarm {
            facts: self.facts.clone(),
            version: self.version.next(),
            timeline,
            placement: self.placement.clone(),
            kind,
            words,
            runner,
            cost_usd: self.cost_usd(now),
        })
    }
}

impl EndedWarm {
    /// When its task was launched.
    #[must_use]
    pub fn launched_at(&self) -> Option<Timestamp> {
        launched_at(&self.timeline)
    }

    /// Until when keeping it cost something, as for [`WarmTask::billed_until`].
    #[must_use]
    pub fn billed_until(&self) -> Timestamp {
        let used = self.timeline.at(WarmStage::Used);
        used.unwrap_or_else(|| self.facts.bounded(self.launched_at(), self.timeline.latest()))
    }
}

fn launched_at(timeline: &Timeline<WarmStage>) -> Option<Timestamp> {
    let launched = [WarmStage::Starting, WarmStage::Warm];
    timeline.iter().find(|(stage, _)| launched.contains(stage)).map(|(_, at)| at)
}
