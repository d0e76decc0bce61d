//! An event is recorded, whoever else writes at the same time.

use ecsrunner_core::event::Event;
use ecsrunner_core::record::{Recorded, record};
use tracing::info;

use crate::ports::Clock;
use crate::ports::store::{Lease, Store, StoreError, Transaction};
use crate::{Engine, World};

/// How often an event is decided anew because another write came first.
const TRIES: u32 = 16;

impl<W: World> Engine<W> {
    /// Records an event, and kicks the dispatcher if that can alter the plan.
    ///
    /// # Errors
    ///
    /// The store is out of reach, or other writes came first all the time.
    pub async fn record(&self, event: &Event) -> Result<Recorded, StoreError> {
        let keys = event.keys();
        let mut tries = 0;
        // A write whose answer was lost reads as a conflict, and then as nothing
        // new: what it wanted holds all the same.
        let mut replan = false;
        let recorded = loop {
            let records = self.ports.store.load(&keys).await?;
            let recorded = record(event, &records, self.rules.rules());
            replan |= recorded.replan;
            if recorded.changes.is_empty() {
                break recorded;
            }
            match self.ports.store.commit(Transaction::of(&recorded.changes)).await {
                Ok(()) => break recorded,
                Err(StoreError::Conflict) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        };
        if let Some(job) = keys.job {
            let reason = recorded.outcome.reason().code().as_str();
            info!(job_id = job.get(), outcome = recorded.outcome.as_str(), reason, "recorded job event");
        }
        self.memory.learn(&recorded.changes, self.ports.clock.now());
        if replan {
            self.kick().await?;
        }
        Ok(recorded)
    }

    /// Has the plan made anew.
    ///
    /// # Errors
    ///
    /// The store is out of reach.
    pub async fn kick(&self) -> Result<(), StoreError> {
        let mut tries = 0;
        loop {
            match self.ports.store.kick().await {
                Ok(()) => break,
                Err(StoreError::Conflict) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
        self.kicked.notify_one();
        Ok(())
    }
}
