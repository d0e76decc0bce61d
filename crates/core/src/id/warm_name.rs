//! The names of warm tasks, and of tasks of either kind.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::runner_name::{MAX_LEN, PREFIX, ULID_LEN, is_ulid};
use super::{Deployment, ParseIdError, RunnerName};

/// Where a runner's name has its pool's id, which has ten characters.
const WARM: &str = "warm";

text_id!(
    /// `<prefix>-<deployment>-warm-<ulid>`: the name of a task that waits for a runner.
    ///
    /// The whole grammar is matched, and no runner's name follows it.
    WarmName,
    "warm task",
    "`ecsr-<deployment>-warm-<ulid>` is expected",
    |text| {
        let of = |(deployment, ulid)| Deployment::parse(deployment).is_ok() && is_ulid(ulid);
        text.len() <= MAX_LEN && split(text).is_some_and(of)
    }
);

impl WarmName {
    /// Returns the name of a new task.
    ///
    /// `ulid` has 26 characters of Crockford's base 32; it is written in lower case.
    ///
    /// # Errors
    ///
    /// `ulid` is not a ULID.
    pub fn new(deployment: &Deployment, ulid: &str) -> Result<Self, ParseIdError> {
        Self::parse(&format!("{PREFIX}-{deployment}-{WARM}-{}", ulid.to_ascii_lowercase()))
    }

    /// The ULID at its end, in lower case: unique, and sortable by time.
    #[must_use]
    pub fn ulid(&self) -> &str {
        &self.0[self.0.len() - ULID_LEN..]
    }

    /// Whether this deployment gave the name.
    #[must_use]
    pub fn belongs_to(&self, deployment: &Deployment) -> bool {
        split(&self.0).is_some_and(|(owner, _)| owner == deployment.as_str())
    }
}

/// Returns the deployment and the ULID.
fn split(text: &str) -> Option<(&str, &str)> {
    let (rest, ulid) = text.strip_prefix(PREFIX)?.strip_prefix('-')?.rsplit_once('-')?;
    let (deployment, warm) = rest.rsplit_once('-')?;
    (warm == WARM).then_some((deployment, ulid))
}

/// The name that a task got when it was launched. A warm task keeps it after a runner has taken it over.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TaskName {
    Runner(RunnerName),
    Warm(WarmName),
}

impl TaskName {
    /// Parses the wire form of either kind.
    ///
    /// # Errors
    ///
    /// No deployment of ecsrunner gives such a name.
    pub fn parse(text: &str) -> Result<Self, ParseIdError> {
        WarmName::parse(text).map(Self::Warm).or_else(|_| RunnerName::parse(text).map(Self::Runner))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Runner(name) => name.as_str(),
            Self::Warm(name) => name.as_str(),
        }
    }

    /// The ULID at its end, in lower case: unique, and sortable by time.
    #[must_use]
    pub fn ulid(&self) -> &str {
        match self {
            Self::Runner(name) => name.ulid(),
            Self::Warm(name) => name.ulid(),
        }
    }

    /// Whether this deployment gave the name.
    #[must_use]
    pub fn belongs_to(&self, deployment: &Deployment) -> bool {
        match self {
            Self::Runner(name) => name.belongs_to(deployment),
            Self::Warm(name) => name.belongs_to(deployment),
        }
    }

    /// The runner, if the task was launched as one.
    #[must_use]
    pub fn runner(&self) -> Option<&RunnerName> {
        match self {
            Self::Runner(name) => Some(name),
            Self::Warm(_) => None,
        }
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&RunnerName> for TaskName {
    fn from(name: &RunnerName) -> Self {
        Self::Runner(name.clone())
    }
}

impl From<&WarmName> for TaskName {
    fn from(name: &WarmName) -> Self {
        Self::Warm(name.clone())
    }
}

impl From<RunnerName> for TaskName {
    fn from(name: RunnerName) -> Self {
        Self::Runner(name)
    }
}

impl From<WarmName> for TaskName {
    fn from(name: WarmName) -> Self {
        Self::Warm(name)
    }
}

impl TryFrom<String> for TaskName {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, ParseIdError> {
        Self::parse(&text)
    }
}

impl From<TaskName> for String {
    fn from(name: TaskName) -> String {
        name.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PoolId;

    const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

    #[test]
    fn a_name_reads_back_and_belongs_to_its_deployment_alone() {
        let deployment = Deployment::parse("ci-prod").unwrap();
        let name = WarmName::new(&deployment, ULID).unwrap();
        assert_eq!(name.as_str(), "ecsr-ci-prod-warm-01arz3ndektsv4rrffq69g5fav");
        assert_eq!(WarmName::parse(name.as_str()).unwrap(), name);
        assert_eq!(name.ulid(), "01arz3ndektsv4rrffq69g5fav");
        assert!(name.belongs_to(&deployment));
        assert!(!name.belongs_to(&Deployment::parse("ci").unwrap()));
        assert!(!name.belongs_to(&Deployment::parse("ci-prod-warm").unwrap()));
    }

    #[test]
    fn no_name_is_of_both_kinds() {
        for deployment in ["ci", "warm", "a-warm", "warm-abcdefg234"] {
            let deployment = Deployment::parse(deployment).unwrap();
            let warm = WarmName::new(&deployment, ULID).unwrap();
            assert!(RunnerName::parse(warm.as_str()).is_err(), "{warm}");
            assert_eq!(TaskName::parse(warm.as_str()).unwrap(), TaskName::Warm(warm));
            let pool = PoolId::parse("abcdefg234").unwrap();
            let runner = RunnerName::new(&deployment, &pool, ULID).unwrap();
            assert!(WarmName::parse(runner.as_str()).is_err(), "{runner}");
            assert_eq!(TaskName::parse(runner.as_str()).unwrap(), TaskName::Runner(runner));
        }
    }

    #[test]
    fn names_outside_the_grammar_are_refused() {
        for name in [
            "",
            "ecsr-warm-01arz3ndektsv4rrffq69g5fav",
            "ecsr-ci-warm-01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "ecsr-ci-warm-01arz3ndektsv4rrffq69g5fav2",
            "ecsr--warm-01arz3ndektsv4rrffq69g5fav",
        ] {
            assert!(TaskName::parse(name).is_err(), "{name}");
        }
    }
}
