//! What was spent: an item for each UTC day and class, or pattern of repositories, in a partition for each month.
//!
//! The sums are added to in the transaction that moves a task to history. Transactions that write the same item at the
//! same time conflict, so each sum is divided into shards, and a transaction that only lost such a race is repeated.

use ecsrunner_engine::chain;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use ecsrunner_core::id::ClassName;
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::spend::{SpendKey, Spending, Spent, SpentBy};
use ecsrunner_core::rules::budget::{Usd, midnight};
use ecsrunner_core::rules::policy::RepositoryPattern;
use ecsrunner_engine::ports::store::{Spend, StoreError};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::DynamoStore;
use super::item::{EXPIRES_AT, Item, PK, SK, get_number, get_text, key, number, text};
use super::stored::UnreadableError;
use super::wire::{failed, invalid};

/// Into how many items a sum is divided.
pub(super) const SHARDS: u64 = 8;
/// How often a transaction is repeated that only lost a race for a sum.
pub(super) const MAX_RACES: u32 = 6;
/// The longest pause before the first repetition; each further one may take twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Longer than a year, so that months of two years can be compared.
const KEPT_SECS: i64 = 400 * 24 * 3600;
const PREFIX: &str = "spend#";
/// Billionths of a US dollar.
const NANOS: &str = "usd_nanos";
const TASKS: &str = "tasks";
const UNPRICED: &str = "unpriced";
const OPERATION: &str = "add to what was spent";
/// Later than every day of a month in the order of keys.
const AFTER_DAYS: &str = "99";

impl Spend for DynamoStore {
    async fn spent(&self, since: Date, now: Timestamp) -> Result<Spending, StoreError> {
        let mut spending = Spending::default();
        let mut month = since.first_of_month();
        while midnight(month) <= now + SignedDuration::from_hours(24) {
            let from = if month < since { format!("{:02}", since.day()) } else { String::from("0") };
            self.read_month(month, &from, &mut spending).await?;
            let Ok(next) = month.last_of_month().tomorrow() else { break };
            month = next;
        }
        Ok(spending)
    }
}

impl DynamoStore {
    async fn read_month(&self, month: Date, from: &str, spending: &mut Spending) -> Result<(), StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.tables.state)
            .consistent_read(true)
            .key_condition_expression("pk = :month AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":month", text(partition(month)))
            .expression_attribute_values(":from", text(from))
            .expression_attribute_values(":to", text(AFTER_DAYS));
        let mut items = query.into_paginator().items().send();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| failed("read what was spent", error))?;
            match read(&item) {
                Ok((key, spent)) => spending.add(key, spent),
                Err(error) => {
                    let record = get_text(&item, SK).unwrap_or_default();
                    tracing::error!(record, error = %chain(&error), "a sum of what was spent cannot be read and is left out");
                }
            }
        }
        Ok(())
    }

    /// Returns the writes that add to sums.
    pub(super) fn additions(
        &self,
        spending: &Spending,
        shard: u64,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        spending.0.iter().map(|(key, spent)| self.addition(key, *spent, shard)).collect()
    }

    fn addition(&self, key: &SpendKey, spent: Spent, shard: u64) -> Result<TransactWriteItem, StoreError> {
        let expires_at = midnight(key.day).as_second() + KEPT_SECS;
        let update = Update::builder()
            .table_name(&self.tables.state)
            .set_key(Some(item_key(key, shard)))
            .update_expression("ADD #usd :usd, #tasks :tasks, #unpriced :unpriced SET #expires = :expires")
            .expression_attribute_names("#usd", NANOS)
            .expression_attribute_names("#tasks", TASKS)
            .expression_attribute_names("#unpriced", UNPRICED)
            .expression_attribute_names("#expires", EXPIRES_AT)
            .set_expression_attribute_values(Some(HashMap::from([
                (":usd".to_owned(), number(spent.usd.nanos())),
                (":tasks".to_owned(), number(spent.tasks)),
                (":unpriced".to_owned(), number(spent.unpriced)),
                (":expires".to_owned(), number(expires_at)),
            ])))
            .build()
            .map_err(|error| invalid(OPERATION, error))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}

/// Returns the shard of a transaction: the same for the same task, so that a repeated transaction writes the same items.
pub(super) fn shard_of(changes: &[Change]) -> u64 {
    let name = changes.iter().find_map(|change| match change {
        Change::RunnerGone(runner) => Some(runner.facts.name.as_str()),
        Change::WarmGone(warm) => Some(warm.facts.name.as_str()),
        _ => None,
    });
    // The last letters of a name are random.
    name.unwrap_or_default().bytes().rev().take(8).fold(0, |sum, byte| (sum * 31 + u64::from(byte)) % 65_521)
        % SHARDS
}

/// Returns the pause before a repetition, chosen at random so that those who have met do not meet again.
pub(super) fn pause(repetition: u32) -> Duration {
    let longest = FIRST_PAUSE * 2u32.pow(repetition.min(6));
    let random = RandomState::new().build_hasher().finish() % 1000;
    longest.mul_f64(f64::from(u32::try_from(random).unwrap_or(0)) / 1000.0)
}

fn partition(day: Date) -> String {
    format!("{PREFIX}{}", day.strftime("%Y-%m"))
}

fn item_key(SpendKey { day, by }: &SpendKey, shard: u64) -> Item {
    let by = match by {
        SpentBy::Class(class) => format!("class#{class}"),
        SpentBy::Repositories(pattern) => format!("repository#{pattern}"),
    };
    key(partition(*day), format!("{:02}#{by}#{shard}", day.day()))
}

fn read(item: &Item) -> Result<(SpendKey, Spent), UnreadableError> {
    let month =
        get_text(item, PK).and_then(|key| key.strip_prefix(PREFIX)).ok_or(UnreadableError::Missing(PK))?;
    let sort = get_text(item, SK).ok_or(UnreadableError::Missing(SK))?;
    let unknown = || UnreadableError::Unknown { what: "key of a sum", value: sort.to_owned() };
    let mut parts = sort.splitn(3, '#');
    let (Some(day), Some(kind), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(unknown());
    };
    let (by, _shard) = rest.rsplit_once('#').ok_or_else(unknown)?;
    let by = match kind {
        "class" => SpentBy::Class(ClassName::parse(by)?),
        "repository" => SpentBy::Repositories(RepositoryPattern::parse(by)?),
        _ => return Err(unknown()),
    };
    let day: Date = format!("{month}-{day}").parse()?;
    let value = |name| get_number(item, name).ok_or(UnreadableError::Missing(name));
    let spent =
        Spent { usd: Usd::from_nanos(value(NANOS)?), tasks: value(TASKS)?, unpriced: value(UNPRICED)? };
    Ok((SpendKey { day, by }, spent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spelling_of_a_sum_never_changes() {
        let day = "2026-11-03".parse().unwrap();
        for (by, sort) in [
            (SpentBy::Class(ClassName::parse("small").unwrap()), "03#class#small#5"),
            (SpentBy::Repositories(RepositoryPattern::parse("acme/*").unwrap()), "03#repository#acme/*#5"),
        ] {
            let sum = SpendKey { day, by };
            let mut item = item_key(&sum, 5);
            assert_eq!(item, key("spend#2026-11", sort));
            item.extend([NANOS, TASKS, UNPRICED].map(|name| (name.to_owned(), number(7))));
            assert_eq!(read(&item).unwrap(), (sum, Spent { usd: Usd::from_nanos(7), tasks: 7, unpriced: 7 }));
        }
        assert!(read(&key("spend#2026-11", "03#team#acme#5")).is_err());
    }
}
