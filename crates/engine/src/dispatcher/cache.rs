//! State that a dispatcher keeps between rounds: copies of holds and levels that
//! its effects share, and the probes that are running. It can be lost safely: it
//! is read again from the store, or concerns this process alone.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ecsrunner_core::decide::plan::Question;
use ecsrunner_core::decide::plan::choose::{Choices, NoPlacement};
use ecsrunner_core::decide::rerun::on_demand_jobs;
use ecsrunner_core::id::SubnetId;
use ecsrunner_core::id::{Account, JobId, Repository, RunId, RunnerName};
use ecsrunner_core::records::hold::{Held, Hold};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::rules::class::Capacity;
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::pace::{Bucket, Level};
use ecsrunner_core::rules::placement::Placement;
use ecsrunner_core::rules::pool::Scope;
use jiff::Timestamp;

/// Identifies an effect that is running or resting.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum EffectKey {
    Runner(RunnerName),
    Question(Question),
    Probe(Scope),
    /// The next attempt of a run.
    Rerun(Repository, RunId),
}

impl EffectKey {
    /// Returns the job that a question is about.
    pub(crate) fn job(&self) -> Option<JobId> {
        match self {
            Self::Question(Question::Job { job, .. } | Question::Run(job)) => Some(*job),
            _ => None,
        }
    }
}

#[derive(Default, Debug)]
pub(crate) struct Cache(Mutex<Known>);

#[derive(Default, Debug)]
struct Known {
    holds: BTreeMap<Held, Hold>,
    levels: HashMap<Bucket, Level>,
    probing: HashSet<(Placement, Arch)>,
    github_not_before: HashMap<Account, Timestamp>,
    /// Jobs that are run again a second time.
    on_demand: HashSet<JobId>,
}

impl Cache {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the copies with the store's current state.
    pub(crate) fn refresh(&self, open: &Open) {
        let mut known = self.lock();
        known.holds = open.holds.clone();
        known.levels = open.levels.clone();
        known.on_demand = on_demand_jobs(open).into_iter().collect();
    }

    /// Whether a runner for this job gets On-Demand capacity, whatever its class says.
    pub(crate) fn needs_on_demand(&self, job: JobId) -> bool {
        self.lock().on_demand.contains(&job)
    }

    pub(crate) fn hold(&self, held: &Held) -> Option<Hold> {
        self.lock().holds.get(held).cloned()
    }

    pub(crate) fn add_hold(&self, hold: Hold) {
        self.lock().holds.insert(hold.held.clone(), hold);
    }

    pub(crate) fn remove_hold(&self, held: &Held) {
        self.lock().holds.remove(held);
    }

    /// Reserves the right to start a task in a placement. A held placement admits
    /// one probe at a time, and none before the hold's `not_before`.
    pub(crate) fn enter(
        &self,
        placement: &Placement,
        arch: Arch,
        now: Timestamp,
    ) -> Result<Option<Probe<'_>>, NotYet> {
        let mut known = self.lock();
        let target = (placement.clone(), arch);
        let Some(hold) = known.holds.get(&Held::placement(placement.clone(), arch)) else { return Ok(None) };
        if now < hold.not_before {
            return Err(NotYet);
        }
        if !known.probing.insert(target.clone()) {
            return Err(NotYet);
        }
        Ok(Some(Probe { cache: self, target }))
    }

    /// Chooses the placement of the next attempt.
    pub(crate) fn choose(
        &self,
        subnets: &[SubnetId],
        capacity: Capacity,
        arch: Arch,
        spread: u64,
        now: Timestamp,
    ) -> Result<Placement, NoPlacement> {
        let known = self.lock();
        let choices = Choices { subnets, holds: &known.holds, probed: &known.probing };
        choices.choose(capacity, arch, spread, now)
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

    /// Records that GitHub throttles this account: no call on its budget before `until`.
    pub(crate) fn throttle_github(&self, account: Account, until: Timestamp) {
        let mut known = self.lock();
        let at = known.github_not_before.entry(account).or_insert(until);
        *at = (*at).max(until);
    }

    pub(crate) fn github_not_before(&self, account: &Account, now: Timestamp) -> Option<Timestamp> {
        self.lock().github_not_before.get(account).copied().filter(|at| *at > now)
    }
}

/// A placement is held, and its probe is not due yet or is running already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotYet;

/// The only attempt in a held placement. Dropping it ends the probe.
#[derive(Debug)]
pub(crate) struct Probe<'a> {
    cache: &'a Cache,
    target: (Placement, Arch),
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.cache.lock().probing.remove(&self.target);
    }
}

#[cfg(test)]
mod tests {
    use ecsrunner_core::rules::cost::Market;

    use super::*;

    #[test]
    fn one_try_at_a_time_enters_a_held_placement_and_not_before_its_time() {
        let cache = Cache::default();
        let placement = Placement { market: Market::Spot, subnet: None };
        let now = Timestamp::from_second(1000).unwrap();
        assert!(cache.enter(&placement, Arch::X64, now).unwrap().is_none(), "nothing is held");
        let hold = Hold::after(None, Held::placement(placement.clone(), Arch::X64), "none left", now);
        let not_before = hold.not_before;
        cache.add_hold(hold);
        assert!(cache.enter(&placement, Arch::X64, now).is_err());
        let probe = cache.enter(&placement, Arch::X64, not_before).unwrap();
        assert!(cache.enter(&placement, Arch::X64, not_before).is_err());
        drop(probe);
        assert!(cache.enter(&placement, Arch::X64, not_before).unwrap().is_some());
    }
}
