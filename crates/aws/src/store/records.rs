//! Loads, commits and lists open records.

mod transaction;

use aws_sdk_dynamodb::config::retry::{ReconnectMode, RetryConfig};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnValue};
use ecsrunner_core::id::{RunnerName, TaskId, Version, WarmName};
use ecsrunner_core::records::change::Records;
use ecsrunner_core::records::hold::Hold;
use ecsrunner_core::records::job::{EndedJob, Job, JobRecord};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::{EndedRunner, Runner};
use ecsrunner_core::records::warm::{EndedWarm, WarmTask};
use ecsrunner_core::wire::boot::{TaskRole, attribute};
use ecsrunner_core::wire::event::Keys;
use ecsrunner_engine::chain;
use ecsrunner_engine::ports::store::{Revocation, Store, StoreError, Transaction, Unreadable};
use serde::de::DeserializeOwned;
use tracing::{error, warn};

use super::DynamoStore;
use super::item::{
    DATA, EXPIRES_AT, HOST, Item, OPEN, OWNER, PK, SK, VERSION, claimed_host, ended_job, get_number,
    get_text, gone_runner, key, number, open_job, open_runner, open_warm, text,
};
use super::levels::read_level;
use super::stored::{
    SCHEMA, StoredEndedJob, StoredEndedRunner, StoredEndedWarm, StoredHold, StoredImage, StoredJob,
    StoredOverspend, StoredRerun, StoredRunner, StoredWarm, UnreadableError,
};
use super::wire::{failed, invalid};

/// How many bytes of an unreadable input are kept. An item holds 400 KB.
const KEPT_BYTES: usize = 300 * 1024;
/// How long unreadable input is kept.
const KEPT_SECS: i64 = 30 * 24 * 3600;
const MAX_KEYS: usize = 100;
/// The sort keys of reruns begin like this.
const RERUNS: &str = "rerun#";

impl DynamoStore {
    /// Reads the open records whose sort keys begin like this, page by page.
    async fn read_open(&self, open: &mut Open, prefix: &str) -> Result<(), StoreError> {
        let mut query = self
            .client
            .query()
            .table_name(&self.tables.state)
            .consistent_read(true)
            .key_condition_expression("pk = :open")
            .expression_attribute_values(":open", text(OPEN));
        if !prefix.is_empty() {
            query = query
                .key_condition_expression("pk = :open AND begins_with(sk, :prefix)")
                .expression_attribute_values(":prefix", text(prefix));
        }
        let mut pages = query.into_paginator().items().send();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| failed("read the open records", error))?;
            if let Err(error) = add(open, &item) {
                // The record stays for a person or a newer release. The others are used.
                let record = get_text(&item, SK).unwrap_or_default();
                error!(record, error = %chain(&error), "an open record cannot be read and is set aside");
                open.unreadable += 1;
                let takes_slot = record.starts_with("runner#") || record.starts_with("warm#");
                open.unreadable_runners += usize::from(takes_slot);
                open.unreadable_warm += usize::from(record.starts_with("warm#"));
                open.unreadable_images += usize::from(record.starts_with("image#"));
            }
        }
        Ok(())
    }
}

impl Store for DynamoStore {
    async fn load(&self, keys: &Keys) -> Result<Records, StoreError> {
        let mut wanted = Vec::new();
        if let Some(job) = keys.job {
            wanted.extend([open_job(job), ended_job(job)]);
        }
        if let Some(runner) = &keys.runner {
            wanted.push(open_runner(runner));
        }
        if let Some(warm) = &keys.warm {
            wanted.push(open_warm(warm));
        }
        if let Some(host) = &keys.host {
            wanted.push(claimed_host(host));
        }
        let mut records = Records::default();
        for item in self.get_all("load records", wanted).await? {
            let unreadable = |error: UnreadableError| invalid("read a record", error);
            let sort = get_text(&item, SK).unwrap_or_default();
            if get_text(&item, PK).is_some_and(|key| key.starts_with(HOST)) {
                let runner = get_text(&item, OWNER).ok_or(UnreadableError::Missing(OWNER));
                let runner = runner.and_then(|name| Ok(RunnerName::parse(name)?));
                records.claimed_by = Some(runner.map_err(unreadable)?);
            } else if sort.starts_with("runner#") {
                match read_runner(&item) {
                    Ok(runner) => records.runner = Some(runner),
                    // GitHub's event about the job must still be recorded.
                    Err(error) if keys.job.is_some() => {
                        error!(record = sort, error = %chain(&error), "a runner's record cannot be read and is left out");
                    }
                    Err(error) => return Err(unreadable(error)),
                }
            } else if sort.starts_with("warm#") {
                records.warm = Some(read_warm(&item).map_err(unreadable)?);
            } else if sort.starts_with("job#") {
                // If both exist, the open record is newer than the ended one.
                records.job = Some(JobRecord::Open(read_job(&item).map_err(unreadable)?));
            } else if records.job.is_none() {
                records.job = Some(JobRecord::Ended(read_ended_job(&item).map_err(unreadable)?));
            }
        }
        if let Some(runner) = keys.runner.as_ref().filter(|_| keys.gone && records.runner.is_none()) {
            records.gone = self.in_history(runner).await?;
        }
        Ok(records)
    }

    async fn commit(&self, transaction: Transaction<'_>) -> Result<(), StoreError> {
        self.commit_items(transaction).await
    }

    async fn open(&self) -> Result<Open, StoreError> {
        let mut open = Open::default();
        self.read_open(&mut open, "").await?;
        // In the order of keys they were read before the runners.
        if !open.reruns.is_empty() {
            let mut later = Open::default();
            self.read_open(&mut later, RERUNS).await?;
            open.reruns = later.reruns;
        }
        Ok(open)
    }

    async fn revoke(&self, task: &TaskId, role: TaskRole) -> Result<Revocation, StoreError> {
        let no_retry = RetryConfig::disabled().with_reconnect_mode(ReconnectMode::ReuseAllConnections);
        let revoked = self
            .client
            .delete_item()
            .table_name(&self.tables.boot)
            .key(attribute::OWNER, text(self.boot_owner(task, role)))
            .return_values(ReturnValue::AllOld)
            .customize()
            .config_override(aws_sdk_dynamodb::Config::builder().retry_config(no_retry))
            .send()
            .await
            .map_err(|error| failed("revoke a boot item", error))?;
        Ok(if revoked.attributes.is_some_and(|old| !old.is_empty()) {
            Revocation::GivenBack
        } else {
            Revocation::NotGivenBack
        })
    }

    async fn set_aside(&self, what: Unreadable<'_>) -> Result<(), StoreError> {
        let kept = &what.content[..what.content.len().min(KEPT_BYTES)];
        let mut item = key(format!("unreadable#{}", what.what), format!("{}#{}", what.at, what.id));
        item.insert("content".to_owned(), AttributeValue::B(Blob::new(kept)));
        item.insert("bytes".to_owned(), number(what.content.len()));
        item.insert("reason".to_owned(), text(what.reason.text()));
        item.insert(EXPIRES_AT.to_owned(), number(what.at.as_second() + KEPT_SECS));
        self.client
            .put_item()
            .table_name(&self.tables.state)
            .set_item(Some(item))
            .send()
            .await
            .map_err(|error| failed("keep unreadable data", error))?;
        Ok(())
    }
}

/// Adds an item of the partition `open`.
fn add(open: &mut Open, item: &Item) -> Result<(), UnreadableError> {
    let sort = get_text(item, SK).unwrap_or_default();
    match sort.split_once('#').map(|(kind, _)| kind) {
        Some("job") => open.add_job(read_job(item)?),
        Some("runner") => open.add_runner(read_runner(item)?),
        Some("warm") => open.add_warm(read_warm(item)?),
        Some("hold") => open.add_hold(read_hold(item)?),
        Some("rerun") => open.add_rerun(stored::<StoredRerun>(item)?.read()),
        Some("image") => open.add_image(stored::<StoredImage>(item)?.read()?),
        Some("budget") => open.add_overspend(stored::<StoredOverspend>(item)?.read(item)?),
        Some("level") => {
            let (bucket, level) = read_level(item)?;
            // The previous version kept the case of repository names, so a bucket can have two items.
            let latest = open.levels.entry(bucket).or_insert(level);
            *latest = level.max(*latest);
        }
        _ => warn!(record = sort, "an open record is of a kind that this release does not know"),
    }
    Ok(())
}

impl DynamoStore {
    /// Reads the ended record of a runner that has no open one. Most runners are open when their events come, so it is not
    /// read with the first batch. It is read after it, so that a runner that moves to history in between is found: no
    /// record moves back.
    async fn in_history(&self, runner: &RunnerName) -> Result<Option<EndedRunner>, StoreError> {
        let found = self.get_all("load records", vec![gone_runner(runner)]).await?;
        let read = |item| read_gone_runner(item).map_err(|error| invalid("read a record", error));
        found.first().map(read).transpose()
    }

    /// Reads the items with these keys, each once. Missing ones are left out.
    pub(super) async fn get_all(
        &self,
        operation: &'static str,
        keys: Vec<Item>,
    ) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        for some in keys.chunks(MAX_KEYS) {
            items.extend(self.get_some(operation, some.to_vec()).await?);
        }
        Ok(items)
    }

    async fn get_some(&self, operation: &'static str, keys: Vec<Item>) -> Result<Vec<Item>, StoreError> {
        let table = &self.tables.state;
        let mut items = Vec::new();
        let mut wanted = keys;
        // The answer may have only a part of the batch. The SDK backs off when throttled.
        while !wanted.is_empty() {
            let request = KeysAndAttributes::builder()
                .consistent_read(true)
                .set_keys(Some(wanted))
                .build()
                .map_err(|error| invalid(operation, error))?;
            let answer = self
                .client
                .batch_get_item()
                .request_items(table, request)
                .send()
                .await
                .map_err(|error| failed(operation, error))?;
            let before = items.len();
            items.extend(answer.responses.unwrap_or_default().remove(table).unwrap_or_default());
            wanted = answer
                .unprocessed_keys
                .unwrap_or_default()
                .remove(table)
                .map(|rest| rest.keys)
                .unwrap_or_default();
            if !wanted.is_empty() && items.len() == before {
                return Err(StoreError::Unavailable {
                    operation,
                    source: "the table returned none of the requested keys".into(),
                });
            }
        }
        Ok(items)
    }
}

pub(super) fn read_job(item: &Item) -> Result<Job, UnreadableError> {
    let (stored, version) = data::<StoredJob>(item)?;
    stored.read(version)
}

pub(super) fn read_ended_job(item: &Item) -> Result<EndedJob, UnreadableError> {
    let (stored, version) = data::<StoredEndedJob>(item)?;
    stored.read(version)
}

pub(super) fn read_runner(item: &Item) -> Result<Runner, UnreadableError> {
    let (stored, version) = data::<StoredRunner>(item)?;
    stored.read(runner_name(item, SK)?, version)
}

pub(super) fn read_gone_runner(item: &Item) -> Result<EndedRunner, UnreadableError> {
    let (stored, version) = data::<StoredEndedRunner>(item)?;
    stored.read(runner_name(item, PK)?, version)
}

fn read_warm(item: &Item) -> Result<WarmTask, UnreadableError> {
    let (stored, version) = data::<StoredWarm>(item)?;
    stored.read(warm_name(item, SK)?, version)
}

pub(super) fn read_gone_warm(item: &Item) -> Result<EndedWarm, UnreadableError> {
    let (stored, version) = data::<StoredEndedWarm>(item)?;
    stored.read(warm_name(item, PK)?, version)
}

fn read_hold(item: &Item) -> Result<Hold, UnreadableError> {
    stored::<StoredHold>(item)?.read()
}

/// A runner's name, which is stored only in one of its item's keys.
fn runner_name(item: &Item, key: &'static str) -> Result<RunnerName, UnreadableError> {
    Ok(RunnerName::parse(name(item, key, "runner#")?)?)
}

/// A warm task's name, which is stored only in one of its item's keys.
fn warm_name(item: &Item, key: &'static str) -> Result<WarmName, UnreadableError> {
    Ok(WarmName::parse(name(item, key, "warm#")?)?)
}

fn name<'a>(item: &'a Item, key: &'static str, prefix: &str) -> Result<&'a str, UnreadableError> {
    get_text(item, key).and_then(|key| key.strip_prefix(prefix)).ok_or(UnreadableError::Missing(key))
}

fn data<T: DeserializeOwned>(item: &Item) -> Result<(T, Version), UnreadableError> {
    let record = stored(item)?;
    let version = get_number(item, VERSION).ok_or(UnreadableError::Missing(VERSION))?;
    Ok((record, Version::new(version)))
}

/// Reads the stored form of an item.
pub(super) fn stored<T: DeserializeOwned>(item: &Item) -> Result<T, UnreadableError> {
    let schema = get_number(item, "s").ok_or(UnreadableError::Missing("s"))?;
    if schema > SCHEMA {
        return Err(UnreadableError::Schema(schema));
    }
    let text = get_text(item, DATA).ok_or(UnreadableError::Missing(DATA))?;
    Ok(serde_json::from_str(text)?)
}

/// Builds a record's item from its key, its version and its stored form.
pub(super) fn record_item(
    key: Item,
    version: Version,
    stored: &impl serde::Serialize,
) -> Result<Item, StoreError> {
    let mut item = unversioned_item(key, stored)?;
    item.insert(VERSION.to_owned(), number(version));
    Ok(item)
}

/// Builds an item without a version, which replaces any earlier one.
pub(super) fn unversioned_item(key: Item, stored: &impl serde::Serialize) -> Result<Item, StoreError> {
    let mut item = key;
    let json = serde_json::to_string(stored).map_err(|error| invalid("write a record", error))?;
    item.insert("s".to_owned(), number(SCHEMA));
    item.insert(DATA.to_owned(), text(json));
    debug_assert!(item.contains_key(PK));
    Ok(item)
}
