//! The stored form of holds.

use std::sync::Arc;

use ecsrunner_core::id::{Account, ClassName, PoolId};
use ecsrunner_core::records::hold::{Held, Hold, Seen};
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::placement::Placement;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::fault::Fault;
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
    Account(Account),
    Pool(PoolId),
    ClassIn(ClassName, StoredPlacement),
    Warm(ClassName),
}

/// A hold. Its times are stored exactly, to the nanosecond, because they are
/// compared to find out which facts the hold has already taken into account.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredHold {
    held: StoredHeld,
    /// Left out by the release before, which did not tell kinds apart.
    #[serde(default = "unknown")]
    fault: String,
    failures: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pools: Vec<PoolId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    placements: Vec<StoredPlacement>,
    words: Arc<str>,
    /// Left out by the release before: then the last failure is all that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    latest: Timestamp,
    not_before: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fits_cpu: Option<u32>,
}

fn unknown() -> String {
    Fault::Unknown.as_str().to_owned()
}

impl StoredHold {
    pub(in crate::store) fn of(hold: &Hold) -> Self {
        let held = match &hold.held {
            Held::Scope(scope) => StoredHeld::Scope(scope.clone()),
            Held::Class(class) => StoredHeld::Class(class.clone()),
            Held::Placement { placement, arch } => {
                StoredHeld::Placement(StoredPlacement::of(placement), *arch)
            }
            Held::Account(account) => StoredHeld::Account(account.clone()),
            Held::Pool(pool) => StoredHeld::Pool(pool.clone()),
            Held::ClassIn { class, placement } => {
                StoredHeld::ClassIn(class.clone(), StoredPlacement::of(placement))
            }
            Held::Warm(class) => StoredHeld::Warm(class.clone()),
        };
        Self {
            held,
            fault: hold.fault.as_str().to_owned(),
            failures: hold.failures,
            pools: hold.seen.pools.iter().cloned().collect(),
            placements: hold.seen.placements.iter().map(StoredPlacement::of).collect(),
            words: Arc::clone(&hold.words),
            since: Some(hold.since),
            latest: hold.latest,
            not_before: hold.not_before,
            fits_cpu: hold.fits_cpu,
        }
    }

    pub(in crate::store) fn read(self) -> Result<Hold, UnreadableError> {
        let held = match self.held {
            StoredHeld::Scope(scope) => Held::Scope(scope),
            StoredHeld::Class(class) => Held::Class(class),
            StoredHeld::Placement(placement, arch) => Held::placement(placement.read()?, arch),
            StoredHeld::Account(account) => Held::Account(account),
            StoredHeld::Pool(pool) => Held::Pool(pool),
            StoredHeld::ClassIn(class, placement) => Held::class_in(class, placement.read()?),
            StoredHeld::Warm(class) => Held::Warm(class),
        };
        let placements = self.placements.iter().map(StoredPlacement::read);
        Ok(Hold {
            held,
            // A kind of a newer release holds launches too.
            fault: Fault::parse(&self.fault).unwrap_or(Fault::Unknown),
            seen: Seen {
                pools: self.pools.into_iter().collect(),
                placements: placements.collect::<Result<_, _>>()?,
            },
            fits_cpu: self.fits_cpu,
            failures: self.failures,
            words: self.words,
            since: self.since.unwrap_or(self.latest),
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
            let provider = provider_key(placement);
            let subnet = placement.subnet.as_ref().map_or("-", |subnet| subnet.as_str());
            format!("hold#placement#{provider}#{subnet}#{}", arch.label())
        }
        Held::Account(account) => format!("hold#account#{account}"),
        Held::Pool(pool) => format!("hold#pool#{pool}"),
        Held::ClassIn { class, placement } => {
            let provider = provider_key(placement);
            let subnet = placement.subnet.as_ref().map_or("-", |subnet| subnet.as_str());
            format!("hold#class-in#{class}#{provider}#{subnet}")
        }
        Held::Warm(class) => format!("hold#warm#{class}"),
    }
}

/// A capacity provider of Fargate's, or a class's own, in a key.
fn provider_key(placement: &Placement) -> String {
    match &placement.managed {
        None => placement.market.capacity_provider().to_owned(),
        Some(class) => format!("MANAGED@{class}#{}", placement.market),
    }
}

#[cfg(test)]
mod tests {
    use ecsrunner_core::id::{Organization, Repository, RunnerGroupId, SubnetId};
    use ecsrunner_core::rules::cost::Market;

    use super::*;

    #[test]
    fn the_spelling_of_a_holds_key_never_changes() {
        let organization = Organization::parse("Acme").unwrap();
        let subnet = SubnetId::parse("subnet-0123456789abcdef0").unwrap();
        let placed = |market, subnet| Held::placement(Placement::fargate(market, subnet), Arch::Arm64);
        for (held, stored) in [
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
            (
                Held::placement(
                    Placement {
                        managed: ClassName::parse("images").ok(),
                        ..Placement::fargate(Market::Spot, None)
                    },
                    Arch::X64,
                ),
                "hold#placement#MANAGED@images#spot#-#x64",
            ),
            (Held::Account(Account::parse("acme").unwrap()), "hold#account#acme"),
            (Held::Pool(PoolId::parse("abcdefg234").unwrap()), "hold#pool#abcdefg234"),
            (
                Held::class_in(ClassName::parse("large").unwrap(), Placement::fargate(Market::Spot, None)),
                "hold#class-in#large#FARGATE_SPOT#-",
            ),
            (Held::Warm(ClassName::parse("large").unwrap()), "hold#warm#large"),
        ] {
            assert_eq!(sort_key(&held), stored);
        }
    }
}
