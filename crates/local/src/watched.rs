//! A store that tells each record's change to whoever watches: the page's
//! events. What is told was committed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ecsrunner_aws::store::DynamoStore;
use ecsrunner_core::decide::sweep::SweepProgress;
use ecsrunner_core::id::{DeliveryId, Epoch, JobId, TaskId};
use ecsrunner_core::records::change::{Change, Records};
use ecsrunner_core::records::job::{EndedJob, JobRecord};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::EndedRunner;
use ecsrunner_core::rules::pace::{Bucket, Level};
use ecsrunner_core::wire::boot::TaskRole;
use ecsrunner_core::wire::event::Keys;
use ecsrunner_engine::ports::store::{
    History, Lease, LeaseRequest, Leases, LevelSet, Levels, Listed, Page, Progress, Revocation, Store,
    StoreError, Transaction, Unreadable,
};
use jiff::Timestamp;
use tokio::sync::broadcast;

/// Changes that a slow watcher may fall behind before it has to read anew.
const BACKLOG: usize = 1024;

/// The store, and who watches it.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    store: DynamoStore,
    changes: broadcast::Sender<Arc<Change>>,
}

impl Watched {
    pub(crate) fn new(store: DynamoStore) -> Self {
        Self { store, changes: broadcast::Sender::new(BACKLOG) }
    }

    pub(crate) fn watch(&self) -> broadcast::Receiver<Arc<Change>> {
        self.changes.subscribe()
    }
}

impl Store for Watched {
    async fn load(&self, keys: &Keys) -> Result<Records, StoreError> {
        self.store.load(keys).await
    }

    async fn commit(&self, transaction: Transaction<'_>) -> Result<(), StoreError> {
        let changes = transaction.changes;
        self.store.commit(transaction).await?;
        if self.changes.receiver_count() > 0 {
            for change in changes {
                // Nobody watching any more is no fault.
                let _watchers = self.changes.send(Arc::new(change.clone()));
            }
        }
        Ok(())
    }

    async fn open(&self) -> Result<Open, StoreError> {
        self.store.open().await
    }

    async fn revoke(&self, task: &TaskId, role: TaskRole) -> Result<Revocation, StoreError> {
        self.store.revoke(task, role).await
    }

    async fn set_aside(&self, what: Unreadable<'_>) -> Result<(), StoreError> {
        self.store.set_aside(what).await
    }
}

impl Leases for Watched {
    async fn kick(&self) -> Result<u64, StoreError> {
        self.store.kick().await
    }

    async fn kicks(&self) -> Result<u64, StoreError> {
        self.store.kicks().await
    }

    async fn take(
        &self,
        request: &LeaseRequest,
        now: Timestamp,
        length: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        self.store.take(request, now, length).await
    }

    async fn renew(&self, epoch: Epoch, now: Timestamp, length: Duration) -> Result<bool, StoreError> {
        self.store.renew(epoch, now, length).await
    }

    async fn release(
        &self,
        epoch: Epoch,
        kicks: Option<u64>,
        next_kick_at: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        self.store.release(epoch, kicks, next_kick_at).await
    }
}

impl Levels for Watched {
    async fn set_level(
        &self,
        bucket: &Bucket,
        before: Option<Level>,
        after: Level,
    ) -> Result<LevelSet, StoreError> {
        self.store.set_level(bucket, before, after).await
    }
}

impl Progress for Watched {
    async fn progress(&self) -> Result<SweepProgress, StoreError> {
        self.store.progress().await
    }

    async fn keep_progress(&self, progress: &SweepProgress) -> Result<(), StoreError> {
        self.store.keep_progress(progress).await
    }

    async fn recorded_deliveries(&self, ids: &[DeliveryId]) -> Result<HashSet<DeliveryId>, StoreError> {
        self.store.recorded_deliveries(ids).await
    }
}

impl History for Watched {
    async fn jobs(&self, page: &Page) -> Result<Listed<EndedJob>, StoreError> {
        self.store.jobs(page).await
    }

    async fn runners(&self, page: &Page) -> Result<Listed<EndedRunner>, StoreError> {
        self.store.runners(page).await
    }

    async fn job(&self, id: JobId) -> Result<Option<JobRecord>, StoreError> {
        History::job(&self.store, id).await
    }
}
