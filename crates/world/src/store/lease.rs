//! The lease and the kicks.

use std::time::Duration;

use ecsrunner_core::clock::SKEW;
use ecsrunner_core::id::Epoch;
use ecsrunner_engine::ports::store::{Lease, LeaseRequest, Leases, StoreError};
use jiff::Timestamp;

use super::{MemoryStore, Tables};

#[derive(Debug, Default)]
pub(super) struct LeaseItem {
    pub(super) epoch: u64,
    owner: Option<u128>,
    held_until: Option<Timestamp>,
    next_kick_at: Option<Timestamp>,
}

impl Tables {
    pub(crate) fn kick(&mut self) -> u64 {
        self.kicks += 1;
        self.kicks
    }

    /// Lets others take the lease, as if it had expired.
    pub(crate) fn free_lease(&mut self) {
        self.lease.held_until = None;
    }

    /// Gives the lease to another dispatcher, as if it had expired, and kicks.
    pub fn lose_lease(&mut self, now: Timestamp) {
        let request = LeaseRequest { owner: 0, force: true };
        self.take_lease(&request, now, Duration::from_secs(60));
        self.kick();
    }

    pub(crate) fn take_lease(
        &mut self,
        request: &LeaseRequest,
        now: Timestamp,
        length: Duration,
    ) -> Option<Lease> {
        let lease = &mut self.lease;
        let is_over = |until: Timestamp| until < now || until > now + length + SKEW;
        let free = lease.held_until.is_none_or(is_over) || lease.owner == Some(request.owner);
        if !free && !request.force {
            return None;
        }
        lease.epoch += 1;
        lease.owner = Some(request.owner);
        lease.held_until = Some(now + length);
        Some(Lease { epoch: Epoch::new(lease.epoch), next_kick_at: lease.next_kick_at })
    }

    pub(crate) fn renew_lease(&mut self, epoch: Epoch, now: Timestamp, length: Duration) -> bool {
        let held = self.lease.epoch == epoch.get();
        if held {
            self.lease.held_until = Some(now + length);
        }
        held
    }

    pub(crate) fn release_lease(
        &mut self,
        epoch: Epoch,
        kicks: Option<u64>,
        next_kick_at: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        if self.lease.epoch != epoch.get() {
            return Err(StoreError::Fenced);
        }
        if kicks.is_some_and(|kicks| kicks != self.kicks) {
            return Ok(false);
        }
        self.lease.held_until = None;
        self.lease.owner = None;
        self.lease.next_kick_at = next_kick_at.or(self.lease.next_kick_at);
        Ok(true)
    }
}

impl Leases for MemoryStore {
    async fn kick(&self) -> Result<u64, StoreError> {
        Ok(self.0.lock().tables.kick())
    }

    async fn kicks(&self) -> Result<u64, StoreError> {
        Ok(self.0.lock().tables.kicks)
    }

    async fn take(
        &self,
        request: &LeaseRequest,
        now: Timestamp,
        length: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        Ok(self.0.lock().tables.take_lease(request, now, length))
    }

    async fn renew(&self, epoch: Epoch, now: Timestamp, length: Duration) -> Result<bool, StoreError> {
        Ok(self.0.lock().tables.renew_lease(epoch, now, length))
    }

    async fn release(
        &self,
        epoch: Epoch,
        kicks: Option<u64>,
        next_kick_at: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let outside = &mut *self.0.lock();
        if outside.fault_plan.release_races > 0 {
            outside.fault_plan.release_races -= 1;
            return Ok(false);
        }
        outside.tables.release_lease(epoch, kicks, next_kick_at)
    }
}
