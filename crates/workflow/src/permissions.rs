//! `permissions`: what the token of a job may do, and what a called workflow may ask for.

use crate::schema::permission_names;
use crate::token::Token;

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
