//! A budget that is spent: an open record, so that every reader of what is open knows it without reading the sums.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::rules::budget::{BudgetScope, Period, Usd};

/// Which budget it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BudgetKey {
    pub scope: BudgetScope,
    pub period: Period,
}

/// A budget that is spent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Overspend {
    pub key: BudgetKey,
    /// The first day of the period in which it was spent.
    pub begin: Date,
    /// The limit when this was written.
    pub limit: Usd,
    /// What was spent then, with the cost of running tasks.
    pub spent: Usd,
}

impl Overspend {
    /// When the period ends.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.key.period.end(self.begin)
    }
}
