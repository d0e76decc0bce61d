//! `permissions`: what the token of a job may do, and what a called workflow may ask for.

use crate::schema::{permission_levels, permission_names};
use crate::token::Token;

/// Returns the names and levels of `read-all`, or of `write-all`. A permission that can only be written, such as
/// `id-token`, is not part of `read-all`; one that can only be read is read in both.
pub fn all_permissions(write: bool) -> impl Iterator<Item = (&'static str, &'static str)> {
    permission_names().filter_map(move |name| {
        let has = |level: &str| permission_levels(name).contains(&level);
        match write {
            true if has("write") => Some((name, "write")),
            _ => has("read").then_some((name, "read")),
        }
    })
}

/// What the token of a job may do where no file names permissions: GitHub's restricted default, which new organizations
/// have. (actions/runner, `LimitedRead` in `src/Sdk/WorkflowParser/Conversion/PermissionsHelper.cs`)
pub const DEFAULT_PERMISSIONS: [(&str, &str); 2] = [("contents", "read"), ("packages", "read")];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Level {
    None,
    Read,
    Write,
}

impl Level {
    fn of(text: &str) -> Self {
        match text {
            "write" | "write-all" => Self::Write,
            "read" | "read-all" => Self::Read,
            _ => Self::None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// The permissions that a file gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Permissions {
    /// Those that are named. All others have the level behind them.
    named: Vec<(String, Level)>,
    others: Level,
}

impl Permissions {
    /// Returns [`DEFAULT_PERMISSIONS`].
    pub(crate) fn default_policy() -> Self {
        let named = DEFAULT_PERMISSIONS.iter().map(|(name, level)| ((*name).to_owned(), Level::of(level)));
        Self { named: named.collect(), others: Level::None }
    }

    /// Reads a checked `permissions`.
    pub(crate) fn of(token: &Token) -> Self {
        let level = |token: &Token| Level::of(&token.text().unwrap_or_default());
        let named = token.entries().iter();
        Self {
            named: named.filter_map(|(name, value)| Some((name.text()?, level(value)))).collect(),
            others: level(token),
        }
    }

    fn level(&self, name: &str) -> Level {
        self.named.iter().find(|(known, _)| known == name).map_or(self.others, |(_, level)| *level)
    }

    /// Returns the permissions that are higher than those of `allowed`: what is asked for, and what is given.
    pub(crate) fn beyond(&self, allowed: &Self) -> Option<(String, String)> {
        let names: Vec<&str> =
            permission_names().filter(|name| self.level(name) > allowed.level(name)).collect();
        let listed = |permissions: &Self| {
            let one = |name: &&str| format!("`{name}: {}`", permissions.level(name).as_str());
            names.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        (!names.is_empty()).then(|| (listed(self), listed(allowed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_permissions_are_those_that_have_the_level() {
        let (read, write): (Vec<_>, Vec<_>) =
            (all_permissions(false).collect(), all_permissions(true).collect());
        assert!(read.iter().all(|(name, level)| *level == "read" && *name != "id-token"), "{read:?}");
        assert!(read.contains(&("discussions", "read")) && read.contains(&("models", "read")), "{read:?}");
        assert_eq!(write.len(), permission_names().count());
        assert!(write.contains(&("id-token", "write")) && write.contains(&("models", "read")), "{write:?}");
    }
}
