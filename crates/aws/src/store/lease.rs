//! The dispatcher's lease, and the kicks.

use std::time::Duration;

use aws_sdk_dynamodb::types::{ConditionCheck, ReturnValue, TransactWriteItem, Update};
use ecsrunner_core::id::Epoch;
use ecsrunner_engine::ports::store::{Lease, StoreError};
use jiff::Timestamp;

use super::DynamoStore;
use super::item::{DISPATCH, get_number, key, number};
use super::wire::{failed, invalid, lost_condition, transaction_failed};

pub(super) const LEASE: &str = "lease";
const KICKS: &str = "kicks";

impl Lease for DynamoStore {
    async fn kick(&self) -> Result<(), StoreError> {
        self.client
            .update_item()
            .table_name(&self.tables.state)
            .set_key(Some(key(DISPATCH, KICKS)))
            .update_expression("ADD n :one")
            .expression_attribute_values(":one", number(1))
            .send()
            .await
            .map_err(|error| failed("kick the dispatcher", error))?;
        Ok(())
    }

    async fn kicks(&self) -> Result<u64, StoreError> {
        let found = self
            .client
            .get_item()
            .table_name(&self.tables.state)
            .set_key(Some(key(DISPATCH, KICKS)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failed("count the kicks", error))?;
        Ok(found.item.and_then(|item| get_number(&item, "n")).unwrap_or(0))
    }

    async fn take(&self, now: Timestamp, term: Duration, force: bool) -> Result<Option<Epoch>, StoreError> {
        let condition = "attribute_not_exists(held_until) OR held_until < :now OR :force = :yes";
        let taken = self
            .client
            .update_item()
            .table_name(&self.tables.state)
            .set_key(Some(key(DISPATCH, LEASE)))
            .update_expression("SET held_until = :until ADD epoch :one")
            .condition_expression(condition)
            .expression_attribute_values(":until", number((now + term).as_millisecond()))
            .expression_attribute_values(":now", number(now.as_millisecond()))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":yes", number(1))
            .expression_attribute_values(":force", number(u8::from(force)))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match taken {
            Ok(taken) => {
                let epoch = taken.attributes.as_ref().and_then(|item| get_number(item, "epoch"));
                Ok(Some(Epoch::new(epoch.ok_or_else(|| invalid("take the lease", "it has no epoch"))?)))
            }
            Err(error) if lost_condition(&error) => Ok(None),
            Err(error) => Err(failed("take the lease", error)),
        }
    }

    async fn renew(&self, epoch: Epoch, now: Timestamp, term: Duration) -> Result<bool, StoreError> {
        let renewed = self
            .client
            .update_item()
            .table_name(&self.tables.state)
            .set_key(Some(key(DISPATCH, LEASE)))
            .update_expression("SET held_until = :until")
            .condition_expression("epoch = :epoch")
            .expression_attribute_values(":until", number((now + term).as_millisecond()))
            .expression_attribute_values(":epoch", number(epoch))
            .send()
            .await;
        match renewed {
            Ok(_) => Ok(true),
            Err(error) if lost_condition(&error) => Ok(false),
            Err(error) => Err(failed("renew the lease", error)),
        }
    }

    async fn release(&self, epoch: Epoch, kicks: u64) -> Result<bool, StoreError> {
        let lease = Update::builder()
            .table_name(&self.tables.state)
            .set_key(Some(key(DISPATCH, LEASE)))
            .update_expression("SET held_until = :free")
            .condition_expression("epoch = :epoch")
            .expression_attribute_values(":free", number(0))
            .expression_attribute_values(":epoch", number(epoch))
            .build()
            .map_err(|error| invalid("release the lease", error))?;
        let unkicked = ConditionCheck::builder()
            .table_name(&self.tables.state)
            .set_key(Some(key(DISPATCH, KICKS)))
            .condition_expression(if kicks == 0 { "attribute_not_exists(n)" } else { "n = :kicks" })
            .set_expression_attribute_values(
                (kicks > 0).then(|| std::collections::HashMap::from([(":kicks".to_owned(), number(kicks))])),
            )
            .build()
            .map_err(|error| invalid("release the lease", error))?;
        let released = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().update(lease).build())
            .transact_items(TransactWriteItem::builder().condition_check(unkicked).build())
            .send()
            .await;
        match released.map_err(|error| transaction_failed("release the lease", error, Some(0))) {
            Ok(_) => Ok(true),
            // Kicked, or somebody else's term: either way another look is due.
            Err(StoreError::Conflict | StoreError::Fenced) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
