//! Chooses the placement of a launch by the class's capacity setting and by which
//! placements are short of capacity.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use crate::id::SubnetId;
use crate::reason::{Code, Reason};
use crate::records::hold::{Held, Hold};
use crate::rules::class::Capacity;
use crate::rules::class::size::Arch;
use crate::rules::cost::Market;
use crate::rules::placement::Placement;

/// The placements to choose from, and what is known of them.
#[derive(Clone, Copy, Debug)]
pub struct Choices<'a> {
    /// The deployment's subnets; empty if there is no network to choose.
    pub subnets: &'a [SubnetId],
    pub holds: &'a BTreeMap<Held, Hold>,
    /// Held placements that a runner is already probing.
    pub probed: &'a HashSet<(Placement, Arch)>,
}

/// Every placement is held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoPlacement {
    /// When a placement can be tried, unless something changes first; `None` while
    /// each of them is being probed.
    pub not_before: Option<Timestamp>,
    /// The reason of the last refusal.
    pub reason: Reason,
}

impl Choices<'_> {
    /// Returns the first placement, in the class's order, that is not held. A held
    /// one that is due is returned once, as a probe, so that only one runner waits
    /// for the answer. `spread` makes consecutive runners begin with different subnets.
    ///
    /// # Errors
    ///
    /// Every placement is held.
    pub fn choose(
        &self,
        capacity: Capacity,
        arch: Arch,
        spread: u64,
        now: Timestamp,
    ) -> Result<Placement, NoPlacement> {
        let mut refused: Option<(&Hold, Option<Timestamp>)> = None;
        for placement in self.in_order(capacity, spread) {
            let Some(hold) = self.holds.get(&Held::placement(placement.clone(), arch)) else {
                return Ok(placement);
            };
            let probed = self.probed.contains(&(placement.clone(), arch));
            if !probed && now >= hold.not_before {
                return Ok(placement);
            }
            let at = (!probed).then_some(hold.not_before);
            let sooner = refused.is_none_or(|(_, before)| match (at, before) {
                (Some(at), Some(before)) => at < before,
                (Some(_), None) => true,
                (None, _) => false,
            });
            if sooner {
                refused = Some((hold, at));
            }
        }
        let (hold, not_before) = refused.unzip();
        let words = hold.map_or("no placement is known", |hold| &hold.words);
        Err(NoPlacement { not_before: not_before.flatten(), reason: Reason::with(Code::NoCapacity, words) })
    }

    fn in_order(&self, capacity: Capacity, spread: u64) -> impl Iterator<Item = Placement> {
        let markets: &[Market] = match capacity {
            Capacity::OnDemand => &[Market::OnDemand],
            Capacity::Spot => &[Market::Spot],
            Capacity::SpotThenOnDemand => &[Market::Spot, Market::OnDemand],
        };
        let count = self.subnets.len().max(1);
        let first = usize::try_from(spread % count as u64).unwrap_or(0);
        let subnet = move |i: usize| self.subnets.get((first + i) % count).cloned();
        markets
            .iter()
            .flat_map(move |&market| (0..count).map(move |i| Placement { market, subnet: subnet(i) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(secs).unwrap()
    }

    fn subnets() -> Vec<SubnetId> {
        ["subnet-aaaa1111", "subnet-bbbb2222"].iter().map(|id| SubnetId::parse(id).unwrap()).collect()
    }

    fn short(market: Market, subnet: &SubnetId, not_before: i64) -> Hold {
        let placement = Placement { market, subnet: Some(subnet.clone()) };
        Hold {
            held: Held::placement(placement, Arch::X64),
            failures: 1,
            words: "Capacity is unavailable at this time".into(),
            latest: at(0),
            not_before: at(not_before),
        }
    }

    fn by_key(holds: &[Hold]) -> BTreeMap<Held, Hold> {
        holds.iter().map(|hold| (hold.held.clone(), hold.clone())).collect()
    }

    fn chosen(capacity: Capacity, holds: &[Hold], spread: u64, now: i64) -> String {
        let choices = Choices { subnets: &subnets(), holds: &by_key(holds), probed: &HashSet::new() };
        match choices.choose(capacity, Arch::X64, spread, at(now)) {
            Ok(placement) => placement.to_string(),
            Err(none) => format!("none before {:?}", none.not_before.map(Timestamp::as_second)),
        }
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
        assert_eq!(chosen(Capacity::Spot, &both, 0, 30), "FARGATE_SPOT in subnet-bbbb2222");
    }

    #[test]
    fn one_runner_probes_a_held_placement_at_a_time() {
        let [a, _] = <[SubnetId; 2]>::try_from(subnets()).unwrap();
        let holds = by_key(&[short(Market::Spot, &a, 10)]);
        let probing = Placement { market: Market::Spot, subnet: Some(a.clone()) };
        let probed = HashSet::from([(probing, Arch::X64)]);
        let choices = Choices { subnets: &[a], holds: &holds, probed: &probed };
        let none = choices.choose(Capacity::Spot, Arch::X64, 0, at(99)).unwrap_err();
        assert_eq!(none.not_before, None);
        assert_eq!(none.reason.code(), Code::NoCapacity);
        assert!(choices.choose(Capacity::Spot, Arch::Arm64, 0, at(99)).is_ok());
    }
}
