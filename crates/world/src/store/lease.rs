//! The lease and the kicks.

use std::time::Duration;

use ecsrunner_core::id::Epoch;
use ecsrunner_engine::ports::store::{Lease, LeaseRequest, Leases, StoreError};
use jiff::Timestamp;

use super::MemoryStore;

#[derive(Debug, Default)]
pub(super) struct LeaseItem {
    pub(super) epoch: u64,
    owner: Option<u128>,
    held_until: Option<Timestamp>,
    next_kick_at: Option<Timestamp>,
}

impl Leases for MemoryStore {
    async fn kick(&self) -> Result<u64, StoreError> {
        let kicks = &mut self.0.lock().tables.kicks;
        *kicks += 1;
        Ok(*kicks)
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
        let lease = &mut self.0.lock().tables.lease;
        let free = lease.held_until.is_none_or(|until| until < now) || lease.owner == Some(request.owner);
        if !free && !request.force {
            return Ok(None);
        }
        lease.epoch += 1;
        lease.owner = Some(request.owner);
        lease.held_until = Some(now + length);
        Ok(Some(Lease { epoch: Epoch::new(lease.epoch), next_kick_at: lease.next_kick_at }))
    }

    async fn renew(&self, epoch: Epoch, now: Timestamp, length: Duration) -> Result<bool, StoreError> {
        let lease = &mut self.0.lock().tables.lease;
        let held = lease.epoch == epoch.get();
        if held {
            lease.held_until = Some(now + length);
        }
        Ok(held)
    }

    async fn release(
        &self,
        epoch: Epoch,
        kicks: Option<u64>,
        next_kick_at: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let tables = &mut self.0.lock().tables;
        if tables.lease.epoch != epoch.get() {
            return Err(StoreError::Fenced);
        }
        if kicks.is_some_and(|kicks| kicks != tables.kicks) {
            return Ok(false);
        }
        tables.lease.held_until = None;
        tables.lease.owner = None;
        tables.lease.next_kick_at = next_kick_at.or(tables.lease.next_kick_at);
        Ok(true)
    }
}
