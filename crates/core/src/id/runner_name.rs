//! The names that runners of ours have at GitHub.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Deployment, ParseIdError, PoolId};

text_id!(
    /// `<prefix>-<deployment>-<pool hash>-<ulid>`, at most 64 characters.
    ///
    /// The whole grammar is matched, so that two deployments never touch each
    /// other's runners.
    RunnerName,
    "runner",
    "`ecsr-<deployment>-<pool>-<ulid>` is expected",
    |text| {
        let of = |(deployment, pool, ulid)| {
            Deployment::parse(deployment).is_ok() && PoolId::parse(pool).is_ok() && is_ulid(ulid)
        };
        text.len() <= MAX_LEN && RunnerName::split(text).is_some_and(of)
    }
);

/// With it each name of ours begins.
pub(super) const PREFIX: &str = "ecsr";
pub(super) const ULID_LEN: usize = 26;
/// GitHub's limit for a runner's name.
pub(super) const MAX_LEN: usize = 64;

impl RunnerName {
    /// Returns the name of a new runner.
    ///
    /// `ulid` has 26 characters of Crockford's base 32; it is written in lower case.
    ///
    /// # Errors
    ///
    /// `ulid` is not a ULID.
    pub fn new(deployment: &Deployment, pool: &PoolId, ulid: &str) -> Result<Self, ParseIdError> {
        let ulid = ulid.to_ascii_lowercase();
        Self::parse(&format!("{PREFIX}-{deployment}-{pool}-{ulid}"))
    }

    fn split(text: &str) -> Option<(&str, &str, &str)> {
        let rest = text.strip_prefix(PREFIX)?.strip_prefix('-')?;
        let (rest, ulid) = rest.rsplit_once('-')?;
        let (deployment, pool) = rest.rsplit_once('-')?;
        Some((deployment, pool, ulid))
    }

    /// The ULID at its end, in lower case: unique, and sortable by time.
    #[must_use]
    pub fn ulid(&self) -> &str {
        &self.0[self.0.len() - ULID_LEN..]
    }

    /// Whether this deployment gave the name.
    #[must_use]
    pub fn belongs_to(&self, deployment: &Deployment) -> bool {
        Self::split(&self.0).is_some_and(|(owner, _, _)| owner == deployment.as_str())
    }

    /// Whether the runner belongs to this pool.
    #[must_use]
    pub fn is_of(&self, pool: &PoolId) -> bool {
        Self::split(&self.0).is_some_and(|(_, of, _)| of == pool.as_str())
    }

    /// When the name was given: the first 48 bits of its ULID are milliseconds since the epoch.
    #[must_use]
    pub fn given_at(&self) -> Option<Timestamp> {
        const ALPHABET: &str = "0123456789abcdefghjkmnpqrstvwxyz";
        const TIME_CHARS: usize = 10;
        let mut millis = 0_i64;
        for character in self.ulid().chars().take(TIME_CHARS) {
            let digit = ALPHABET.find(character)?;
            millis = millis * 32 + i64::try_from(digit).ok()?;
        }
        Timestamp::from_millisecond(millis).ok()
    }
}

pub(super) fn is_ulid(text: &str) -> bool {
    text.len() == ULID_LEN
        && text
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z') && !matches!(b, b'i' | b'l' | b'o' | b'u'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_name_of_the_longest_deployment_is_at_most_64_characters_and_reads_back() {
        let deployment = Deployment::parse("a2345678901234567-x9").unwrap();
        let pool = PoolId::parse("abcdefg234").unwrap();
        let name = RunnerName::new(&deployment, &pool, "01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
        assert_eq!(name.as_str(), "ecsr-a2345678901234567-x9-abcdefg234-01arz3ndektsv4rrffq69g5fav");
        assert!(name.as_str().len() <= 64);
        assert_eq!(RunnerName::parse(name.as_str()).unwrap(), name);
        assert_eq!(name.ulid(), "01arz3ndektsv4rrffq69g5fav");
        assert!(name.belongs_to(&deployment));
    }

    #[test]
    fn a_deployment_whose_name_begins_like_another_does_not_own_its_runners() {
        let pool = PoolId::parse("abcdefg234").unwrap();
        let name =
            RunnerName::new(&Deployment::parse("ci-prod").unwrap(), &pool, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
        let name = name.unwrap();
        assert!(!name.belongs_to(&Deployment::parse("ci").unwrap()));
        assert!(!name.belongs_to(&Deployment::parse("ci-prod-eu").unwrap()));
    }

    #[test]
    fn names_outside_the_grammar_are_refused() {
        for name in [
            "",
            "ecsr",
            "my-runner",
            "ecsr-x-abcdefg234-01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "ecsr-x-abcdefg234-01arz3ndektsv4rrffq69g5fai",
            "ecsr-x-abc-01arz3ndektsv4rrffq69g5fav",
            "ecsr--abcdefg234-01arz3ndektsv4rrffq69g5fav",
            "ecsr-x-abcdefg234-01arz3ndektsv4rrffq69g5fav2",
        ] {
            assert!(RunnerName::parse(name).is_err(), "{name}");
        }
    }
}
