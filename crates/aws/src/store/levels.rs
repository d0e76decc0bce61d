//! The rate buckets of launches: one item each, in the partition of the open records.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use ecsrunner_core::id::{Account, Repository};
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::pace::{Bucket, Level};
use ecsrunner_engine::ports::store::{LevelSet, Levels, StoreError};

use super::DynamoStore;
use super::item::{EXPIRES_AT, Item, OPEN, SK, get_text, get_time, key, number, text};
use super::stored::UnreadableError;
use super::wire::failed;

/// When the bucket is full again, in milliseconds since the epoch.
const UNTOUCHED_AT: &str = "t";
/// The call that wrote the item.
const WRITTEN_BY: &str = "w";
/// A bucket is full after minutes. Its item is deleted a day later.
const KEPT_SECS: i64 = 24 * 3600;
const PREFIX: &str = "level#";

impl Levels for DynamoStore {
    async fn set_level(
        &self,
        bucket: &Bucket,
        before: Option<Level>,
        after: Level,
    ) -> Result<LevelSet, StoreError> {
        // Concurrent calls can set the same level. This mark shows, after a lost answer, whether the
        // level was set by this call.
        let call = format!("{:016x}", RandomState::new().build_hasher().finish());
        let Level(untouched_at) = after;
        let mut values = HashMap::from([
            (":after".to_owned(), number(untouched_at.as_millisecond())),
            (":expires".to_owned(), number(untouched_at.as_second() + KEPT_SECS)),
            (":call".to_owned(), text(&call)),
        ]);
        let condition = match before {
            None => "attribute_not_exists(#t)",
            Some(Level(before)) => {
                values.insert(":before".to_owned(), number(before.as_millisecond()));
                "#t = :before"
            }
        };
        let set = self
            .client
            .update_item()
            .table_name(&self.tables.state)
            .set_key(Some(key(OPEN, sort_key(bucket))))
            .update_expression("SET #t = :after, #w = :call, #expires = :expires")
            .condition_expression(condition)
            .expression_attribute_names("#t", UNTOUCHED_AT)
            .expression_attribute_names("#w", WRITTEN_BY)
            .expression_attribute_names("#expires", EXPIRES_AT)
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match set {
            Ok(_) => return Ok(LevelSet::Done),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(found)) => {
                Ok(level_found(found.item(), &call))
            }
            _ => Err(failed("draw from a bucket", error)),
        }
    }
}

/// Returns the item of a level that replaces any earlier one.
pub(super) fn level_item(bucket: &Bucket, Level(untouched_at): Level) -> Item {
    let mut item = key(OPEN, sort_key(bucket));
    item.insert(UNTOUCHED_AT.to_owned(), number(untouched_at.as_millisecond()));
    item.insert(EXPIRES_AT.to_owned(), number(untouched_at.as_second() + KEPT_SECS));
    item
}

fn level_found(item: Option<&HashMap<String, AttributeValue>>, call: &str) -> LevelSet {
    let Some(item) = item else { return LevelSet::Found(None) };
    if get_text(item, WRITTEN_BY) == Some(call) {
        return LevelSet::Done;
    }
    LevelSet::Found(get_time(item, UNTOUCHED_AT).map(Level))
}

pub(super) fn read_level(item: &Item) -> Result<(Bucket, Level), UnreadableError> {
    let sort = get_text(item, SK).unwrap_or_default();
    let bucket = bucket(sort.strip_prefix(PREFIX).unwrap_or_default())?;
    let untouched_at = get_time(item, UNTOUCHED_AT).ok_or(UnreadableError::Missing(UNTOUCHED_AT))?;
    Ok((bucket, Level(untouched_at)))
}

fn sort_key(bucket: &Bucket) -> String {
    match bucket {
        Bucket::GitHub(account) => format!("{PREFIX}github#{account}"),
        Bucket::Fargate(market) => format!("{PREFIX}fargate#{}", market.capacity_provider()),
        Bucket::Failure(repository, number) => {
            format!("{PREFIX}failure#{number}#{}", repository.as_str().to_ascii_lowercase())
        }
    }
}

fn bucket(text: &str) -> Result<Bucket, UnreadableError> {
    let unknown = || UnreadableError::Unknown { what: "bucket", value: text.to_owned() };
    match text.split_once('#').ok_or_else(unknown)? {
        ("github", account) => Ok(Bucket::GitHub(Account::parse(account)?)),
        ("fargate", provider) => {
            Market::of_capacity_provider(provider).map(Bucket::Fargate).ok_or_else(unknown)
        }
        ("failure", failure) => {
            let (number, repository) = failure.split_once('#').ok_or_else(unknown)?;
            let number = number.parse().map_err(|_| unknown())?;
            Ok(Bucket::Failure(Repository::parse(repository)?, number))
        }
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spelling_of_a_bucket_never_changes() {
        for (bucket_of, stored) in [
            (Bucket::GitHub(Account::parse("acme").unwrap()), "level#github#acme"),
            (Bucket::Fargate(Market::OnDemand), "level#fargate#FARGATE"),
            (Bucket::Fargate(Market::Spot), "level#fargate#FARGATE_SPOT"),
            (Bucket::Failure(Repository::parse("Acme/App").unwrap(), 9), "level#failure#9#acme/app"),
        ] {
            assert_eq!(sort_key(&bucket_of), stored);
            assert_eq!(bucket(stored.strip_prefix(PREFIX).unwrap()).unwrap(), bucket_of);
        }
        let as_before = bucket("failure#9#Acme/App").unwrap();
        assert_eq!(as_before, Bucket::Failure(Repository::parse("acme/app").unwrap(), 9));
        assert!(bucket("fargate#EC2").is_err());
        assert!(bucket("failure#acme/app").is_err());
        assert!(bucket("other").is_err());
    }
}
