//! Every write of jobs, runners and holds. It measures and logs what is
//! committed. After a conflict it decides again on the record that won.

use std::borrow::Cow;
use std::sync::Arc;

use ecsrunner_core::decide::record::{Recorded, passed_on, record};
use ecsrunner_core::id::{DeliveryId, Epoch};
use ecsrunner_core::records::change::{Change, Records};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::Runner;
use ecsrunner_core::records::warm::WarmTask;
use ecsrunner_core::wire::event::{Event, JobAction, Keys};
use tracing::info;

use crate::metrics::Metric;
use crate::ports::Clock;
use crate::ports::store::{BootPut, Store, StoreError, Transaction};
use crate::{Engine, Ruleset, World};

/// The most records in one transaction. DynamoDB takes 100 items, and the lease is one of them.
pub(crate) const BATCH: usize = 90;
/// How often an event is decided again after a conflict.
const EVENT_TRIES: u32 = 16;
/// How often a runner's next record is decided again after a conflict with an event.
const RUNNER_TRIES: u32 = 8;

/// A boot item, and changes that are written with it or not at all.
pub(crate) type HandOver<'a> = (BootPut<'a>, &'a [Change]);

/// The result of writing a runner's next record.
#[expect(clippy::large_enum_variant, reason = "short-lived, and nearly always the large one")]
pub(crate) enum Written {
    /// The current record.
    At(Runner),
    /// Another dispatcher has claimed the runner, or it is gone.
    Away,
}

impl<W: World> Engine<W> {
    /// Commits a transaction: all of it or nothing.
    pub(crate) async fn commit(&self, transaction: Transaction<'_>) -> Result<(), StoreError> {
        let (changes, rules) = (transaction.changes, self.rules());
        self.ports.store.commit(Transaction { budgets: &rules.settings.budgets, ..transaction }).await?;
        self.committed(changes);
        Ok(())
    }

    /// Commits changes in batches while the lease is held, and applies each
    /// batch to `open` once it is written.
    pub(crate) async fn commit_batches(
        &self,
        epoch: Epoch,
        changes: &[Change],
        open: &mut Open,
    ) -> Result<(), StoreError> {
        for batch in changes.chunks(BATCH) {
            self.commit(Transaction::fenced(batch, epoch)).await?;
            batch.iter().for_each(|change| open.apply(change));
        }
        Ok(())
    }

    /// Commits changes of different records while the lease is held. A record that an event or an effect has changed does not
    /// hold back the others: then the result is false.
    pub(crate) async fn commit_each(
        &self,
        epoch: Epoch,
        changes: &[Change],
        open: &mut Open,
    ) -> Result<bool, StoreError> {
        let mut all = true;
        for batch in changes.chunks(BATCH) {
            match self.commit_batches(epoch, batch, open).await {
                Ok(()) => {}
                Err(StoreError::Conflict) => {
                    for change in batch {
                        match self.commit_batches(epoch, std::slice::from_ref(change), open).await {
                            Err(StoreError::Conflict) => all = false,
                            other => other?,
                        }
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Commits a runner's next record together with `also`. `next` makes it from
    /// the current record, with an optional hand-over, or returns `None` if
    /// there is nothing to write.
    pub(crate) async fn commit_runner<'a>(
        &self,
        runner: &Runner,
        also: &[Change],
        next: impl Fn(&Runner) -> Option<(Runner, Option<HandOver<'a>>)>,
    ) -> Result<Written, StoreError> {
        let mut current = runner.clone();
        for _ in 0..RUNNER_TRIES {
            let Some((changed, handed)) = next(&current) else { return Ok(Written::At(current)) };
            let (boot, with_boot) = handed.unzip();
            let changes = [&[Change::Runner(changed.clone())], also, with_boot.unwrap_or_default()].concat();
            match self.commit(Transaction { boot, ..Transaction::of(&changes) }).await {
                Ok(()) => return Ok(Written::At(changed)),
                Err(StoreError::Conflict) => match self.reload(&current).await? {
                    Some(runner) => current = runner,
                    None => return Ok(Written::Away),
                },
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict)
    }

    /// Commits a warm task's next record together with `also`, as [`Self::commit_runner`] does. `None` if another dispatcher
    /// has claimed the task, or it is gone.
    pub(crate) async fn commit_warm(
        &self,
        warm: &WarmTask,
        also: &[Change],
        next: impl Fn(&WarmTask) -> Option<WarmTask>,
    ) -> Result<Option<WarmTask>, StoreError> {
        let mut current = warm.clone();
        for _ in 0..RUNNER_TRIES {
            let Some(changed) = next(&current) else { return Ok(Some(current)) };
            let changes = [&[Change::Warm(changed.clone())], also].concat();
            match self.commit(Transaction::of(&changes)).await {
                Ok(()) => return Ok(Some(changed)),
                Err(StoreError::Conflict) => {
                    let keys = Keys::of_task(&warm.name().clone().into());
                    let found = self.ports.store.load(&keys).await?.warm;
                    match found.filter(|found| found.epoch == warm.epoch) {
                        Some(found) => current = found,
                        None => return Ok(None),
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict)
    }

    /// Returns the current record, unless another dispatcher has claimed it.
    pub(crate) async fn reload(&self, runner: &Runner) -> Result<Option<Runner>, StoreError> {
        let keys = Keys::of_runner(runner.name());
        let records = self.ports.store.load(&keys).await?;
        Ok(records.runner.filter(|current| current.epoch == runner.epoch))
    }

    /// Measures and publishes committed changes, and logs which runners are gone.
    pub(crate) fn committed(&self, changes: &[Change]) {
        self.metrics.committed(changes, self.ports.clock.now());
        for _ in 0..self.pending.committed(changes) {
            self.metrics.count(Metric::TracesDropped);
        }
        if let Some(watched) = self.changes.get().filter(|watched| watched.receiver_count() > 0) {
            for change in changes {
                // Sending fails if the last watcher has just left, which is fine.
                let _watchers = watched.send(Arc::new(change.clone()));
            }
        }
        for change in changes {
            match change {
                Change::RunnerGone(runner) => {
                    let (reason, cost_usd) = (runner.kind.as_str(), runner.cost_usd);
                    info!(runner = %runner.facts.name, reason, cost_usd, "runner is gone");
                }
                Change::WarmGone(warm) => {
                    let (reason, cost_usd) = (warm.kind.as_str(), warm.cost_usd);
                    info!(task = %warm.facts.name, reason, cost_usd, "warm task is gone");
                }
                _ => {}
            }
        }
    }
}

/// Why an event was not recorded.
#[derive(Debug)]
pub struct Unrecorded {
    /// The store's last error.
    pub error: StoreError,
    /// Whether the decision can alter the plan. It may have been written despite the error.
    pub replan: bool,
}

/// Decides what an event means and commits that; retries after a conflict. The
/// caller kicks the dispatcher if the result says `replan`.
///
/// # Errors
///
/// The store is unavailable, or every attempt met a conflict.
pub async fn commit_event(
    store: &impl Store,
    event: &Event,
    delivery: Option<&DeliveryId>,
    rules: &Ruleset,
) -> Result<Recorded, Unrecorded> {
    let mut tries = 0;
    // A write whose answer was lost looks like a conflict, and then like nothing
    // new. Its changes hold, so its `replan` must be kept.
    let mut replan = false;
    loop {
        // A queued job is usually new. If it is not, the write fails with a conflict.
        let mut event = Cow::Borrowed(event);
        let mut records = Records::default();
        if tries > 0 || !is_first_word(&event) {
            records = store.load(&event.keys()).await.map_err(|error| Unrecorded { error, replan })?;
        }
        if let Some(of_runner) = passed_on(&event, &records) {
            records = store.load(&of_runner.keys()).await.map_err(|error| Unrecorded { error, replan })?;
            event = Cow::Owned(of_runner);
        }
        let recorded = record(&event, &records, rules.rules());
        replan |= recorded.replan;
        if recorded.changes.is_empty() && delivery.is_none() {
            return Ok(Recorded { replan, ..recorded });
        }
        // Record a delivery even if it changes nothing, so that the sweep does not fetch it.
        let transaction =
            Transaction { delivery, budgets: &rules.settings.budgets, ..Transaction::of(&recorded.changes) };
        match store.commit(transaction).await {
            Ok(()) => return Ok(Recorded { replan, ..recorded }),
            Err(StoreError::Conflict) if tries < EVENT_TRIES && !recorded.changes.is_empty() => tries += 1,
            Err(error) => return Err(Unrecorded { error, replan }),
        }
    }
}

fn is_first_word(event: &Event) -> bool {
    matches!(event, Event::Job(event) if event.action == JobAction::Queued)
}
