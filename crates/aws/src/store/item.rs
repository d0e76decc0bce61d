//! The keys and attributes of items.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use ecsrunner_core::id::{DeliveryId, HostId, JobId, RunnerName, WarmName};
use jiff::Timestamp;

pub(super) type Item = HashMap<String, AttributeValue>;

/// The partition of the open records.
pub(super) const OPEN: &str = "open";
/// The partition of the lease, the kicks and the sweep's progress.
pub(super) const DISPATCH: &str = "dispatch";

/// The prefix of a webhook delivery's id in its item's partition key.
pub(super) const DELIVERY: &str = "delivery#";

pub(super) const PK: &str = "pk";
pub(super) const SK: &str = "sk";
/// The record's version, a number.
pub(super) const VERSION: &str = "v";
/// The record's stored form, as JSON text.
pub(super) const DATA: &str = "d";
/// The TTL attribute: DynamoDB deletes the item after this time, in seconds since the epoch.
pub(super) const EXPIRES_AT: &str = "expires_at";
/// The month in which the record ended, such as `job#2026-11`: the partition key of the index by month.
pub(super) const MONTH: &str = "month";
/// When the record ended, in milliseconds since the epoch: the sort key of every index.
pub(super) const ENDED_AT: &str = "ended_at";
/// `job#acme/app`, in lower case.
pub(super) const REPOSITORY: &str = "repository";
/// The runner that executed a job.
pub(super) const RUNNER: &str = "runner";

pub(super) const BY_MONTH: &str = "by_month";
pub(super) const BY_REPOSITORY: &str = "by_repository";
pub(super) const BY_RUNNER: &str = "by_runner";

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn key(pk: impl Into<String>, sk: impl Into<String>) -> Item {
    HashMap::from([(PK.to_owned(), text(pk)), (SK.to_owned(), text(sk))])
}

pub(super) fn open_job(id: JobId) -> Item {
    key(OPEN, format!("job#{id}"))
}

pub(super) fn ended_job(id: JobId) -> Item {
    key(format!("job#{id}"), "ended")
}

pub(super) fn open_runner(name: &RunnerName) -> Item {
    key(OPEN, format!("runner#{name}"))
}

pub(super) fn gone_runner(name: &RunnerName) -> Item {
    key(format!("runner#{name}"), "ended")
}

pub(super) fn open_warm(name: &WarmName) -> Item {
    key(OPEN, format!("warm#{name}"))
}

pub(super) fn gone_warm(name: &WarmName) -> Item {
    key(format!("warm#{name}"), "ended")
}

/// The key of the item that marks a webhook delivery as recorded.
pub(super) fn seen_delivery(id: &DeliveryId) -> Item {
    key(format!("{DELIVERY}{id}"), "seen")
}

/// The prefix of an EC2 instance in the partition key of the item that says whose it is.
pub(super) const HOST: &str = "host#";

/// The runner whose EC2 instance it is.
pub(super) const OWNER: &str = "owner";

pub(super) fn claimed_host(id: &HostId) -> Item {
    key(format!("{HOST}{id}"), "claimed")
}

pub(super) fn get_text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str)
}

pub(super) fn get_number(item: &Item, name: &str) -> Option<u64> {
    item.get(name).and_then(|value| value.as_n().ok()).and_then(|text| text.parse().ok())
}

/// Reads a time in milliseconds since the epoch.
pub(super) fn get_time(item: &Item, name: &str) -> Option<Timestamp> {
    let millis = item.get(name).and_then(|value| value.as_n().ok()).and_then(|text| text.parse().ok())?;
    Timestamp::from_millisecond(millis).ok()
}
