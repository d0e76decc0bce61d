//! Names, ids and quantities that are passed between functions, each with its own type.
//!
//! A text id has a private field, a parsing constructor, a `Display` that
//! writes the wire form and a `Debug` that adds the kind. What an id *means*
//! does not belong here.

mod id_hasher;
mod repository;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use id_hasher::IdHasher;
pub use repository::Repository;
pub use runner_name::RunnerName;
pub use warm_name::{TaskName, WarmName};

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

// After the macro that they use.
mod runner_name;
mod warm_name;

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
    /// A service that a class declares, and the name of its container.
    ServiceName,
    "service",
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
    /// An instance in an ECS cluster, on which ECS places tasks: the last part of `containerInstanceArn`.
    InstanceId,
    "container instance",
    "1 to 64 characters of a-z, A-Z, 0-9 and - are expected",
    |text| !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
);
text_id!(
    /// An EC2 instance. EC2 never gives an id twice.
    HostId,
    "EC2 instance",
    "`i-` and 8 or 17 hexadecimal digits are expected",
    |text| text.strip_prefix("i-").is_some_and(|id| {
        matches!(id.len(), 8 | 17) && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
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
impl Account {
    /// The account of a token, which has one for all scopes.
    #[must_use]
    pub fn token() -> Self {
        Self(Arc::from("token"))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_thing_its_value_and_what_would_be_right() {
        let error = ClassName::parse("GPU XL").unwrap_err();
        assert_eq!(
            error.to_string(),
            "class `GPU XL` is not valid: 1 to 32 characters of a-z, 0-9 and -, beginning and ending with a letter or digit"
        );
    }
}
