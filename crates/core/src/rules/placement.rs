//! Where a task is to run. How a compute service implements a placement belongs in its adapter.

use std::fmt;

use crate::id::{ClassName, SubnetId};
use crate::rules::cost::Market;

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
