//! The stored form of budgets that are spent.

use ecsrunner_core::records::overspend::{BudgetKey, Overspend};
use ecsrunner_core::rules::budget::{BudgetScope, Period, Usd};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{UnreadableError, known};
use crate::store::item::{Item, OPEN, SK, get_text, key};

const PREFIX: &str = "budget#";

/// A budget that is spent. Its key holds which one. Amounts are billionths of a US dollar.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredOverspend {
    begin: Date,
    limit: u64,
    spent: u64,
}

impl StoredOverspend {
    pub(in crate::store) fn of(overspend: &Overspend) -> Self {
        let Overspend { key: _, begin, limit, spent } = overspend;
        Self { begin: *begin, limit: limit.nanos(), spent: spent.nanos() }
    }

    pub(in crate::store) fn read(self, item: &Item) -> Result<Overspend, UnreadableError> {
        let sort = get_text(item, SK).ok_or(UnreadableError::Missing(SK))?;
        let name = sort.strip_prefix(PREFIX).unwrap_or_default();
        let (period, scope) = name.split_once('#').ok_or(UnreadableError::Missing("period"))?;
        let period = known("period", period, &Period::ALL, Period::as_str)?;
        Ok(Overspend {
            key: BudgetKey { scope: BudgetScope::parse(scope)?, period },
            begin: self.begin,
            limit: Usd::from_nanos(self.limit),
            spent: Usd::from_nanos(self.spent),
        })
    }
}

pub(in crate::store) fn budget_key(budget: &BudgetKey) -> Item {
    key(OPEN, format!("{PREFIX}{}#{}", budget.period.as_str(), budget.scope.wire_form()))
}
