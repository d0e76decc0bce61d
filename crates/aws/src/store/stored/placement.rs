//! The stored forms of placements and retries, which are parts of other records.

use ecsrunner_core::id::SubnetId;
use ecsrunner_core::records::runner::Retry;
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::placement::Placement;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{StoredReason, UnreadableError};

const SUBNET: &str = "subnet-";
const ON_DEMAND: char = 'd';
const SPOT: char = 's';

/// A placement in few bytes, to keep records small: `d` or `s` for On-Demand or
/// Spot, followed by the subnet's id without `subnet-`.
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
        Self(format!("{market}{}", subnet.strip_prefix(SUBNET).unwrap_or(subnet)))
    }

    pub(super) fn read(&self) -> Result<Placement, UnreadableError> {
        let unknown = || UnreadableError::Unknown { what: "placement", value: self.0.clone() };
        let mut rest = self.0.chars();
        let market = match rest.next() {
            Some(ON_DEMAND) => Market::OnDemand,
            Some(SPOT) => Market::Spot,
            _ => return Err(unknown()),
        };
        let subnet = match rest.as_str() {
            "" => None,
            id => Some(SubnetId::parse(&format!("{SUBNET}{id}"))?),
        };
        Ok(Placement { market, subnet })
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
        for (market, subnet, stored) in [
            (Market::OnDemand, None, "d"),
            (Market::OnDemand, subnet(), "d0123456789abcdef0"),
            (Market::Spot, None, "s"),
            (Market::Spot, subnet(), "s0123456789abcdef0"),
        ] {
            let placement = Placement { market, subnet };
            assert_eq!(StoredPlacement::of(&placement).0, stored);
            assert_eq!(StoredPlacement(stored.to_owned()).read().unwrap(), placement);
        }
        for bad in ["", "x", "ssubnet-0123456789abcdef0"] {
            assert!(StoredPlacement(bad.to_owned()).read().is_err(), "{bad}");
        }
    }
}
