//! Where a task is to run. How a compute service implements a placement belongs in its adapter.

use std::fmt;

use jiff::Timestamp;

use crate::id::{ClassName, SubnetId};
use crate::rules::class::size::Size;
use crate::rules::cost::{Market, fargate_usd};

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Placement {
    pub market: Market,
    /// The subnet, which determines the availability zone; `None` if there is no network to choose.
    pub subnet: Option<SubnetId>,
    /// The class with the capacity provider of ECS Managed Instances that starts the task's instance; `None` on Fargate,
    /// and on one machine.
    pub managed: Option<ClassName>,
}

/// The quota of vCPUs against which AWS counts a task: those of Fargate and those of EC2 are apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Quota {
    pub market: Market,
    pub managed: bool,
}

impl Placement {
    /// A task on Fargate, or a process on one machine.
    #[must_use]
    pub const fn fargate(market: Market, subnet: Option<SubnetId>) -> Self {
        Self { market, subnet, managed: None }
    }

    #[must_use]
    pub const fn quota(&self) -> Quota {
        Quota { market: self.market, managed: self.managed.is_some() }
    }

    /// Returns the cost in US dollars of a task of this size from `from` to `to`; `None` on ECS Managed Instances, for
    /// whose EC2 instances and management fee no prices with a source are known here.
    #[must_use]
    pub fn usd(&self, size: Size, from: Timestamp, to: Timestamp) -> Option<f64> {
        self.managed.is_none().then(|| fargate_usd(size, self.market, from, to))
    }

    /// The name of its capacity, for people: a capacity provider of Fargate's, or the class whose instances it is on.
    #[must_use]
    pub fn provider(&self) -> String {
        match (&self.managed, self.market) {
            (None, market) => market.capacity_provider().to_owned(),
            (Some(class), Market::OnDemand) => format!("MANAGED_INSTANCES of {class}"),
            (Some(class), Market::Spot) => format!("MANAGED_INSTANCES of {class} (Spot)"),
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.provider())?;
        match &self.subnet {
            None => Ok(()),
            Some(subnet) => write!(f, " in {subnet}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::rules::class::size::Arch;

    #[test]
    fn the_cost_of_an_instance_is_unknown_and_not_that_of_fargate() {
        let (from, size) = (Timestamp::UNIX_EPOCH, Size::new(2048, 4096, None, Arch::X64).unwrap());
        let of = |placement: Placement| placement.usd(size, from, from + SignedDuration::from_hours(1));
        let fargate = Placement::fargate(Market::OnDemand, None);
        let managed = Some(ClassName::parse("images").unwrap());
        assert!(of(fargate.clone()).is_some_and(|usd| usd > 0.0));
        assert_eq!(of(Placement { managed, ..fargate }), None);
    }
}
