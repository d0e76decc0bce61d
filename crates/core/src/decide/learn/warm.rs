//! Learns from warm tasks: while those of a class fail, further ones are held back. Runners for jobs are not.

use jiff::Timestamp;

use crate::id::ClassName;
use crate::records::change::Change;
use crate::records::hold::{Failure, Held, Hold};
use crate::records::open::Open;
use crate::records::warm::{WarmEnding, WarmStage, WarmState, WarmTask};
use std::collections::BTreeMap;

/// Returns the changes of holds that follow from the open warm tasks, and the records from which was learnt.
pub(super) fn learn(open: &Open) -> Vec<Change> {
    let mut changed: BTreeMap<&ClassName, Option<Hold>> = BTreeMap::new();
    let mut taken = Vec::new();
    for (at, warm) in failures(open) {
        let WarmState::Ending(ending @ WarmEnding { fault: Some(fault), .. }) = &warm.state else { continue };
        let held = Held::Warm(warm.facts.class.clone());
        let before = match changed.get(&warm.facts.class) {
            Some(hold) => hold.as_ref(),
            None => open.holds.get(&held),
        };
        let words = ending.words.as_deref().unwrap_or_else(|| fault.as_str());
        let failure = Failure {
            placement: Some(&warm.placement),
            ..Failure::of(*fault, words, warm.timeline.began(), at)
        };
        let hold = Hold::after(before, held, &failure);
        changed.insert(&warm.facts.class, Some(hold));
        let learnt = WarmState::Ending(WarmEnding { fault: None, ..ending.clone() });
        taken.push(Change::Warm(WarmTask { version: warm.version.next(), state: learnt, ..warm.clone() }));
    }
    for warm in open.warm.values() {
        let held = Held::Warm(warm.facts.class.clone());
        let Some(hold) = open.holds.get(&held) else { continue };
        let booted = warm.timeline.at(WarmStage::Warm);
        if !changed.contains_key(&warm.facts.class) && booted.is_some_and(|at| at > hold.latest) {
            changed.insert(&warm.facts.class, None);
        }
    }
    let holds = changed
        .into_iter()
        .map(|(class, hold)| hold.map_or_else(|| Change::Released(Held::Warm(class.clone())), Change::Hold));
    holds.chain(taken).collect()
}

/// Returns the tasks that failed and when, in order.
fn failures(open: &Open) -> Vec<(Timestamp, &WarmTask)> {
    let mut failures: Vec<_> =
        open.warm.values().filter_map(|warm| Some((warm.stopped_at()?, warm))).collect();
    failures.sort_by_key(|(at, warm)| (*at, warm.name().clone()));
    failures
}
