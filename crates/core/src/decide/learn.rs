//! Derives holds from the course of open runners: for a class whose runners do not
//! start, and for a placement without capacity.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::reason::{Code, Reason};
use crate::records::change::Change;
use crate::records::hold::{Held, Hold};
use crate::records::open::Open;
use crate::records::runner::{Custody, EndingKind, Runner, RunnerStage, RunnerState, Served};

/// A hold is dropped if it has not been probed for this long after a probe was allowed.
const FORGET: SignedDuration = SignedDuration::from_hours(24);

/// Returns the changes of holds that follow from the open runners and are not
/// recorded yet. Once they are recorded, the same runners lead to no more changes.
#[must_use]
pub fn learn(open: &Open, now: Timestamp) -> Vec<Change> {
    // A success only lifts a hold, so without holds and faults there is nothing to learn.
    if open.holds.is_empty() && !open.runners.values().any(may_have_failed) {
        return Vec::new();
    }
    let mut lessons: Vec<Lesson> = open.runners.values().flat_map(lessons_of).collect();
    // A success at the same instant comes first, so that the fault prevails.
    lessons.sort_by_key(|lesson| (lesson.at, lesson.fault.is_some()));
    let old = open.holds.values().filter(|hold| now.duration_since(hold.not_before) > FORGET);
    let mut learnt: BTreeMap<Held, Option<Hold>> = old.map(|hold| (hold.held.clone(), None)).collect();
    for Lesson { held, at, fault } in lessons {
        let before = match learnt.get(&held) {
            Some(hold) => hold.clone(),
            None => open.holds.get(&held).cloned(),
        };
        if before.as_ref().is_some_and(|hold| at <= hold.latest) {
            continue;
        }
        let after = fault.map(|words| Hold::after(before.as_ref(), held.clone(), &words, at));
        learnt.insert(held, after);
    }
    learnt
        .into_iter()
        .filter(|(held, hold)| open.holds.get(held) != hold.as_ref())
        .map(|(held, hold)| hold.map_or(Change::Released(held), Change::Hold))
        .collect()
}

/// A success (`fault` is `None`) or a fault of a runner's class or placement.
struct Lesson {
    held: Held,
    at: Timestamp,
    fault: Option<String>,
}

/// Whether a fault can follow from the runner. Most runners have not ended, or have ended as they should.
fn may_have_failed(runner: &Runner) -> bool {
    matches!(&runner.state, RunnerState::Ending(ending)
        if ending.note.is_some() || matches!(ending.kind, EndingKind::BootFailed | EndingKind::AgentCrashed))
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
    // A container that ran without a configuration waited for GitHub: the class is not at fault.
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

/// Whether GitHub is at fault and not the class. A refused registration puts a
/// hold on its scope; a session that GitHub does not give puts no hold on anything.
fn is_githubs(note: Option<&Reason>) -> bool {
    note.is_some_and(|note| matches!(note.code(), Code::ScopeHeld | Code::NoSession))
}

#[cfg(test)]
mod tests;
