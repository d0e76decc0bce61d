//! Names, ids and quantities that are passed between functions, each with its own type.
//!
//! A text id has a private field, a parsing constructor, a `Display` that
//! writes the wire form and a `Debug` that adds the kind. What an id *means*
//! does not belong here.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A text that does not follow the grammar of its type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} `{value}` is not valid: {expected}")]
pub struct ParseIdError {
    kind: &'static str,
    value: String,
    expected: &'static str,
}

impl ParseIdError {
    pub(crate) fn new(kind: &'static str, value: &str, expected: &'static str) -> Self {
        // The value may come from outside, so its length is bounded.
        let value = value.chars().take(80).collect();
        Self { kind, value, expected }
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses the wire form.
            ///
            /// # Errors
            ///
            /// The text does not follow the grammar of this id.
            pub fn parse(text: &str) -> Result<Self, ParseIdError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(Arc::from(text)))
                } else {
                    Err(ParseIdError::new($kind, text, $expected))
                }
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($kind, ":{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, ParseIdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
    };
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            #[must_use]
            pub const fn new(id: u64) -> Self {
                Self(id)
            }

            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($kind, ":{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.parse()
                    .map(Self)
                    .map_err(|_| ParseIdError::new($kind, text, "a whole number is expected"))
            }
        }
    };
}

number_id!(
    /// GitHub's id of a workflow job; exceeds 2^32.
    JobId,
    "job"
);
number_id!(
    /// GitHub's id of a workflow run.
    RunId,
    "run"
);
number_id!(
    /// GitHub's id of a registered runner.
    RunnerId,
    "runner_id"
);
number_id!(
    /// GitHub's id of a runner group.
    RunnerGroupId,
    "runner_group"
);
number_id!(
    /// The optimistic lock of a record: 1 when first written, plus 1 with each write.
    Version,
    "version"
);
number_id!(
    /// The term of a dispatcher's lease: plus 1 whenever the lease changes hands.
    Epoch,
    "epoch"
);

impl Version {
    pub const FIRST: Self = Self(1);

    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

text_id!(
    /// The name of one installation of ecsrunner. At most 20 characters, so that it fits into a runner's name.
    Deployment,
    "deployment",
    "1 to 20 characters of a-z, 0-9 and -, beginning and ending with a letter or digit",
    |text| text.len() <= 20 && is_dashed_word(text)
);
text_id!(
    /// A runner class, as in the label `class:large`.
    ClassName,
    "class",
    "1 to 32 characters of a-z, 0-9 and -, beginning and ending with a letter or digit",
    |text| text.len() <= 32 && is_dashed_word(text)
);
text_id!(
    /// A pool's id: a hash of its registration scope and label set (see [`crate::rules::pool::Pool::id`]).
    PoolId,
    "pool",
    "10 characters of a-z and 2-7 are expected",
    |text| text.len() == 10 && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'))
);
text_id!(
    /// A task's ARN on ECS, or an id of the same shape on one machine.
    TaskId,
    "task",
    "1 to 200 visible ASCII characters are expected",
    |text| !text.is_empty() && text.len() <= 200 && text.bytes().all(|b| b.is_ascii_graphic())
);
text_id!(
    /// A subnet of a VPC.
    SubnetId,
    "subnet",
    "`subnet-` and 8 or 17 hexadecimal digits are expected",
    |text| text.strip_prefix("subnet-").is_some_and(|id| {
        matches!(id.len(), 8 | 17) && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
);
text_id!(
    /// The owner of one of GitHub's rate limits: an App's installation, named by
    /// its owner's login in lower case, or a token.
    Account,
    "account",
    "1 to 80 characters of a-z, 0-9, - and _ are expected",
    |text| is_owner(text) && !text.bytes().any(|b| b.is_ascii_uppercase())
);
text_id!(
    /// The value of `X-GitHub-Delivery`; a redelivery keeps it.
    DeliveryId,
    "delivery",
    "1 to 64 visible ASCII characters are expected",
    |text| !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic())
);
text_id!(
    /// A GitHub organization's login.
    Organization,
    "organization",
    "1 to 39 characters of A-Z, a-z, 0-9, - and _ are expected",
    |text| is_owner(text)
);

fn is_dashed_word(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    !text.is_empty()
        && text.bytes().all(|b| inside(b) || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

pub(crate) fn is_owner(text: &str) -> bool {
    // GitHub's own grammar is stricter for new names; enterprise-managed users contain `_`.
    !text.is_empty()
        && text.len() <= 80
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A repository, `owner/name`. Comparison ignores case, as GitHub's does.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository(Arc<str>);

impl Repository {
    /// Parses `owner/name`.
    ///
    /// # Errors
    ///
    /// The text has another form.
    pub fn parse(text: &str) -> Result<Self, ParseIdError> {
        let valid = text.split_once('/').is_some_and(|(owner, name)| {
            is_owner(owner)
                && !name.is_empty()
                && name.len() <= 100
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
                && name != "."
                && name != ".."
        });
        if valid {
            Ok(Self(Arc::from(text)))
        } else {
            Err(ParseIdError::new("repository", text, "`owner/name` is expected"))
        }
    }

    /// `owner/name` in GitHub's spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the slash.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.0.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The part after the slash.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

impl PartialEq for Repository {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Repository {}

impl PartialOrd for Repository {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Repository {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        fn lower(text: &str) -> impl Iterator<Item = u8> {
            text.bytes().map(|byte| byte.to_ascii_lowercase())
        }
        lower(&self.0).cmp(lower(&other.0))
    }
}

impl std::hash::Hash for Repository {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        for byte in self.0.bytes() {
            state.write_u8(byte.to_ascii_lowercase());
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "repository:{}", self.0)
    }
}

impl FromStr for Repository {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Repository {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, ParseIdError> {
        Self::parse(&text)
    }
}

impl From<Repository> for String {
    fn from(repository: Repository) -> String {
        repository.0.as_ref().to_owned()
    }
}

/// `<prefix>-<deployment>-<pool hash>-<ulid>`, at most 64 characters.
///
/// The whole grammar is matched, so that two deployments never touch each
/// other's runners.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunnerName(Arc<str>);

impl RunnerName {
    const PREFIX: &'static str = "ecsr";
    const ULID_LEN: usize = 26;

    /// Returns the name of a new runner.
    ///
    /// `ulid` has 26 characters of Crockford's base 32; it is written in lower case.
    ///
    /// # Errors
    ///
    /// `ulid` is not a ULID.
    pub fn new(deployment: &Deployment, pool: &PoolId, ulid: &str) -> Result<Self, ParseIdError> {
        let ulid = ulid.to_ascii_lowercase();
        Self::parse(&format!("{}-{deployment}-{pool}-{ulid}", Self::PREFIX))
    }

    /// Parses the wire form, matching the whole grammar.
    ///
    /// # Errors
    ///
    /// No deployment of ecsrunner gives such a name.
    pub fn parse(text: &str) -> Result<Self, ParseIdError> {
        let parts = Self::split(text);
        let valid = text.len() <= 64
            && parts.is_some_and(|(deployment, pool, ulid)| {
                Deployment::parse(deployment).is_ok() && PoolId::parse(pool).is_ok() && is_ulid(ulid)
            });
        if valid {
            Ok(Self(Arc::from(text)))
        } else {
            Err(ParseIdError::new("runner", text, "`ecsr-<deployment>-<pool>-<ulid>` is expected"))
        }
    }

    fn split(text: &str) -> Option<(&str, &str, &str)> {
        let rest = text.strip_prefix(Self::PREFIX)?.strip_prefix('-')?;
        let (rest, ulid) = rest.rsplit_once('-')?;
        let (deployment, pool) = rest.rsplit_once('-')?;
        Some((deployment, pool, ulid))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The ULID at its end, in lower case: unique, and sortable by time.
    #[must_use]
    pub fn ulid(&self) -> &str {
        &self.0[self.0.len() - Self::ULID_LEN..]
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

fn is_ulid(text: &str) -> bool {
    text.len() == RunnerName::ULID_LEN
        && text
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z') && !matches!(b, b'i' | b'l' | b'o' | b'u'))
}

impl fmt::Display for RunnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RunnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "runner:{}", self.0)
    }
}

impl FromStr for RunnerName {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for RunnerName {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, ParseIdError> {
        Self::parse(&text)
    }
}

impl From<RunnerName> for String {
    fn from(name: RunnerName) -> String {
        name.0.as_ref().to_owned()
    }
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

    #[test]
    fn repositories_compare_without_case_and_keep_their_spelling() {
        let a = Repository::parse("Acme/App").unwrap();
        assert_eq!(a, Repository::parse("acme/app").unwrap());
        assert_eq!(a.to_string(), "Acme/App");
        for bad in ["", "acme", "/app", "acme/", "a/b/c", "acme/..", "ac me/app", "acme/a?b"] {
            assert!(Repository::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_names_the_thing_its_value_and_what_would_be_right() {
        let error = ClassName::parse("GPU XL").unwrap_err();
        assert_eq!(
            error.to_string(),
            "class `GPU XL` is not valid: 1 to 32 characters of a-z, 0-9 and -, beginning and ending with a letter or digit"
        );
    }
}
