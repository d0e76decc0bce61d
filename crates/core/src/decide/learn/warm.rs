//! Learns from warm tasks: while those of a class fail, further ones are held back. Runners for jobs are not.

use jiff::{SignedDuration, Timestamp};

use super::is_forgotten;
use crate::clock::last_done;
use crate::id::ClassName;
use crate::records::change::Change;
use crate::records::hold::{Failure, Held, Hold};
use crate::records::open::Open;
use crate::records::warm::{WarmEnding, WarmStage, WarmState, WarmTask};
use std::collections::BTreeMap;

/// A task that has been warm for this long is sound. One that cannot reach its table or has no agent ends before.
const STAYS: SignedDuration = SignedDuration::from_mins(6);

/// Returns the changes of holds that follow from the open warm tasks, and the records from which was learnt.
pub(super) fn learn(open: &Open, now: Timestamp) -> Vec<Change> {
    let mut changed: BTreeMap<&ClassName, Option<Hold>> = BTreeMap::new();
    for hold in open.holds.values().filter(|hold| is_forgotten(hold, now)) {
        if let Held::Warm(class) = &hold.held {
            changed.insert(class, None);
        }
    }
    let mut taken = Vec::new();
    for (at, warm) in failures(open, now) {
        let WarmState::Ending(ending @ WarmEnding { fault: Some(fault), .. }) = &warm.state else { continue };
        let held = Held::Warm(warm.facts.class.clone());
        let before = match changed.get(&warm.facts.class) {
            Some(hold) => hold.as_ref(),
            None => open.holds.get(&held),
        };
        let learnt = WarmState::Ending(WarmEnding { fault: None, ..ending.clone() });
        taken.push(Change::Warm(WarmTask { version: warm.version.next(), state: learnt, ..warm.clone() }));
        if before.is_some_and(|hold| at <= hold.latest) {
            continue;
        }
        let words = ending.words.as_deref().unwrap_or_else(|| fault.text());
        let failure = Failure {
            placement: Some(&warm.placement),
            ..Failure::of(*fault, words, warm.timeline.began(), at)
        };
        let hold = Hold::after(before, held, &failure);
        changed.insert(&warm.facts.class, Some(hold));
    }
    for warm in open.warm.values() {
        let held = Held::Warm(warm.facts.class.clone());
        let Some(hold) = open.holds.get(&held) else { continue };
        let booted = last_done(warm.timeline.at(WarmStage::Warm), now);
        let Some(booted) = booted.filter(|at| *at > hold.latest) else { continue };
        // Where tasks fail after their container has started, its start shows nothing yet.
        let has_stayed = matches!(warm.state, WarmState::Warm(_)) && now.duration_since(booted) >= STAYS;
        let is_sound = hold.fault.is_before_boot() || has_stayed || warm.stage() == WarmStage::Used;
        if is_sound && !changed.contains_key(&warm.facts.class) {
            changed.insert(&warm.facts.class, None);
        }
    }
    let holds = changed
        .into_iter()
        .map(|(class, hold)| hold.map_or_else(|| Change::Released(Held::Warm(class.clone())), Change::Hold));
    holds.chain(taken).collect()
}

/// Returns the tasks that failed and when, in order. None failed after `now`: the clock was set back then.
fn failures(open: &Open, now: Timestamp) -> Vec<(Timestamp, &WarmTask)> {
    let mut failures: Vec<_> =
        open.warm.values().filter_map(|warm| Some((warm.stopped_at()?.min(now), warm))).collect();
    failures.sort_by_key(|(at, warm)| (*at, warm.name().clone()));
    failures
}
