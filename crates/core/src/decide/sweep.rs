//! What events missed: what is recorded is compared with what is there, on all
//! sides, and each pass leaves the next one where to go on.
//!
//! Runners that end, and jobs of which nothing is heard, have no place here:
//! their next step and the question about them come with every plan.

pub mod tasks;
pub mod registrations;
pub mod deliveries;
pub mod repositories;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::id::{RunnerName, TaskId};
use crate::records::open::Open;
use crate::records::runner::RunnerStage;
use crate::rules::pool::Scope;
use crate::wire::event::StopCause;

/// How often to sweep while something is open, or deliveries are left to go through.
const PERIOD: SignedDuration = SignedDuration::from_mins(1);
/// How often to sweep while nothing is.
const PERIOD_AT_REST: SignedDuration = SignedDuration::from_mins(5);
/// Whoever calls each minute comes a little early now and then.
const EARLY: SignedDuration = SignedDuration::from_secs(10);

/// How long a runner may be ending before it is stuck.
const STUCK: SignedDuration = SignedDuration::from_hours(1);

/// A task as the compute service has it now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeenTask {
    pub task: TaskId,
    /// The runner that it is tagged with.
    pub runner: RunnerName,
    pub status: SeenStatus,
}

/// Where a task stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SeenStatus {
    /// Accepted; its container does not run yet.
    Pending,
    Running,
    Stopped(StopCause),
}

/// How long a task must have been missing, since the first pass that missed
/// it, before it counts as gone. Zero where the kernel itself lists processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lag(pub SignedDuration);

impl Lag {
    /// Of a distributed service, whose list may lag behind its other answers:
    /// with a pass each minute, several passes must have missed the task.
    pub const DISTRIBUTED: Self = Self(SignedDuration::from_mins(10));
}

/// What one sweep leaves for the next: where it is to go on, and what it has
/// missed so far.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SweepProgress {
    /// When the last pass began.
    pub began_at: Option<Timestamp>,
    /// Runners whose task is not in the list, and the first pass that missed
    /// it; at most [`tasks::MAX_MISSING`].
    pub missing: BTreeMap<RunnerName, Timestamp>,
    /// Where runners were registered lately; at most [`registrations::MAX_SCOPES`].
    pub scopes: Vec<KnownScope>,
    /// Which webhook deliveries were gone through.
    pub deliveries: DeliveryProgress,
    /// How many repositories were asked for queued jobs so far, without an
    /// App: the place in their rotation.
    pub repositories_asked: u32,
}

/// A registration scope that has, or lately had, runners of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownScope {
    pub scope: Scope,
    /// When an open runner was last registered there.
    pub seen_at: Timestamp,
    /// When its registrations were last gone through to the end.
    pub looked_at: Option<Timestamp>,
    /// The page of its registrations to go on with, from 1.
    pub next_page: u32,
}

/// Which deliveries were gone through: all up to `handled`, but for what the
/// backlog leaves.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct DeliveryProgress {
    /// The latest that was.
    pub handled: Option<DeliveryMark>,
    /// What an earlier pass had no room for.
    pub backlog: Option<Backlog>,
}

/// A place in GitHub's list of deliveries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeliveryMark {
    /// The number of the delivery; GitHub counts upwards.
    pub number: u64,
    /// When it was delivered.
    pub at: Timestamp,
}

/// Deliveries still to go through: those before `from`, and after `down_to`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backlog {
    /// The earliest that was gone through.
    pub from: DeliveryMark,
    /// GitHub's cursor of the page to go on with, at most
    /// [`deliveries::LONGEST_CURSOR`] bytes; without it the list is read from its top.
    pub cursor: Option<String>,
    /// The latest of those that were gone through before.
    pub down_to: DeliveryMark,
}

/// Whether the time has come for a pass.
#[must_use]
pub fn is_due(progress: &SweepProgress, open_is_empty: bool, now: Timestamp) -> bool {
    let at_rest = open_is_empty && progress.deliveries.backlog.is_none();
    let period = if at_rest { PERIOD_AT_REST } else { PERIOD };
    progress.began_at.is_none_or(|began| now >= began + period - EARLY)
}

/// How many runners have been ending for so long that something must hold them up.
#[must_use]
pub fn stuck(open: &Open, now: Timestamp) -> usize {
    let ending = open.runners.values().filter(|runner| runner.stage() == RunnerStage::Ending);
    ending
        .filter_map(|runner| runner.timeline.last_at(RunnerStage::Ending))
        .filter(|since| *since + STUCK <= now)
        .count()
}

#[cfg(test)]
mod tests;
