//! The dispatcher's lease, and the kicks.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{ConditionCheck, ReturnValue, TransactWriteItem, Update};
use ecsrunner_core::clock::SKEW;
use ecsrunner_core::id::Epoch;
use ecsrunner_engine::ports::store::{Lease, LeaseRequest, Leases, StoreError};
use jiff::Timestamp;

use super::DynamoStore;
use super::item::{DISPATCH, Item, get_number, get_time, key, number, text};
use super::wire::{failed, invalid, lost_condition, transaction_failed};

pub(super) const LEASE: &str = "lease";
const KICKS: &str = "kicks";
/// When a posted kick arrives, in milliseconds since the epoch.
const NEXT_KICK_AT: &str = "next_kick_at";
const TAKE: &str = "take the lease";
const RELEASE: &str = "release the lease";

/// Free, expired, held for longer than any lease because the clock was set back since, or already ours, so that a lost
/// answer is recovered by a retry.
const TO_BE_HAD: &str =
    "attribute_not_exists(held_until) OR held_until < :now OR held_until > :farthest OR #owner = :me";

impl Leases for DynamoStore {
    async fn kick(&self) -> Result<u64, StoreError> {
        const OPERATION: &str = "kick the dispatcher";
        let kicked = self
            .client
            .update_item()
            .table_name(&self.tables.state)
            .set_key(Some(key(DISPATCH, KICKS)))
            .update_expression("ADD n :one")
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await
            .map_err(|error| failed(OPERATION, error))?;
        let count = kicked.attributes.as_ref().and_then(|item| get_number(item, "n"));
        count.ok_or_else(|| invalid(OPERATION, "the answer has no count"))
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

    async fn take(
        &self,
        request: &LeaseRequest,
        now: Timestamp,
        length: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.tables.state)
            .set_key(Some(key(DISPATCH, LEASE)))
            .update_expression("SET held_until = :until, #owner = :me ADD epoch :one")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":until", number((now + length).as_millisecond()))
            .expression_attribute_values(":me", text(format!("{:032x}", request.owner)))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew);
        if !request.force {
            update = update
                .condition_expression(TO_BE_HAD)
                .expression_attribute_values(":now", number(now.as_millisecond()))
                .expression_attribute_values(":farthest", number((now + length + SKEW).as_millisecond()));
        }
        match update.send().await {
            Ok(taken) => lease(&taken.attributes.unwrap_or_default()).map(Some),
            Err(error) if lost_condition(&error) => Ok(None),
            Err(error) => Err(failed(TAKE, error)),
        }
    }

    async fn renew(&self, epoch: Epoch, now: Timestamp, length: Duration) -> Result<bool, StoreError> {
        let renewed = self
            .client
            .update_item()
            .table_name(&self.tables.state)
            .set_key(Some(key(DISPATCH, LEASE)))
            .update_expression("SET held_until = :until")
            .condition_expression("epoch = :epoch")
            .expression_attribute_values(":until", number((now + length).as_millisecond()))
            .expression_attribute_values(":epoch", number(epoch))
            .send()
            .await;
        match renewed {
            Ok(_) => Ok(true),
            Err(error) if lost_condition(&error) => Ok(false),
            Err(error) => Err(failed("renew the lease", error)),
        }
    }

    async fn release(
        &self,
        epoch: Epoch,
        kicks: Option<u64>,
        next_kick_at: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        // A transaction even for one write: its token makes the SDK's retry after a lost answer idempotent.
        let mut writes = vec![self.give_up(epoch, next_kick_at)?];
        if let Some(kicks) = kicks {
            writes.push(self.check_kicks(kicks)?);
        }
        let released = self.client.transact_write_items().set_transact_items(Some(writes)).send().await;
        match released.map_err(|error| transaction_failed(RELEASE, error, Some(0))) {
            Ok(_) => Ok(true),
            // A kick has arrived since, so another round is due.
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl DynamoStore {
    fn give_up(
        &self,
        epoch: Epoch,
        next_kick_at: Option<Timestamp>,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut lease = Update::builder()
            .table_name(&self.tables.state)
            .set_key(Some(key(DISPATCH, LEASE)))
            .condition_expression("epoch = :epoch")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":free", number(0))
            .expression_attribute_values(":epoch", number(epoch));
        lease = match next_kick_at {
            None => lease.update_expression("SET held_until = :free REMOVE #owner"),
            Some(at) => lease
                .update_expression("SET held_until = :free, next_kick_at = :kick REMOVE #owner")
                .expression_attribute_values(":kick", number(at.as_millisecond())),
        };
        let lease = lease.build().map_err(|error| invalid(RELEASE, error))?;
        Ok(TransactWriteItem::builder().update(lease).build())
    }

    fn check_kicks(&self, kicks: u64) -> Result<TransactWriteItem, StoreError> {
        let unkicked = ConditionCheck::builder()
            .table_name(&self.tables.state)
            .set_key(Some(key(DISPATCH, KICKS)))
            .condition_expression(if kicks == 0 { "attribute_not_exists(n)" } else { "n = :kicks" })
            .set_expression_attribute_values(
                (kicks > 0).then(|| HashMap::from([(":kicks".to_owned(), number(kicks))])),
            )
            .build()
            .map_err(|error| invalid(RELEASE, error))?;
        Ok(TransactWriteItem::builder().condition_check(unkicked).build())
    }
}

fn lease(lease: &Item) -> Result<Lease, StoreError> {
    let epoch = get_number(lease, "epoch").ok_or_else(|| invalid(TAKE, "the lease has no epoch"))?;
    Ok(Lease { epoch: Epoch::new(epoch), next_kick_at: get_time(lease, NEXT_KICK_AT) })
}
