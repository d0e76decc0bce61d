//! The stored form of holds.

use std::sync::Arc;

use ecsrunner_core::id::ClassName;
use ecsrunner_core::records::hold::{Held, Hold};
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::pool::Scope;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::UnreadableError;
use super::placement::StoredPlacement;
use crate::store::item::{Item, OPEN, key};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredHeld {
    Scope(Scope),
    Class(ClassName),
    Placement(StoredPlacement, Arch),
}

/// A hold. Its times are stored exactly, to the nanosecond, because they are
/// compared to find out which facts the hold has already taken into account.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredHold {
    held: StoredHeld,
    failures: u32,
    words: Arc<str>,
    latest: Timestamp,
    not_before: Timestamp,
}

impl StoredHold {
    pub(in crate::store) fn of(hold: &Hold) -> Self {
        let held = match &hold.held {
            Held::Scope(scope) => StoredHeld::Scope(scope.clone()),
            Held::Class(class) => StoredHeld::Class(class.clone()),
            Held::Placement { placement, arch } => {
                StoredHeld::Placement(StoredPlacement::of(placement), *arch)
            }
        };
        Self {
            held,
            failures: hold.failures,
            words: Arc::clone(&hold.words),
            latest: hold.latest,
            not_before: hold.not_before,
        }
    }

    pub(in crate::store) fn read(self) -> Result<Hold, UnreadableError> {
        let held = match self.held {
            StoredHeld::Scope(scope) => Held::Scope(scope),
            StoredHeld::Class(class) => Held::Class(class),
            StoredHeld::Placement(placement, arch) => Held::placement(placement.read()?, arch),
        };
        Ok(Hold {
            held,
            failures: self.failures,
            words: self.words,
            latest: self.latest,
            not_before: self.not_before,
        })
    }
}

/// The key of a hold's item. It is the same for every spelling of a name.
pub(in crate::store) fn hold_key(held: &Held) -> Item {
    key(OPEN, sort_key(held))
}

fn sort_key(held: &Held) -> String {
    match held {
        Held::Scope(Scope::Repository(repository)) => {
            format!("hold#scope#{}", repository.as_str().to_ascii_lowercase())
        }
        Held::Scope(Scope::Organization { organization, group }) => {
            format!("hold#scope#{}#{group}", organization.as_str().to_ascii_lowercase())
        }
        Held::Class(class) => format!("hold#class#{class}"),
        Held::Placement { placement, arch } => {
            let provider = placement.market.capacity_provider();
            let subnet = placement.subnet.as_ref().map_or("-", |subnet| subnet.as_str());
            format!("hold#placement#{provider}#{subnet}#{}", arch.label())
        }
    }
}

#[cfg(test)]
mod tests {
    use ecsrunner_core::id::{Organization, Repository, RunnerGroupId, SubnetId};
    use ecsrunner_core::rules::cost::Market;
    use ecsrunner_core::rules::placement::Placement;

    use super::*;

    #[test]
    fn the_spelling_of_a_holds_key_never_changes() {
        let organization = Organization::parse("Acme").unwrap();
        let subnet = SubnetId::parse("subnet-0123456789abcdef0").unwrap();
        let placed = |market, subnet| Held::placement(Placement { market, subnet }, Arch::Arm64);
        for (held, spelt) in [
            (Held::Scope(Scope::Repository(Repository::parse("Acme/App").unwrap())), "hold#scope#acme/app"),
            (
                Held::Scope(Scope::Organization { organization, group: RunnerGroupId::new(3) }),
                "hold#scope#acme#3",
            ),
            (Held::Class(ClassName::parse("large").unwrap()), "hold#class#large"),
            (
                placed(Market::Spot, Some(subnet)),
                "hold#placement#FARGATE_SPOT#subnet-0123456789abcdef0#arm64",
            ),
            (placed(Market::OnDemand, None), "hold#placement#FARGATE#-#arm64"),
        ] {
            assert_eq!(sort_key(&held), spelt);
        }
    }
}
