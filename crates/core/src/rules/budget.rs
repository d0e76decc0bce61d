//! Budgets: what a deployment, a class or some repositories may cost in a UTC day and a UTC month.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::id::{ClassName, ParseIdError, Repository};
use crate::rules::policy::RepositoryPattern;
use crate::wire_form::by_wire_form;

/// An amount in billionths of a US dollar: sums are exact, in any order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Usd(u64);

impl Usd {
    pub const ZERO: Self = Self(0);
    const NANOS: f64 = 1e9;

    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Returns an amount of dollars, rounded. Less than nothing is nothing.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` stops at the bounds of u64"
    )]
    pub fn of(dollars: f64) -> Self {
        Self((dollars * Self::NANOS).round() as u64)
    }

    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "exact up to nine million dollars")]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / Self::NANOS
    }

    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dollars = self.dollars();
        // Cents say nothing about the cost of a short job.
        if dollars > 0.0 && dollars < 1.0 { write!(f, "${dollars:.4}") } else { write!(f, "${dollars:.2}") }
    }
}

/// What follows when a budget is spent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetAction {
    /// A person is told.
    #[default]
    Alarm,
    /// A person is told, and no runner is launched until the period ends. Running jobs go on.
    Hold,
}

impl BudgetAction {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Hold => "hold",
        }
    }
}

/// A budget as it is written, unchecked.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetEntry {
    /// US dollars for a UTC day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_usd: Option<f64>,
    /// US dollars for a UTC month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_usd: Option<f64>,
    #[serde(default)]
    pub action: BudgetAction,
}

/// A valid budget: at least one of its periods has a limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Budget {
    pub daily: Option<Usd>,
    pub monthly: Option<Usd>,
    pub action: BudgetAction,
}

/// A mistake in a budget.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BudgetError {
    #[error("has neither daily_usd nor monthly_usd: at least one of them is expected")]
    Empty,
    #[error(
        "has {key} = {value}: at least {min} and at most {max} US dollars are expected; to launch nothing, pause the \
         deployment",
        min = Budget::MIN_USD,
        max = Budget::MAX_USD
    )]
    Range { key: &'static str, value: String },
    #[error(
        "has daily_usd = {daily} and monthly_usd = {monthly}: a day's budget of at most the month's is expected"
    )]
    DayAboveMonth { daily: String, monthly: String },
}

impl Budget {
    /// The fewest dollars of a budget. A smaller one would be spent by any job, or even round to nothing.
    pub const MIN_USD: f64 = 0.0001;
    /// The most dollars of a budget. A larger one is a mistake.
    pub const MAX_USD: u32 = 1_000_000;

    /// Checks a budget.
    ///
    /// # Errors
    ///
    /// Returns its first mistake.
    pub fn read(entry: &BudgetEntry) -> Result<Self, BudgetError> {
        let amount = |key, value: Option<f64>| match value {
            Some(value) if !(Self::MIN_USD..=f64::from(Self::MAX_USD)).contains(&value) => {
                Err(BudgetError::Range { key, value: value.to_string() })
            }
            value => Ok(value.map(Usd::of)),
        };
        let daily = amount("daily_usd", entry.daily_usd)?;
        let monthly = amount("monthly_usd", entry.monthly_usd)?;
        match (daily, monthly) {
            (None, None) => Err(BudgetError::Empty),
            (Some(day), Some(month)) if day > month => Err(BudgetError::DayAboveMonth {
                daily: entry.daily_usd.unwrap_or_default().to_string(),
                monthly: entry.monthly_usd.unwrap_or_default().to_string(),
            }),
            _ => Ok(Self { daily, monthly, action: entry.action }),
        }
    }

    #[must_use]
    pub const fn limit(&self, period: Period) -> Option<Usd> {
        match period {
            Period::Day => self.daily,
            Period::Month => self.monthly,
        }
    }
}

/// The budgets in the settings. Those of classes are in the catalogue.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Budgets {
    pub deployment: Option<Budget>,
    /// Each is one budget for all repositories that match the pattern, which is in lower case.
    pub repositories: BTreeMap<RepositoryPattern, Budget>,
}

impl Budgets {
    /// The most patterns: the sums of each are read in each round. At most three of them match one repository.
    pub const MAX_REPOSITORIES: usize = 10;

    /// Returns the patterns that match a repository.
    pub fn patterns_of(&self, repository: &Repository) -> impl Iterator<Item = &RepositoryPattern> {
        self.repositories.keys().filter(move |pattern| pattern.matches(repository))
    }
}

/// What a budget is for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BudgetScope {
    Deployment,
    Class(ClassName),
    /// All repositories that match, in lower case.
    Repositories(RepositoryPattern),
}

impl BudgetScope {
    /// Returns the wire form, pinned: it is part of a key in the store.
    #[must_use]
    pub fn wire_form(&self) -> String {
        match self {
            Self::Deployment => "deployment".to_owned(),
            Self::Class(class) => format!("class#{class}"),
            Self::Repositories(pattern) => format!("repository#{pattern}"),
        }
    }

    /// Parses the wire form.
    ///
    /// # Errors
    ///
    /// The text is no scope of this release.
    pub fn parse(text: &str) -> Result<Self, ParseIdError> {
        match text.split_once('#') {
            None if text == "deployment" => Ok(Self::Deployment),
            Some(("class", class)) => ClassName::parse(class).map(Self::Class),
            Some(("repository", pattern)) => RepositoryPattern::parse(pattern).map(Self::Repositories),
            _ => Err(ParseIdError::new(
                "budget",
                text,
                "`deployment`, `class#…` or `repository#…` is expected",
            )),
        }
    }
}

impl fmt::Display for BudgetScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deployment => f.write_str("the deployment"),
            Self::Class(class) => write!(f, "class `{class}`"),
            Self::Repositories(pattern) => write!(f, "repositories `{pattern}`"),
        }
    }
}

/// The time for which a budget is. Days and months are those of UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Period {
    Day,
    Month,
}

impl Period {
    pub const ALL: [Self; 2] = [Self::Day, Self::Month];

    /// The wire form, pinned: it is part of a key in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// Returns the first day of the period that `now` is in.
    #[must_use]
    pub fn begin(self, now: Timestamp) -> Date {
        match self {
            Self::Day => day_of(now),
            Self::Month => day_of(now).first_of_month(),
        }
    }

    /// Returns when the period ends that begins on that day.
    #[must_use]
    pub fn end(self, begin: Date) -> Timestamp {
        let last = match self {
            Self::Day => begin,
            Self::Month => begin.last_of_month(),
        };
        midnight(last.tomorrow().unwrap_or(last))
    }
}

by_wire_form!(Period, "period of a budget");

/// Returns the UTC day of a time.
#[must_use]
pub fn day_of(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

/// Returns when a UTC day begins.
#[must_use]
pub fn midnight(day: Date) -> Timestamp {
    TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn read(json: &str) -> Result<Budget, String> {
        let entry: BudgetEntry = serde_json::from_str(json).map_err(|error| error.to_string())?;
        Budget::read(&entry).map_err(|error| error.to_string())
    }

    #[test]
    fn a_budget_needs_a_limit_and_only_alarms_unless_it_says_hold() {
        let budget = read(r#"{"daily_usd": 5}"#).unwrap();
        assert_eq!(budget, Budget { daily: Some(Usd::of(5.0)), monthly: None, action: BudgetAction::Alarm });
        let budget = read(r#"{"daily_usd": 5, "monthly_usd": 5, "action": "hold"}"#).unwrap();
        assert_eq!((budget.monthly, budget.action), (Some(Usd::of(5.0)), BudgetAction::Hold));
    }

    #[test]
    fn nonsense_is_refused_with_the_value_and_what_is_expected() {
        let refused = |json: &str| read(json).unwrap_err();
        assert!(refused("{}").contains("neither daily_usd nor monthly_usd"));
        for value in ["0", "-3", "1e-10", "0.00009", "1000000.5", "1e400"] {
            assert!(read(&format!(r#"{{"monthly_usd": {value}}}"#)).is_err(), "{value}");
        }
        assert!(
            refused(r#"{"daily_usd": -3}"#).contains("daily_usd = -3: at least 0.0001 and at most 1000000")
        );
        assert!(
            refused(r#"{"daily_usd": 5, "monthly_usd": 4.5}"#)
                .contains("daily_usd = 5 and monthly_usd = 4.5")
        );
        assert!(refused(r#"{"daily_usd": 5, "action": "stop"}"#).contains("expected `alarm` or `hold`"));
        assert!(refused(r#"{"weekly_usd": 5}"#).contains("weekly_usd"));
        let nan = BudgetEntry { daily_usd: Some(f64::NAN), monthly_usd: None, action: BudgetAction::Alarm };
        assert!(Budget::read(&nan).is_err());
    }

    #[test]
    fn periods_are_those_of_utc() {
        let now: Timestamp = "2026-11-30T23:59:59Z".parse().unwrap();
        assert_eq!(Period::Day.begin(now), date(2026, 11, 30));
        assert_eq!(Period::Month.begin(now), date(2026, 11, 1));
        let next: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        assert_eq!(Period::Day.end(date(2026, 11, 30)), next);
        assert_eq!(Period::Month.end(date(2026, 11, 1)), next);
    }

    #[test]
    fn the_spelling_of_a_scope_never_changes() {
        for (scope, text) in [
            (BudgetScope::Deployment, "deployment"),
            (BudgetScope::Class(ClassName::parse("small").unwrap()), "class#small"),
            (BudgetScope::Repositories(RepositoryPattern::parse("acme/*").unwrap()), "repository#acme/*"),
        ] {
            assert_eq!(scope.wire_form(), text);
            assert_eq!(BudgetScope::parse(text).unwrap(), scope);
        }
        assert!(BudgetScope::parse("team#acme").is_err());
    }

    #[test]
    fn amounts_add_up_exactly_and_cents_are_not_all_that_is_shown() {
        let tenth = Usd::of(0.1);
        assert_eq!((0..10).fold(Usd::ZERO, |sum, _| sum.plus(tenth)), Usd::of(1.0));
        assert_eq!(Usd::of(-1.0), Usd::ZERO);
        assert_eq!(
            [0.0, 0.000_26, 12.345].map(|usd| Usd::of(usd).to_string()),
            ["$0.00", "$0.0003", "$12.35"]
        );
    }
}
