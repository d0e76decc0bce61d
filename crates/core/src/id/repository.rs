//! The name of a repository.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Account, ParseIdError, is_owner};

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

    /// The owner's account, in lower case.
    #[must_use]
    #[expect(clippy::expect_used, reason = "an owner in lower case follows the grammar of accounts")]
    pub fn account(&self) -> Account {
        Account::parse(&self.owner().to_ascii_lowercase()).expect("an owner in lower case is an account")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_compare_without_case_and_keep_their_spelling() {
        let a = Repository::parse("Acme/App").unwrap();
        assert_eq!(a, Repository::parse("acme/app").unwrap());
        assert_eq!(a.to_string(), "Acme/App");
        for bad in ["", "acme", "/app", "acme/", "a/b/c", "acme/..", "ac me/app", "acme/a?b"] {
            assert!(Repository::parse(bad).is_err(), "{bad}");
        }
    }
}
