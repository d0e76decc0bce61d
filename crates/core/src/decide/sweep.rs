//! The sweep repairs what events missed. It compares records with tasks,
//! registrations and deliveries, and each pass stores where the next one continues.
//!
//! Ending runners and silent jobs do not belong here: every plan includes their
//! next steps and the questions about them.

pub mod tasks;
pub mod registrations;
pub mod deliveries;
pub mod repositories;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::clock::{has_passed, set_back};
use crate::id::{InstanceId, Repository, RunId, TaskId, TaskName};
use crate::records::open::Open;
use crate::records::runner::RunnerStage;
use crate::rules::pace::Level;
use crate::rules::pool::Scope;
use crate::wire::event::{StopCause, TaskTimes};

/// How often to sweep while something is open, or the pass before left something to read.
const PERIOD: SignedDuration = SignedDuration::from_mins(1);
/// How often to sweep otherwise.
const PERIOD_AT_REST: SignedDuration = SignedDuration::from_mins(5);
/// A caller that comes each minute is sometimes a little early.
const EARLY: SignedDuration = SignedDuration::from_secs(10);

/// How long a runner may be ending before it counts as stuck.
const STUCK: SignedDuration = SignedDuration::from_hours(1);

/// A task as the compute service reports it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeenTask {
    pub task: TaskId,
    /// The name with which it was launched.
    pub name: TaskName,
    pub status: SeenStatus,
    /// When it reached its steps.
    pub times: TaskTimes,
    /// On which instance it runs, if the service tells.
    pub instance: Option<InstanceId>,
}

/// The state of a task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SeenStatus {
    /// Accepted; its container is not running yet.
    Pending,
    Running,
    Stopped(StopCause),
}

/// How long after the first pass that missed it a task counts as gone. Zero if
/// the kernel itself lists processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lag(pub SignedDuration);

impl Lag {
    /// The lag of a distributed service, whose list may be behind its other
    /// answers. With a pass each minute, several passes must miss the task.
    pub const DISTRIBUTED: Self = Self(SignedDuration::from_mins(10));
}

/// What one sweep stores for the next: where to continue, and which tasks are
/// missing so far.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SweepProgress {
    /// When the last pass began.
    pub began_at: Option<Timestamp>,
    /// Runners and warm tasks whose task is not in the list, with the time of the first pass that
    /// missed it; at most [`tasks::MAX_MISSING`].
    pub missing: BTreeMap<TaskName, Timestamp>,
    /// Where runners were registered recently; at most [`registrations::MAX_SCOPES`].
    pub scopes: Vec<KnownScope>,
    /// Which webhook deliveries were handled.
    pub deliveries: DeliveryProgress,
    /// Which repositories were asked for queued jobs.
    pub repositories: RepositoryProgress,
}

impl SweepProgress {
    /// Returns the progress as if its pass had begun now, if the clock has been set back since. Times of GitHub's deliveries
    /// are GitHub's own and stay.
    #[must_use]
    pub fn moved_back(self, now: Timestamp) -> Self {
        let Some(by) = self.began_at.and_then(|began| set_back(began, now)) else { return self };
        let move_back = |at: Timestamp| at - by;
        let scopes = self.scopes.into_iter().map(|known| KnownScope {
            seen_at: move_back(known.seen_at),
            looked_at: known.looked_at.map(move_back),
            ..known
        });
        Self {
            began_at: self.began_at.map(move_back),
            missing: self.missing.into_iter().map(|(name, first)| (name, move_back(first))).collect(),
            scopes: scopes.collect(),
            deliveries: self.deliveries,
            repositories: RepositoryProgress {
                began_at: self.repositories.began_at.map(move_back),
                used: self.repositories.used.map(|Level(at)| Level(move_back(at))),
                ..self.repositories
            },
        }
    }
}

/// A registration scope that has, or recently had, runners of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownScope {
    pub scope: Scope,
    /// When an open runner was last registered there.
    pub seen_at: Timestamp,
    /// When its registrations were last read to the end.
    pub looked_at: Option<Timestamp>,
    /// The page of its registrations to continue with, from 1.
    pub next_page: u32,
}

/// Which deliveries were handled: all up to `handled`, except for the backlog.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct DeliveryProgress {
    /// The latest delivery that was handled.
    pub handled: Option<DeliveryMark>,
    /// What earlier passes left.
    pub backlog: Option<Backlog>,
    /// Whether the App's own webhook reports jobs.
    pub sight: Sight,
}

/// Whether the App's own webhook reports jobs, by its deliveries. The webhook can
/// be the organization's or a repository's instead: no list of those is read.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Sight {
    /// No delivery about a job was ever listed.
    #[default]
    Never,
    /// The latest delivery about a job was at that time.
    Shown(Timestamp),
    /// As before, but later jobs became known without a delivery.
    Stopped(Timestamp),
}

/// A place in GitHub's list of deliveries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeliveryMark {
    /// The number of the delivery, which increases.
    pub number: u64,
    /// When it was delivered.
    pub at: Timestamp,
}

/// Deliveries still to handle: those before `from` and after `down_to`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backlog {
    /// The earliest delivery that was handled since.
    pub from: DeliveryMark,
    /// GitHub's cursor of the page to continue with, at most
    /// [`deliveries::LONGEST_CURSOR`] bytes; without it, the list is read from its top.
    pub cursor: Option<String>,
    /// The latest delivery that was handled before.
    pub down_to: DeliveryMark,
}

/// Where the rotation through the repositories stands. See [`repositories`].
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RepositoryProgress {
    /// When this rotation began.
    pub began_at: Option<Timestamp>,
    /// The page to read after this one; `None` if this page is the last one of the rotation.
    pub next: Option<NextPage>,
    /// The repositories of the current page, at most [`repositories::MAX_PAGE`].
    pub page: Vec<Repository>,
    /// How many repositories of the page were asked.
    pub asked: u32,
    /// Where to continue in repositories whose runs were too many for one turn; at
    /// most [`repositories::MAX_PARTIAL`].
    pub partial: BTreeMap<Repository, RunId>,
    /// How much of the budget is used.
    pub used: Option<Level>,
}

/// A page of repositories: of those that the policy names, or of one of its patterns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NextPage {
    /// The position in the list of sources, from 0. See [`repositories::sources`].
    pub source: u32,
    /// Where it starts: for the named ones a position, otherwise GitHub's cursor of at
    /// most [`repositories::LONGEST_CURSOR`] bytes; `None` for the first page.
    pub cursor: Option<String>,
}

/// Whether a pass is due.
#[must_use]
pub fn is_due(progress: &SweepProgress, open_is_empty: bool, now: Timestamp) -> bool {
    let at_rest = open_is_empty
        && progress.deliveries.backlog.is_none()
        && !deliveries::left_young(progress)
        && progress.repositories.is_complete();
    let period = if at_rest { PERIOD_AT_REST } else { PERIOD };
    progress.began_at.is_none_or(|began| has_passed(period - EARLY, began, now))
}

/// Returns how many runners have been ending for so long that they count as stuck.
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
