//! Chooses the placement of a launch by the class's capacity setting and by which
//! placements are short of capacity.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use crate::id::{ClassName, SubnetId};
use crate::reason::{Code, Reason};
use crate::records::hold::{Held, Hold};
use crate::records::open::Open;
use crate::records::runner::{Runner, RunnerState};
use crate::rules::class::size::{Arch, Size};
use crate::rules::class::{Capacity, Class};
use crate::rules::cost::Market;
use crate::rules::placement::{Placement, Quota};

/// The placements to choose from, and what is known of them.
#[derive(Clone, Copy, Debug)]
pub struct Choices<'a> {
    /// The deployment's subnets; empty if there is no network to choose.
    pub subnets: &'a [SubnetId],
    pub holds: &'a BTreeMap<Held, Hold>,
    pub underway: &'a Underway,
}

/// Runners of ours that are starting or running, by what they show about placements.
#[derive(Clone, Default, Debug)]
pub struct Underway {
    /// Held placements that a runner is trying.
    pub asked: HashSet<(Placement, Arch)>,
    /// Classes in the placements where a runner has not booted yet.
    pub starting: HashSet<(ClassName, Placement)>,
    /// CPU units of the tasks that AWS counts against each quota.
    pub cpu: HashMap<Quota, u32>,
}

impl Underway {
    /// Returns what the open runners show.
    #[must_use]
    pub fn of(open: &Open) -> Self {
        let mut underway = Self::default();
        for runner in open.runners.values().filter(|runner| runner.takes_slot()) {
            underway.add_runner(runner);
        }
        for warm in open.warm.values().filter(|warm| warm.takes_slot()) {
            underway.add_cpu(warm.placement.quota(), warm.facts.size);
        }
        underway
    }

    fn add_runner(&mut self, runner: &Runner) {
        let facts = &runner.facts;
        if let RunnerState::Reserved { .. } = runner.state {
            self.asked.insert((runner.placement.clone(), facts.size.arch()));
        }
        if let RunnerState::Reserved { .. } | RunnerState::Starting { .. } = runner.state {
            self.starting.insert((facts.class.clone(), runner.placement.clone()));
        }
        self.add_cpu(runner.placement.quota(), facts.size);
    }

    pub(super) fn add_cpu(&mut self, quota: Quota, size: Size) {
        *self.cpu.entry(quota).or_default() += size.cpu();
    }

    /// Adds a runner that is launched now.
    pub(super) fn add(&mut self, placement: &Placement, class: &Class) {
        self.asked.insert((placement.clone(), class.size.arch()));
        self.starting.insert((class.name.clone(), placement.clone()));
        self.add_cpu(placement.quota(), class.size);
    }
}

/// What a placement is chosen for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub class: &'a ClassName,
    pub capacity: Capacity,
    pub size: Size,
    /// Whether its tasks run on the instances of the class's own capacity provider.
    pub managed: bool,
}

impl<'a> Wanted<'a> {
    /// A task of the class, with this capacity.
    #[must_use]
    pub fn of(class: &'a Class, capacity: Capacity) -> Self {
        Self { class: &class.name, capacity, size: class.size, managed: class.is_managed() }
    }
}

/// Every placement is held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoPlacement {
    /// When a placement can be tried, unless something changes first; `None` while
    /// each of them is being tried.
    pub not_before: Option<Timestamp>,
    /// The reason of the hold that ends first.
    pub reason: Reason,
    /// Since when every placement has been held; `None` if none is known.
    pub since: Option<Timestamp>,
}

/// Whether a hold lets one more runner in.
enum Admission<'a> {
    Free,
    /// The runner shows whether the hold is still needed.
    Probe,
    /// Not before then; `None` while another runner is the probe.
    Refused(Option<Timestamp>, Code, &'a Hold),
}

impl<'a> Choices<'a> {
    /// Returns the first placement, in the class's order, that is not held, and whether it is tried because it is. A held
    /// one that is due is returned once, as a probe, so that only one runner waits
    /// for the answer. `spread` makes consecutive runners begin with different subnets.
    ///
    /// # Errors
    ///
    /// Every placement is held.
    pub fn choose(
        &self,
        wanted: Wanted<'_>,
        spread: u64,
        now: Timestamp,
    ) -> Result<(Placement, bool), NoPlacement> {
        let (mut soonest, mut since) = (None::<NoPlacement>, None);
        for placement in self.in_order(wanted, spread) {
            let (not_before, code, hold) = match self.admission(wanted, &placement, now) {
                Admission::Free => return Ok((placement, false)),
                Admission::Probe => return Ok((placement, true)),
                Admission::Refused(not_before, code, hold) => (not_before, code, hold),
            };
            since = since.max(Some(hold.since));
            let sooner = soonest.as_ref().is_none_or(|before| match (not_before, before.not_before) {
                (Some(at), Some(before)) => at < before,
                (Some(_), None) => true,
                (None, _) => false,
            });
            if sooner {
                soonest =
                    Some(NoPlacement { not_before, reason: Reason::with(code, &hold.words), since: None });
            }
        }
        let reason = Reason::with(Code::NoCapacity, "no placement is known");
        let none = soonest.unwrap_or(NoPlacement { not_before: None, reason, since: None });
        Err(NoPlacement { since, ..none })
    }

    /// Whether a placement is not held, and not only due to be tried.
    #[must_use]
    pub fn is_any_free(&self, wanted: Wanted<'_>, now: Timestamp) -> bool {
        let is_free = |placement| matches!(self.admission(wanted, &placement, now), Admission::Free);
        self.in_order(wanted, 0).any(is_free)
    }

    fn admission(&self, wanted: Wanted<'_>, placement: &Placement, now: Timestamp) -> Admission<'a> {
        let arch = wanted.size.arch();
        let short = self.holds.get(&Held::placement(placement.clone(), arch));
        if let Some(hold) = short.filter(|hold| !self.fits(hold, wanted.size, placement)) {
            let tried = self.underway.asked.contains(&(placement.clone(), arch));
            if tried || now < hold.not_before {
                return Admission::Refused((!tried).then_some(hold.not_before), Code::NoCapacity, hold);
            }
        }
        let key = Held::class_in(wanted.class.clone(), placement.clone());
        if let Some(hold) = self.holds.get(&key).filter(|hold| hold.is_effective()) {
            let tried = self.underway.starting.contains(&(wanted.class.clone(), placement.clone()));
            if tried || now < hold.not_before {
                return Admission::Refused((!tried).then_some(hold.not_before), Code::ClassHeld, hold);
            }
            return Admission::Probe;
        }
        if short.is_some_and(|hold| !self.fits(hold, wanted.size, placement)) {
            return Admission::Probe;
        }
        Admission::Free
    }

    /// Whether the placement had room for as many tasks of ours when it refused one.
    fn fits(&self, hold: &Hold, size: Size, placement: &Placement) -> bool {
        let running = self.underway.cpu.get(&placement.quota()).copied().unwrap_or(0);
        hold.fits_cpu.is_some_and(|fits| running + size.cpu() <= fits)
    }

    fn in_order(&self, wanted: Wanted<'_>, spread: u64) -> impl Iterator<Item = Placement> {
        let markets = Market::all_of(wanted.capacity);
        let count = self.subnets.len().max(1);
        let first = usize::try_from(spread % count as u64).unwrap_or(0);
        let managed = wanted.managed.then(|| wanted.class.clone());
        let at = move |market: Market, i: usize| {
            let subnet = self.subnets.get((first + i) % count).cloned();
            Placement { market, subnet, managed: managed.clone() }
        };
        markets.iter().flat_map(move |&market| {
            let at = at.clone();
            (0..count).map(move |i| at(market, i))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::hold::Failure;
    use crate::wire::fault::Fault;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(secs).unwrap()
    }

    fn subnets() -> Vec<SubnetId> {
        ["subnet-aaaa1111", "subnet-bbbb2222"].iter().map(|id| SubnetId::parse(id).unwrap()).collect()
    }

    fn short(market: Market, subnet: &SubnetId, not_before: i64) -> Hold {
        let placement = Placement::fargate(market, Some(subnet.clone()));
        hold(Held::placement(placement, Arch::X64), Fault::NoCapacity, not_before)
    }

    fn hold(held: Held, fault: Fault, not_before: i64) -> Hold {
        let failure = Failure::of(fault, "words", at(0), at(0));
        Hold { not_before: at(not_before), ..Hold::after(None, held, &failure) }
    }

    fn by_key(holds: &[Hold]) -> BTreeMap<Held, Hold> {
        holds.iter().map(|hold| (hold.held.clone(), hold.clone())).collect()
    }

    fn choose(capacity: Capacity, holds: &[Hold], underway: &Underway, spread: u64, now: i64) -> String {
        let choices = Choices { subnets: &subnets(), holds: &by_key(holds), underway };
        let class = ClassName::parse("small").unwrap();
        let size = Size::new(2048, 4096, None, Arch::X64).unwrap();
        match choices.choose(Wanted { class: &class, capacity, size, managed: false }, spread, at(now)) {
            Ok((placement, false)) => placement.to_string(),
            Ok((placement, true)) => format!("{placement} as a probe"),
            Err(none) => format!("none before {:?}", none.not_before.map(Timestamp::as_second)),
        }
    }

    fn chosen(capacity: Capacity, holds: &[Hold], spread: u64, now: i64) -> String {
        choose(capacity, holds, &Underway::default(), spread, now)
    }

    #[test]
    fn neighbours_begin_with_different_subnets() {
        assert_eq!(chosen(Capacity::OnDemand, &[], 6, 0), "FARGATE in subnet-aaaa1111");
        assert_eq!(chosen(Capacity::OnDemand, &[], 7, 0), "FARGATE in subnet-bbbb2222");
    }

    #[test]
    fn a_short_subnet_is_passed_over_and_on_demand_comes_after_spot() {
        let [a, b] = <[SubnetId; 2]>::try_from(subnets()).unwrap();
        let first = [short(Market::Spot, &a, 60)];
        assert_eq!(chosen(Capacity::SpotThenOnDemand, &first, 0, 1), "FARGATE_SPOT in subnet-bbbb2222");
        let both = [short(Market::Spot, &a, 60), short(Market::Spot, &b, 30)];
        assert_eq!(chosen(Capacity::SpotThenOnDemand, &both, 0, 1), "FARGATE in subnet-aaaa1111");
        assert_eq!(chosen(Capacity::Spot, &both, 0, 1), "none before Some(30)");
        assert_eq!(chosen(Capacity::Spot, &both, 0, 30), "FARGATE_SPOT in subnet-bbbb2222 as a probe");
    }

    #[test]
    fn one_runner_probes_a_held_placement_at_a_time() {
        let holds: Vec<Hold> = subnets().iter().map(|subnet| short(Market::Spot, subnet, 10)).collect();
        let mut underway = Underway::default();
        let spot = |subnet: &SubnetId| Placement::fargate(Market::Spot, Some(subnet.clone()));
        underway.asked = subnets().iter().map(|subnet| (spot(subnet), Arch::X64)).collect();
        assert_eq!(choose(Capacity::Spot, &holds, &underway, 0, 99), "none before None");
        underway.asked.remove(&(spot(&subnets()[1]), Arch::X64));
        assert_eq!(
            choose(Capacity::Spot, &holds, &underway, 0, 99),
            "FARGATE_SPOT in subnet-bbbb2222 as a probe"
        );
    }

    #[test]
    fn a_class_that_fails_in_a_placement_is_tried_there_once_the_hold_is_over() {
        let sick = Placement::fargate(Market::OnDemand, Some(subnets()[0].clone()));
        let small = ClassName::parse("small").unwrap();
        let holds =
            |class: &ClassName| [hold(Held::class_in(class.clone(), sick.clone()), Fault::ImagePull, 60)];
        let other = ClassName::parse("large").unwrap();
        assert_eq!(chosen(Capacity::OnDemand, &holds(&other), 0, 1), "FARGATE in subnet-aaaa1111");
        assert_eq!(chosen(Capacity::OnDemand, &holds(&small), 0, 1), "FARGATE in subnet-bbbb2222");
        assert_eq!(
            chosen(Capacity::OnDemand, &holds(&small), 0, 60),
            "FARGATE in subnet-aaaa1111 as a probe"
        );
        let mut underway = Underway::default();
        underway.starting.insert((small.clone(), sick.clone()));
        assert_eq!(
            choose(Capacity::OnDemand, &holds(&small), &underway, 0, 60),
            "FARGATE in subnet-bbbb2222"
        );
        let suspected = [hold(Held::class_in(small.clone(), sick.clone()), Fault::NotConnected, 60)];
        assert_eq!(chosen(Capacity::OnDemand, &suspected, 0, 1), "FARGATE in subnet-aaaa1111");
    }

    #[test]
    fn as_many_tasks_as_had_room_have_room_again() {
        let quota = |fits| {
            let holds = subnets();
            let short = holds.iter().map(|subnet| short(Market::OnDemand, subnet, 60));
            short.map(|hold| Hold { fits_cpu: Some(fits), ..hold }).collect::<Vec<_>>()
        };
        let running = |cpu| Underway {
            cpu: [(Quota { market: Market::OnDemand, managed: false }, cpu)].into(),
            ..Underway::default()
        };
        let chosen = |cpu| choose(Capacity::OnDemand, &quota(6144), &running(cpu), 0, 1);
        assert_eq!(chosen(6144), "none before Some(60)");
        assert_eq!(chosen(4096), "FARGATE in subnet-aaaa1111");
        assert_eq!(chosen(5120), "none before Some(60)");
    }
}
