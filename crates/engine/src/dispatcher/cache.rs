//! What a dispatcher knows between two rounds: the holds and levels that its
//! effects share, and which of them probes what. All of it is a copy of what
//! the store has, or of no use to anybody else.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ecsrunner_core::class::Capacity;
use ecsrunner_core::class::size::Arch;
use ecsrunner_core::hold::{Held, Hold};
use ecsrunner_core::id::SubnetId;
use ecsrunner_core::id::{Account, JobId, RunnerName};
use ecsrunner_core::pace::{Bucket, Level};
use ecsrunner_core::placement::{Choices, NoPlace, Placement};
use ecsrunner_core::plan::{Open, Question};
use ecsrunner_core::pool::Scope;
use jiff::Timestamp;

/// An effect that is under way, or rests.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum EffectKey {
    Runner(RunnerName),
    Question(Question),
    Probe(Scope),
}

impl EffectKey {
    /// The job that a question is about.
    pub(crate) fn job(&self) -> Option<JobId> {
        match self {
            Self::Question(Question::Job { job, .. } | Question::Run(job)) => Some(*job),
            _ => None,
        }
    }
}

#[derive(Default, Debug)]
pub(crate) struct Memory(Mutex<Known>);

#[derive(Default, Debug)]
struct Known {
    holds: HashMap<Held, Hold>,
    levels: HashMap<Bucket, Level>,
    probing: HashSet<(Placement, Arch)>,
    github_not_before: HashMap<Account, Timestamp>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what the store has now.
    pub(crate) fn refresh(&self, open: &Open) {
        let mut known = self.lock();
        known.holds = open.holds.iter().map(|hold| (hold.held.clone(), hold.clone())).collect();
        known.levels = open.levels.clone();
    }

    pub(crate) fn hold(&self, held: &Held) -> Option<Hold> {
        self.lock().holds.get(held).cloned()
    }

    pub(crate) fn held_back(&self, hold: Hold) {
        self.lock().holds.insert(hold.held.clone(), hold);
    }

    pub(crate) fn released(&self, held: &Held) {
        self.lock().holds.remove(held);
    }

    /// Enters a placement to start a task there: one at a time where it is
    /// held, and not before its time.
    pub(crate) fn enter(
        &self,
        placement: &Placement,
        arch: Arch,
        now: Timestamp,
    ) -> Result<Option<Probe<'_>>, NotYet> {
        let mut known = self.lock();
        let place = (placement.clone(), arch);
        let Some(hold) = known.holds.get(&Held::placement(placement.clone(), arch)) else { return Ok(None) };
        if now < hold.not_before {
            return Err(NotYet);
        }
        if !known.probing.insert(place.clone()) {
            return Err(NotYet);
        }
        Ok(Some(Probe { memory: self, place }))
    }

    /// Where to try next.
    pub(crate) fn choose(
        &self,
        subnets: &[SubnetId],
        capacity: Capacity,
        arch: Arch,
        spread: u64,
        now: Timestamp,
    ) -> Result<Placement, NoPlace> {
        let known = self.lock();
        let holds: Vec<Hold> = known.holds.values().cloned().collect();
        Choices { subnets, holds: &holds, probed: &known.probing }.choose(capacity, arch, spread, now)
    }

    pub(crate) fn level(&self, bucket: &Bucket) -> Option<Level> {
        self.lock().levels.get(bucket).copied()
    }

    pub(crate) fn set_level(&self, bucket: &Bucket, level: Option<Level>) {
        let mut known = self.lock();
        match level {
            Some(level) => known.levels.insert(bucket.clone(), level),
            None => known.levels.remove(bucket),
        };
    }

    /// GitHub wants to be asked later, by everybody who draws on this account.
    pub(crate) fn hold_github(&self, account: Account, until: Timestamp) {
        let mut known = self.lock();
        let at = known.github_not_before.entry(account).or_insert(until);
        *at = (*at).max(until);
    }

    pub(crate) fn github_not_before(&self, account: &Account, now: Timestamp) -> Option<Timestamp> {
        self.lock().github_not_before.get(account).copied().filter(|at| *at > now)
    }
}

/// A placement is held, and it is not its time yet, or somebody tries it already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotYet;

/// The one try in a held placement; over when it is dropped.
#[derive(Debug)]
pub(crate) struct Probe<'a> {
    memory: &'a Memory,
    place: (Placement, Arch),
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.memory.lock().probing.remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use ecsrunner_core::cost::Market;

    use super::*;

    #[test]
    fn one_try_at_a_time_enters_a_held_placement_and_not_before_its_time() {
        let memory = Memory::default();
        let placement = Placement { market: Market::Spot, subnet: None };
        let now = Timestamp::from_second(1000).unwrap();
        assert!(memory.enter(&placement, Arch::X64, now).unwrap().is_none(), "nothing is held");
        let hold = Hold::after(None, Held::placement(placement.clone(), Arch::X64), "none left", now);
        let not_before = hold.not_before;
        memory.held_back(hold);
        assert!(memory.enter(&placement, Arch::X64, now).is_err());
        let probe = memory.enter(&placement, Arch::X64, not_before).unwrap();
        assert!(memory.enter(&placement, Arch::X64, not_before).is_err());
        drop(probe);
        assert!(memory.enter(&placement, Arch::X64, not_before).unwrap().is_some());
    }
}
