//! Compares what was spent with the budgets.

use std::sync::{Mutex, PoisonError};

use ecsrunner_core::decide::budgets::{BudgetState, closed_before, first_day, learn, states};
use ecsrunner_core::id::Epoch;
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::spend::Spending;
use jiff::Timestamp;
use jiff::civil::Date;
use tracing::{error, info, warn};

use crate::ports::store::{Spend, StoreError};
use crate::{Engine, World, chain};

/// The sums of days that no longer change: they are not read again. Engines of one process may share them.
#[derive(Default, Debug)]
pub struct ClosedDays(Mutex<Closed>);

#[derive(Clone, Default, Debug)]
struct Closed {
    sums: Spending,
    /// The first day whose sums are kept, and the first one after them.
    days: Option<(Date, Date)>,
    /// The day before which sums that are read from now on no longer change.
    before: Option<Date>,
}

impl ClosedDays {
    fn get(&self) -> Closed {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the sums of closed days. `before` was known when these sums were read.
    fn keep(&self, first: Date, before: Date, sums: &Spending) {
        let mut closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        closed.sums = Spending(
            sums.0
                .iter()
                .filter(|(key, _)| key.day < before)
                .map(|(key, spent)| (key.clone(), *spent))
                .collect(),
        );
        closed.days = Some((first, before));
    }

    fn close(&self, before: Date) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).before = Some(before);
    }
}

impl<W: World> Engine<W> {
    /// Reads the sums of the periods that have a budget; `None` if there is no budget. To be called before what is open is
    /// read: a runner that ends between the two reads is missed for this round, and never counts twice.
    pub(super) async fn read_sums(&self, now: Timestamp) -> Result<Option<Spending>, StoreError> {
        let Some(first) = first_day(self.rules().rules(), now) else { return Ok(None) };
        let closed = self.closed_days.get();
        let (from, mut sums) = match closed.days {
            Some((since, before)) if since <= first && first < before => (before, closed.sums),
            _ => (first, Spending::default()),
        };
        sums.0.retain(|key, _| key.day >= first);
        sums.extend(self.ports.store.spent(from, now).await?);
        if let Some(before) = closed.before.filter(|before| *before > from) {
            self.closed_days.keep(first, before, &sums);
        }
        Ok(Some(sums))
    }

    /// Takes note of what was open at `at`, after the sums were read.
    pub(super) fn close_days(&self, open: &Open, at: Timestamp) {
        self.closed_days.close(closed_before(open, at));
    }

    /// Writes down which budgets are spent. If the sums could not be read, the records stay as they are.
    pub(super) async fn learn_budgets(
        &self,
        epoch: Epoch,
        open: &mut Open,
        sums: Result<Option<Spending>, StoreError>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(states) = self.budget_states(open, sums, now) else { return Ok(()) };
        let mut changes = learn(open, &states);
        if changes.iter().any(|change| matches!(change, Change::BudgetOpen(_))) {
            // Runners that have just ended may be in neither of the two reads. Now their costs are in the sums.
            let sums = self.read_sums(now).await;
            let confirmed = self.budget_states(open, sums, now).map(|states| learn(open, &states));
            changes.retain(|change| match change {
                Change::BudgetOpen(_) => {
                    confirmed.as_ref().is_some_and(|confirmed| confirmed.contains(change))
                }
                _ => true,
            });
        }
        for change in &changes {
            match change {
                Change::Overspent(over) => {
                    let (scope, period) = (&over.key.scope, over.key.period.as_str());
                    error!(budget = %scope, period, spent = %over.spent, limit = %over.limit, "a budget is spent");
                }
                Change::BudgetOpen(key) => {
                    info!(budget = %key.scope, period = key.period.as_str(), "a budget is no longer spent");
                }
                _ => {}
            }
        }
        self.commit_batches(epoch, &changes, open).await
    }

    fn budget_states(
        &self,
        open: &Open,
        sums: Result<Option<Spending>, StoreError>,
        now: Timestamp,
    ) -> Option<Vec<BudgetState>> {
        match sums {
            Ok(Some(sums)) => Some(states(self.rules().rules(), &sums, open, now)),
            Ok(None) => Some(Vec::new()),
            Err(error) => {
                warn!(error = %chain(&error), "could not read what was spent: budgets stay as they were");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_days_that_no_longer_change_are_kept() {
        let day = |text: &str| -> Date { text.parse().unwrap() };
        let closed = ClosedDays::default();
        let class = ecsrunner_core::records::spend::SpentBy::Class(
            ecsrunner_core::id::ClassName::parse("small").unwrap(),
        );
        let mut sums = Spending::default();
        for date in ["2026-11-01", "2026-11-02", "2026-11-03"] {
            let key = ecsrunner_core::records::spend::SpendKey { day: day(date), by: class.clone() };
            sums.add(key, ecsrunner_core::records::spend::Spent::default());
        }
        closed.keep(day("2026-11-01"), day("2026-11-03"), &sums);
        let Closed { sums, days, before } = closed.get();
        let kept: Vec<Date> = sums.0.keys().map(|key| key.day).collect();
        assert_eq!(kept, [day("2026-11-01"), day("2026-11-02")]);
        assert_eq!((days, before), (Some((day("2026-11-01"), day("2026-11-03"))), None));
    }
}
