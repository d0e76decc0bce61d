//! Records events, and kicks the dispatcher if an event can alter the plan.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ecsrunner_core::decide::record::{Recorded, reason_for_the_job};
use ecsrunner_core::id::DeliveryId;
use ecsrunner_core::wire::event::{Event, JobReason};
use tracing::{info, warn};

use crate::commit::commit_event;
use crate::ports::queue::Queue;
use crate::ports::store::{Leases, StoreError};
use crate::{Engine, World, chain};

/// How often a kick is retried after a conflict with another kick.
const TRIES: u32 = 16;
/// The delay of a posted kick that replaces one which could not be counted.
const KICK_LATER: Duration = Duration::from_secs(1);

impl<W: World> Engine<W> {
    /// Records an event, and kicks the dispatcher if that can alter the plan.
    ///
    /// # Errors
    ///
    /// The store is unavailable, or every attempt met a conflict.
    pub async fn record(&self, event: &Event) -> Result<Recorded, StoreError> {
        self.record_delivery(event, None).await
    }

    /// As [`Self::record`], for an event from a webhook delivery.
    ///
    /// # Errors
    ///
    /// As for [`Self::record`].
    pub async fn record_delivery(
        &self,
        event: &Event,
        delivery: Option<&DeliveryId>,
    ) -> Result<Recorded, StoreError> {
        let recorded = self.record_unkicked(event, delivery).await?;
        if recorded.replan {
            self.kick_or_later().await?;
        }
        Ok(recorded)
    }

    /// As [`Self::record_delivery`], but leaves the kick to the caller.
    pub(crate) async fn record_unkicked(
        &self,
        event: &Event,
        delivery: Option<&DeliveryId>,
    ) -> Result<Recorded, StoreError> {
        let keys = event.keys();
        let rules = self.rules();
        let recorded = match commit_event(&self.ports.store, event, delivery, &rules).await {
            Ok(recorded) => recorded,
            Err(fault) => {
                // The write may have succeeded. Then the event changes nothing when
                // it is recorded again, and would not kick.
                if fault.replan && matches!(fault.error, StoreError::Unavailable { .. }) {
                    self.kick_later().await;
                }
                return Err(fault.error);
            }
        };
        self.committed(&recorded.changes);
        if matches!(event, Event::Task(_))
            && let Some(told) = reason_for_the_job(&recorded.changes)
        {
            self.record_reason(told).await;
        }
        if let Some(job) = keys.job {
            let facts = event.job_facts();
            info!(
                delivery = delivery.map(DeliveryId::as_str),
                repository = facts.map(|facts| facts.repository.as_str()),
                run_id = facts.map(|facts| facts.run.get()),
                job_id = job.get(),
                outcome = recorded.outcome.as_str(),
                reason = recorded.outcome.reason().code().as_str(),
                "recorded job event"
            );
        }
        Ok(recorded)
    }

    /// Kicks. If the kick cannot be counted, it is posted for later.
    pub(crate) async fn kick_or_later(&self) -> Result<(), StoreError> {
        if let Err(error) = self.kick().await {
            self.kick_later().await;
            return Err(error);
        }
        Ok(())
    }

    /// Adds the reason of a job's end to its record. The runner's record holds the
    /// same reason, so nothing is lost if the store is unavailable.
    async fn record_reason(&self, told: JobReason) {
        let job = told.job;
        match commit_event(&self.ports.store, &Event::JobReason(told), None, &self.rules()).await {
            Ok(recorded) => self.committed(&recorded.changes),
            Err(fault) => {
                warn!(job_id = job.get(), error = %chain(&fault.error), "could not record why a job ended");
            }
        }
    }

    /// Posts a kick in place of one that could not be counted.
    async fn kick_later(&self) {
        if let Err(error) = self.ports.queue.post_kick(KICK_LATER).await {
            warn!(error = %chain(&error), "could not post a kick; the next sweep replaces it");
        }
    }

    /// Requests another round of the dispatcher.
    ///
    /// # Errors
    ///
    /// The store is unavailable.
    pub async fn kick(&self) -> Result<(), StoreError> {
        let mut tries = 0;
        let kicks = loop {
            match self.ports.store.kick().await {
                Ok(kicks) => break kicks,
                Err(StoreError::Conflict) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        };
        self.kicks.fetch_max(kicks, Ordering::Relaxed);
        self.kicked.notify_one();
        Ok(())
    }

    /// Takes the kick count of this process's last kick; `None` if there was none since the last call.
    pub(crate) fn counted_kicks(&self) -> Option<u64> {
        Some(self.kicks.swap(0, Ordering::Relaxed)).filter(|kicks| *kicks > 0)
    }
}
