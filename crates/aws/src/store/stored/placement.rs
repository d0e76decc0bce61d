//! The stored forms of placements and retries, which are parts of other records.

use ecsrunner_core::id::{ClassName, SubnetId};
use ecsrunner_core::records::runner::Retry;
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::placement::Placement;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{StoredReason, UnreadableError};

const SUBNET: &str = "subnet-";
const ON_DEMAND: char = 'd';
const SPOT: char = 's';

/// Precedes the class with its own capacity provider. No subnet's id and no class's name has it.
const MANAGED: char = '@';

/// A placement in few bytes, to keep records small: `d` or `s` for On-Demand or
/// Spot, followed by the subnet's id without `subnet-`, and on ECS Managed Instances by `@` and the class.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct StoredPlacement(String);

impl Default for StoredPlacement {
    /// On-Demand without a subnet, which is left out of a record.
    fn default() -> Self {
        Self(ON_DEMAND.to_string())
    }
}

impl StoredPlacement {
    pub(super) fn of(placement: &Placement) -> Self {
        let market = match placement.market {
            Market::OnDemand => ON_DEMAND,
            Market::Spot => SPOT,
        };
        let subnet = placement.subnet.as_ref().map_or("", SubnetId::as_str);
        let managed = placement.managed.as_ref().map(|class| format!("{MANAGED}{class}")).unwrap_or_default();
        Self(format!("{market}{}{managed}", subnet.strip_prefix(SUBNET).unwrap_or(subnet)))
    }

    pub(super) fn read(&self) -> Result<Placement, UnreadableError> {
        let unknown = || UnreadableError::Unknown { what: "placement", value: self.0.clone() };
        let mut rest = self.0.chars();
        let market = match rest.next() {
            Some(ON_DEMAND) => Market::OnDemand,
            Some(SPOT) => Market::Spot,
            _ => return Err(unknown()),
        };
        let (subnet, managed) = match rest.as_str().split_once(MANAGED) {
            None => (rest.as_str(), None),
            Some((subnet, class)) => (subnet, Some(ClassName::parse(class)?)),
        };
        let subnet = match subnet {
            "" => None,
            id => Some(SubnetId::parse(&format!("{SUBNET}{id}"))?),
        };
        Ok(Placement { market, subnet, managed })
    }

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The number of failures, the time of the next attempt in milliseconds since the epoch, and the
/// reason of the last failure.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredRetry(u32, i64, StoredReason);

impl StoredRetry {
    pub(super) fn of(retry: &Retry) -> Self {
        Self(retry.failures, retry.not_before.as_millisecond(), StoredReason::from(&retry.reason))
    }

    pub(super) fn read(self) -> Result<Retry, UnreadableError> {
        Ok(Retry {
            failures: self.0,
            not_before: Timestamp::from_millisecond(self.1)?,
            reason: self.2.read(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spelling_of_a_placement_never_changes() {
        let subnet = || Some(SubnetId::parse("subnet-0123456789abcdef0").unwrap());
        let images = || Some(ClassName::parse("images").unwrap());
        for (market, subnet, managed, stored) in [
            (Market::OnDemand, None, None, "d"),
            (Market::OnDemand, subnet(), None, "d0123456789abcdef0"),
            (Market::Spot, None, None, "s"),
            (Market::Spot, subnet(), None, "s0123456789abcdef0"),
            (Market::Spot, None, images(), "s@images"),
            (Market::OnDemand, subnet(), images(), "d0123456789abcdef0@images"),
        ] {
            let placement = Placement { market, subnet, managed };
            assert_eq!(StoredPlacement::of(&placement).0, stored);
            assert_eq!(StoredPlacement(stored.to_owned()).read().unwrap(), placement);
        }
        for bad in ["", "x", "ssubnet-0123456789abcdef0", "d@", "d@Images"] {
            assert!(StoredPlacement(bad.to_owned()).read().is_err(), "{bad}");
        }
    }
}
