//! A sweep's progress, and the deliveries that were recorded.

use ecsrunner_engine::chain;
use std::collections::{BTreeSet, HashSet};

use ecsrunner_core::decide::sweep::SweepProgress;
use ecsrunner_core::id::DeliveryId;
use ecsrunner_engine::ports::store::{Progress, StoreError};

use super::DynamoStore;
use super::item::{DELIVERY, DISPATCH, Item, PK, get_text, key, seen_delivery};
use super::records::{stored, unversioned_item};
use super::stored::StoredProgress;
use super::wire::failed;

const SWEEP: &str = "sweep";

impl Progress for DynamoStore {
    async fn progress(&self) -> Result<SweepProgress, StoreError> {
        let found = self
            .client
            .get_item()
            .table_name(&self.tables.state)
            .set_key(Some(key(DISPATCH, SWEEP)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failed("read the sweep's progress", error))?;
        Ok(found.item.as_ref().map(read_progress).unwrap_or_default())
    }

    async fn keep_progress(&self, progress: &SweepProgress) -> Result<(), StoreError> {
        let item = unversioned_item(key(DISPATCH, SWEEP), &StoredProgress::of(progress))?;
        self.client
            .put_item()
            .table_name(&self.tables.state)
            .set_item(Some(item))
            .send()
            .await
            .map_err(|error| failed("keep the sweep's progress", error))?;
        Ok(())
    }

    async fn recorded_deliveries(&self, ids: &[DeliveryId]) -> Result<HashSet<DeliveryId>, StoreError> {
        // A request may name each key only once.
        let ids: BTreeSet<&DeliveryId> = ids.iter().collect();
        let keys = ids.into_iter().map(seen_delivery).collect();
        let items = self.get_all("look for deliveries", keys).await?;
        Ok(items.iter().filter_map(delivery_of).collect())
    }
}

/// Ignores progress that cannot be read, since a sweep can start over at any time.
fn read_progress(item: &Item) -> SweepProgress {
    let read = stored::<StoredProgress>(item).map(StoredProgress::read);
    read.unwrap_or_else(|error| {
        tracing::warn!(error = %chain(&error), "the sweep's progress cannot be read: the sweep starts over");
        SweepProgress::default()
    })
}

fn delivery_of(item: &Item) -> Option<DeliveryId> {
    DeliveryId::parse(get_text(item, PK)?.strip_prefix(DELIVERY)?).ok()
}
