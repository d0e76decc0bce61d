//! Where a task is to run. How a compute service implements a placement belongs in its adapter.

use std::fmt;

use crate::id::SubnetId;
use crate::rules::cost::Market;

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Placement {
    pub market: Market,
    /// The subnet, which determines the availability zone; `None` if there is no network to choose.
    pub subnet: Option<SubnetId>,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.market.capacity_provider())?;
        match &self.subnet {
            None => Ok(()),
            Some(subnet) => write!(f, " in {subnet}"),
        }
    }
}
