//! Pools: runners that GitHub treats as interchangeable.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{Account, Organization, PoolId, Repository, RunnerGroupId};
use crate::rules::labels::Labels;

/// Where a runner is registered. This decides whose jobs it can be given.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One repository: no other repository's job can take the runner.
    Repository(Repository),
    /// An organization and one of its runner groups.
    Organization {
        organization: Organization,
        /// The group's id; 1 is the default group.
        group: RunnerGroupId,
    },
}

impl Scope {
    /// Whether GitHub can give a job of this repository to a runner that is registered here.
    #[must_use]
    pub fn covers(&self, repository: &Repository) -> bool {
        match self {
            Self::Repository(own) => own == repository,
            Self::Organization { organization, .. } => {
                repository.owner().eq_ignore_ascii_case(organization.as_str())
            }
        }
    }

    /// The account in which the App that registers runners here is installed.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "an owner in lower case is an account")]
    pub fn owner(&self) -> Account {
        let owner = match self {
            Self::Repository(repository) => repository.owner(),
            Self::Organization { organization, .. } => organization.as_str(),
        };
        #[expect(clippy::expect_used, reason = "owners of repositories and organizations follow the grammar")]
        Account::parse(&owner.to_ascii_lowercase()).expect("an owner in lower case is an account")
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository(repository) => write!(f, "{repository}"),
            Self::Organization { organization, group } => write!(f, "{organization} (group {group})"),
        }
    }
}

/// Registration scope and exact label set.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Pool {
    pub scope: Scope,
    /// The labels of its runners, in addition to one unique label each.
    pub labels: Labels,
}

impl Pool {
    /// Returns the id: the first 50 bits of a SHA-256 in RFC 4648's base 32, lower case.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "ten characters of the alphabet are a pool id")]
    pub fn id(&self) -> PoolId {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut hash = Sha256::new();
        match &self.scope {
            Scope::Repository(repository) => {
                hash.update(b"repository\0");
                hash.update(repository.as_str().to_ascii_lowercase());
            }
            Scope::Organization { organization, group } => {
                hash.update(b"organization\0");
                hash.update(organization.as_str().to_ascii_lowercase());
                hash.update(group.get().to_be_bytes());
            }
        }
        for label in self.labels.iter() {
            hash.update(b"\0");
            hash.update(label);
        }
        let digest = hash.finalize();
        let mut bits = [0_u8; 8];
        bits.copy_from_slice(&digest[..8]);
        let bits = u64::from_be_bytes(bits);
        let text: String =
            (0..10).map(|i| char::from(ALPHABET[(bits >> (59 - 5 * i) & 31) as usize])).collect();
        PoolId::parse(&text).expect("ten characters of the alphabet")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(repository: &str, labels: &[&str]) -> PoolId {
        Pool { scope: Scope::Repository(Repository::parse(repository).unwrap()), labels: Labels::new(labels) }
            .id()
    }

    #[test]
    fn a_pool_is_its_scope_and_its_exact_labels() {
        let one = pool("acme/app", &["self-hosted", "class:large"]);
        assert_eq!(one, pool("Acme/App", &["Class:Large", "self-hosted"]));
        assert_ne!(one, pool("acme/app2", &["self-hosted", "class:large"]));
        assert_ne!(one, pool("acme/app", &["self-hosted"]));
    }

    #[test]
    fn the_spelling_of_a_stored_pool_id_never_changes() {
        assert_eq!(pool("acme/app", &["self-hosted", "class:large"]).as_str(), "uzuubbq6em");
    }
}
