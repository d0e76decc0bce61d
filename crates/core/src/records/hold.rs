//! What launches are held back for, until a probe succeeds: a scope in which
//! GitHub refuses registrations, a class whose runners do not come up, a
//! placement without capacity.
//!
//! A hold is a record among what is open, so that whichever process plans next
//! knows it. Which launches it holds back is decided in [`crate::plan`].

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::class::size::Arch;
use crate::id::ClassName;
use crate::placement::Placement;
use crate::plan::Open;
use crate::pool::Scope;
use crate::reason::{Code, Reason};
use crate::record::Change;
use crate::runner::{Custody, EndingKind, Runner, RunnerStage, RunnerState, Served};

/// How long a refused scope, or a class whose breaker is open, stands before
/// one probe is made.
pub const PROBE_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// Equal faults in a row that open a class's circuit breaker.
pub const BREAKER_FAULTS: u32 = 5;
/// The first wait for capacity; doubled with each further refusal.
const CAPACITY_WAIT: SignedDuration = SignedDuration::from_secs(15);
const LONGEST_CAPACITY_WAIT: SignedDuration = SignedDuration::from_mins(5);
/// The wait after one fault of a class; doubled with each further one.
const FAULT_WAIT: SignedDuration = SignedDuration::from_millis(500);
/// Faults further apart are not in a row.
const ROW: SignedDuration = SignedDuration::from_hours(1);
/// A hold that nobody has had reason to probe for so long is forgotten.
const FORGET: SignedDuration = SignedDuration::from_hours(24);
const WORDS_CHARS: usize = 160;

/// What is held back.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Held {
    /// Registrations in a scope.
    Scope(Scope),
    /// Launches of a class.
    Class(ClassName),
    /// Launches into a placement.
    Placement {
        /// Market and subnet.
        placement: Placement,
        /// x64 and arm64 are capacities of their own.
        arch: Arch,
    },
}

/// A hold, and how it came about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// What is held back.
    pub held: Held,
    /// Failures in a row.
    pub failures: u32,
    /// What the last one said.
    pub words: Arc<str>,
    /// When the last one was.
    pub latest: Timestamp,
    /// When a probe may be made.
    pub not_before: Timestamp,
}

impl Hold {
    /// The hold after one more failure.
    #[must_use]
    pub fn after(before: Option<&Self>, held: Held, words: &str, at: Timestamp) -> Self {
        let words: Arc<str> = words.chars().take(WORDS_CHARS).collect::<String>().into();
        let row = before.filter(|before| match held {
            Held::Class(_) => before.words == words && at.duration_since(before.latest) < ROW,
            Held::Scope(_) | Held::Placement { .. } => true,
        });
        let failures = row.map_or(0, |before| before.failures).saturating_add(1);
        let doubled = |first: SignedDuration, most: SignedDuration| {
            (first * (1 << failures.saturating_sub(1).min(16))).min(most)
        };
        let wait = match held {
            Held::Scope(_) => PROBE_AFTER,
            Held::Class(_) if failures >= BREAKER_FAULTS => PROBE_AFTER,
            Held::Class(_) => doubled(FAULT_WAIT, PROBE_AFTER),
            Held::Placement { .. } => doubled(CAPACITY_WAIT, LONGEST_CAPACITY_WAIT),
        };
        Self { held, failures, words, latest: at, not_before: at + wait }
    }

    /// Whether it holds this placement.
    #[must_use]
    pub fn holds_placement(&self, placement: &Placement, arch: Arch) -> bool {
        matches!(&self.held, Held::Placement { placement: held, arch: of } if held == placement && *of == arch)
    }

    /// Whether a person may have to act: GitHub refuses, or a class does not come up.
    #[must_use]
    pub fn is_alarming(&self) -> bool {
        matches!(self.held, Held::Scope(_)) || self.is_open_breaker()
    }

    /// Whether the class's circuit breaker is open: one launch at a time, as a probe.
    #[must_use]
    pub fn is_open_breaker(&self) -> bool {
        matches!(self.held, Held::Class(_)) && self.failures >= BREAKER_FAULTS
    }
}

/// What the open runners tell of holds that is not recorded yet. The same
/// runners tell nothing new a second time.
#[must_use]
pub fn learn(open: &Open, now: Timestamp) -> Vec<Change> {
    let mut lessons: Vec<Lesson> = open.runners.iter().flat_map(lessons_of).collect();
    // A success of the same instant comes first: the fault is what stays.
    lessons.sort_by_key(|lesson| (lesson.at, lesson.fault.is_some()));
    let recorded: HashMap<&Held, &Hold> = open.holds.iter().map(|hold| (&hold.held, hold)).collect();
    let old = open.holds.iter().filter(|hold| now.duration_since(hold.not_before) > FORGET);
    let mut learnt: HashMap<Held, Option<Hold>> = old.map(|hold| (hold.held.clone(), None)).collect();
    for Lesson { held, at, fault } in lessons {
        let before = match learnt.get(&held) {
            Some(hold) => hold.clone(),
            None => recorded.get(&held).map(|hold| (*hold).clone()),
        };
        if before.as_ref().is_some_and(|hold| at <= hold.latest) {
            continue;
        }
        let after = fault.map(|words| Hold::after(before.as_ref(), held.clone(), &words, at));
        learnt.insert(held, after);
    }
    let mut changes: Vec<Change> = learnt
        .into_iter()
        .filter(|(held, hold)| recorded.get(held).copied() != hold.as_ref())
        .map(|(held, hold)| hold.map_or(Change::Released(held), Change::Hold))
        .collect();
    changes.sort_by_key(|change| format!("{change:?}"));
    changes
}

/// Something that a runner's fate tells of its class or placement.
struct Lesson {
    held: Held,
    at: Timestamp,
    fault: Option<String>,
}

fn lessons_of(runner: &Runner) -> Vec<Lesson> {
    let class = Held::Class(runner.facts.class.clone());
    let placement = Held::placement(runner.placement.clone(), runner.facts.size.arch());
    let mut lessons = Vec::new();
    if let Some(at) = runner.timeline.at(RunnerStage::Booted) {
        lessons.push(Lesson { held: placement.clone(), at, fault: None });
    }
    if let Some(at) = runner.timeline.at(RunnerStage::Busy) {
        lessons.push(Lesson { held: class.clone(), at, fault: None });
    }
    let RunnerState::Ending(ending) = &runner.state else { return lessons };
    let Some(at) = runner.stopped_at() else { return lessons };
    let words = || ending.note.as_ref().map_or_else(|| ending.kind.as_str().to_owned(), fault_words);
    // A container that ran and was handed nothing waited for GitHub, not for itself.
    let waited = ending.custody == Custody::Unissued && runner.timeline.at(RunnerStage::Booted).is_some();
    let short = ending.note.as_ref().is_some_and(|note| note.code() == Code::NoCapacity);
    let ours = matches!(ending.kind, EndingKind::BootFailed | EndingKind::AgentCrashed);
    if short && runner.task().is_some() {
        lessons.push(Lesson { held: placement, at, fault: Some(words()) });
    } else if ours
        && !short
        && !waited
        && ending.served == Served::Nothing
        && !is_githubs(ending.note.as_ref())
    {
        lessons.push(Lesson { held: class, at, fault: Some(words()) });
    }
    lessons
}

fn fault_words(note: &Reason) -> String {
    note.detail().map_or_else(|| note.text(), str::to_owned)
}

/// Whether GitHub is at fault, whatever the class. A refused registration holds
/// its scope; a session that GitHub does not give holds nothing.
fn is_githubs(note: Option<&Reason>) -> bool {
    note.is_some_and(|note| matches!(note.code(), Code::ScopeHeld | Code::NoSession))
}

#[cfg(test)]
mod tests;
