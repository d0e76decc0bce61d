//! Compares what was spent with the budgets.

use ecsrunner_core::decide::budgets::{first_day, has_any, learn, states};
use ecsrunner_core::id::Epoch;
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::open::Open;
use jiff::Timestamp;
use tracing::{error, info};

use crate::ports::store::{Spend, StoreError};
use crate::{Engine, World};

impl<W: World> Engine<W> {
    /// Writes down which budgets are spent. The sums are read after `open`: a runner that ends between the two reads counts
    /// twice for this round, and never not at all.
    pub(super) async fn learn_budgets(
        &self,
        epoch: Epoch,
        open: &mut Open,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let rules = self.rules();
        let states = if has_any(rules.rules()) {
            let recorded = self.ports.store.spent(first_day(now), now).await?;
            states(rules.rules(), &recorded, open, now)
        } else {
            Vec::new()
        };
        let changes = learn(open, &states, now);
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
}
