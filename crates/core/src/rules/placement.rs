//! Where a task is to run.
//!
//! What a compute service makes of a placement belongs in its adapter.

use std::fmt;

use crate::id::SubnetId;
use crate::rules::cost::Market;

/// Where a task is to run.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Placement {
    /// How its capacity is bought.
    pub market: Market,
    /// Its subnet, hence its availability zone; `None` where there is no network to choose.
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
