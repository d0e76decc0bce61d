//! The images that runners start from: the deployment's own, GitHub's official one, and others by name.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::ParseIdError;
use crate::rules::class::size::Arch;

/// GitHub's own image as it is. It serves while the deployment's own cannot.
pub const OFFICIAL: &str = "official";
/// A build of the deployment's own image that has not booted yet.
pub const NEXT: &str = "next";
/// The deployment's own image.
pub const DEFAULT: &str = "default";

/// What a deployment's own image is made of, and where.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ImageRules {
    /// The architectures for which the control plane has it built.
    pub built: BTreeSet<Arch>,
    /// The architectures for which a task can start from GitHub's own image.
    pub official: BTreeSet<Arch>,
    /// The architectures for which the deployment's own image exists without being built by the control plane.
    pub given: BTreeSet<Arch>,
    /// A hash of everything that it is made of, except the runner.
    pub sources: String,
    /// The operator's own part of the tag.
    pub tag: String,
    /// The runner's version, if the operator has chosen one.
    pub pinned: Option<RunnerVersion>,
    /// Whether nothing of the operator's own is in it, so that GitHub's image can take its place.
    pub is_plain: bool,
}

/// A version of GitHub's runner, such as `2.337.0`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunnerVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

impl RunnerVersion {
    /// Parses three numbers, with or without a `v` before them.
    ///
    /// # Errors
    ///
    /// The text is anything else.
    pub fn parse(text: &str) -> Result<Self, ParseIdError> {
        let read = || {
            let mut numbers = text.strip_prefix('v').unwrap_or(text).split('.').map(|number| {
                let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
                is_number.then(|| number.parse::<u32>().ok()).flatten()
            });
            let version = Self { major: numbers.next()??, minor: numbers.next()??, patch: numbers.next()?? };
            numbers.next().is_none().then_some(version)
        };
        read().ok_or_else(|| {
            ParseIdError::new("version of the runner", text, "three numbers such as 2.337.0 are expected")
        })
    }

    /// Whether no other release need lie between this version and a newer one: it has the same minor number or the next.
    #[must_use]
    pub fn may_precede(self, newer: Self) -> bool {
        self.major == newer.major && (self.minor..=self.minor.saturating_add(1)).contains(&newer.minor)
    }
}

impl TryFrom<String> for RunnerVersion {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, ParseIdError> {
        Self::parse(&text)
    }
}

impl From<RunnerVersion> for String {
    fn from(version: RunnerVersion) -> Self {
        version.to_string()
    }
}

impl fmt::Display for RunnerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers_and_read_as_they_are_written() {
        let version = |text: &str| RunnerVersion::parse(text).unwrap();
        assert!(version("2.100.0") > version("2.99.9"));
        assert_eq!(version("v2.337.0").to_string(), "2.337.0");
        let precedes = |newer| version("2.337.0").may_precede(version(newer));
        assert_eq!(["2.337.1", "2.338.0", "2.339.0", "3.338.0"].map(precedes), [true, true, false, false]);
        for bad in ["", "2.337", "2.337.0.1", "2.+1.0", "2..0", "latest", "2.337.0-rc", "2.4294967296.0"] {
            assert!(RunnerVersion::parse(bad).is_err(), "{bad}");
        }
    }
}
