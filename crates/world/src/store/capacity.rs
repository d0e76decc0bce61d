//! The write capacity of the table in units a second, and throttling.

use std::time::Duration;

use ecsrunner_core::id::Version;
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::job::JobState;
use ecsrunner_engine::ports::store::{StoreError, Transaction};
use jiff::Timestamp;

use crate::outside::Outside;

const OPERATION: &str = "write records";
/// The time for which an idle partition accumulates capacity.
const BURST: Duration = Duration::from_secs(1);
const MICROS_PER_SEC: u64 = 1_000_000;

/// The write capacity of the partition with the open records.
#[derive(Debug, Default)]
pub(super) struct WriteCapacity {
    /// When the capacity of all writes so far is replenished.
    free_at: Option<Timestamp>,
}

impl WriteCapacity {
    /// Takes units, and returns how long the write has to wait for them.
    fn take(&mut self, units: u64, units_per_sec: u64, now: Timestamp) -> Duration {
        let from = self.free_at.map_or(now, |free_at| free_at.max(now));
        let free_at = from + Duration::from_micros(units * MICROS_PER_SEC / units_per_sec);
        self.free_at = Some(free_at);
        let owed = Duration::try_from(free_at.duration_since(now)).unwrap_or_default();
        owed.saturating_sub(BURST)
    }
}

impl Outside {
    /// Returns how long a write waits for capacity, or an error if it is throttled.
    pub(super) fn admit_write(
        &mut self,
        transaction: &Transaction<'_>,
        now: Timestamp,
    ) -> Result<Duration, StoreError> {
        let per_sec = self.fault_plan.write_units_per_sec;
        let wait = match per_sec {
            0 => Duration::ZERO,
            _ => self.tables.writes.take(units(transaction), per_sec, now),
        };
        let throttled = self.fault_plan.wait_writes_throttled;
        // Drawn only if the fault is on, so that the other choices of a seed do not change.
        if throttled > 0.0 && is_of_waits_only(transaction) && self.random.happens(throttled) {
            return Err(throttled_error());
        }
        let throttled = self.fault_plan.reservations_throttled;
        if throttled > 0.0 && reserves(transaction) && self.random.happens(throttled) {
            return Err(throttled_error());
        }
        Ok(wait)
    }
}

/// Returns the units for records of jobs, runners and warm tasks: 1 for a single item, 2 for each item of a transaction.
fn units(transaction: &Transaction<'_>) -> u64 {
    let is_counted = |change: &&Change| {
        matches!(
            change,
            Change::Job(_)
                | Change::JobEnded(_)
                | Change::Runner(_)
                | Change::RunnerGone(_)
                | Change::RunnerAmended(_)
                | Change::Warm(_)
                | Change::WarmGone(_)
        )
    };
    let items = u64::try_from(transaction.changes.iter().filter(is_counted).count()).unwrap_or(u64::MAX);
    let is_alone =
        transaction.fence.is_none() && transaction.boot.is_none() && transaction.delivery.is_none();
    if items == 1 && is_alone { 1 } else { 2 * items }
}

fn throttled_error() -> StoreError {
    StoreError::Unavailable { operation: OPERATION, source: "ThrottlingException".into() }
}

/// Whether a transaction reserves a runner.
fn reserves(transaction: &Transaction<'_>) -> bool {
    let is_new =
        |change: &Change| matches!(change, Change::Runner(runner) if runner.version == Version::FIRST);
    transaction.changes.iter().any(is_new)
}

/// Whether a transaction of the dispatcher writes only the reasons of waiting jobs.
fn is_of_waits_only(transaction: &Transaction<'_>) -> bool {
    let is_wait =
        |change: &Change| matches!(change, Change::Job(job) if matches!(job.state, JobState::Queued { .. }));
    transaction.fence.is_some() && !transaction.changes.is_empty() && transaction.changes.iter().all(is_wait)
}
