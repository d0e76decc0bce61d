//! Reads the history by month, repository and id.

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ecsrunner_core::id::{JobId, TaskName};
use ecsrunner_core::records::job::{EndedJob, JobRecord};
use ecsrunner_core::records::task::EndedTask;
use ecsrunner_core::wire::event::Keys;
use ecsrunner_engine::chain;
use ecsrunner_engine::ports::store::{History, Listed, Page, Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tracing::error;

use super::DynamoStore;
use super::item::{
    BY_MONTH, BY_REPOSITORY, ENDED_AT, Item, MONTH, PK, REPOSITORY, SK, get_text, gone_runner, gone_warm,
    number, text,
};
use super::records::{read_ended_job, read_gone_runner, read_gone_warm};
use super::stored::UnreadableError;
use super::wire::{failed, invalid};

/// A listing ends after this many empty months, which is longer than history is kept.
const MAX_MONTHS: u32 = 4;
/// The end of the year 9999 in milliseconds since the epoch: later than every record.
const LATEST: i64 = 253_402_300_799_999;

impl History for DynamoStore {
    async fn jobs(&self, page: &Page) -> Result<Listed<EndedJob>, StoreError> {
        self.list("job", page, read_ended_job).await
    }

    async fn runners(&self, page: &Page) -> Result<Listed<EndedTask>, StoreError> {
        self.list("runner", page, read_ended_task).await
    }

    async fn job(&self, id: JobId) -> Result<Option<JobRecord>, StoreError> {
        Ok(self.load(&Keys::of_job(id)).await?.job)
    }
}

impl DynamoStore {
    /// Reads the record of a runner or a warm task that has ended.
    ///
    /// # Errors
    ///
    /// The table or the record cannot be read.
    pub async fn gone(&self, name: &TaskName) -> Result<Option<EndedTask>, StoreError> {
        let key = match name {
            TaskName::Runner(runner) => gone_runner(runner),
            TaskName::Warm(warm) => gone_warm(warm),
        };
        let found = self.get_all("load an ended record", vec![key]).await?;
        let ended = found.first().map(read_ended_task).transpose();
        ended.map_err(|error| invalid("read a record", error))
    }
}

fn read_ended_task(item: &Item) -> Result<EndedTask, UnreadableError> {
    let is_warm = get_text(item, PK).is_some_and(|key| key.starts_with("warm#"));
    if is_warm {
        read_gone_warm(item).map(|warm| EndedTask::Warm(Box::new(warm)))
    } else {
        read_gone_runner(item).map(|runner| EndedTask::Runner(Box::new(runner)))
    }
}

/// The end of a page: the index's partition, and the keys of the last item.
#[derive(Serialize, Deserialize)]
struct Cursor {
    partition: String,
    last: Option<(i64, String, String)>,
}

impl Cursor {
    fn encode(&self) -> Result<String, StoreError> {
        let json = serde_json::to_vec(self).map_err(|error| invalid("list history", error))?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode(json))
    }

    fn decode(text: &str) -> Result<Self, StoreError> {
        let json = BASE64_URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|error| StoreError::Cursor { source: error.into() })?;
        serde_json::from_slice(&json).map_err(|error| StoreError::Cursor { source: error.into() })
    }
}

impl DynamoStore {
    async fn list<T>(
        &self,
        kind: &str,
        page: &Page,
        read: fn(&Item) -> Result<T, UnreadableError>,
    ) -> Result<Listed<T>, StoreError> {
        let mut items = Vec::new();
        let limit = page.limit.clamp(1, 1000) as usize;
        let mut cursor = match (&page.after, &page.repository) {
            (Some(after), _) => Cursor::decode(after)?,
            (None, Some(repository)) => {
                Cursor { partition: format!("{kind}#{}", repository.as_str().to_lowercase()), last: None }
            }
            (None, None) => Cursor { partition: latest_partition(kind, page.before), last: None },
        };
        let mut empty_months = 0;
        let next = loop {
            let (index, attribute) =
                if page.repository.is_some() { (BY_REPOSITORY, REPOSITORY) } else { (BY_MONTH, MONTH) };
            let found = self.query_history(index, attribute, &cursor, page, limit - items.len()).await?;
            let last = found.last_evaluated_key.as_ref().and_then(last_key);
            let count = found.items().len();
            items.extend(found.items().iter().filter_map(|item| match read(item) {
                Ok(record) => Some(record),
                Err(error) => {
                    error!(record = get_text(item, PK), error = %chain(&error), "a record of history cannot be read");
                    None
                }
            }));
            match (last, page.repository.is_some()) {
                (Some(last), _) => cursor.last = Some(last),
                (None, true) => break None,
                (None, false) => {
                    empty_months = if count == 0 { empty_months + 1 } else { 0 };
                    match month_before(&cursor.partition) {
                        Some(partition)
                            if empty_months < MAX_MONTHS && !is_too_early(&partition, page.since) =>
                        {
                            cursor = Cursor { partition, last: None }
                        }
                        _ => break None,
                    }
                }
            }
            if items.len() >= limit {
                break Some(cursor.encode()?);
            }
        };
        Ok(Listed { items, next })
    }

    async fn query_history(
        &self,
        index: &str,
        attribute: &str,
        cursor: &Cursor,
        page: &Page,
        limit: usize,
    ) -> Result<aws_sdk_dynamodb::operation::query::QueryOutput, StoreError> {
        let start = cursor.last.as_ref().map(|(ended_at, pk, sk)| {
            Item::from([
                (attribute.to_owned(), text(&cursor.partition)),
                (ENDED_AT.to_owned(), number(ended_at)),
                (PK.to_owned(), text(pk)),
                (SK.to_owned(), text(sk)),
            ])
        });
        self.client
            .query()
            .table_name(&self.tables.state)
            .index_name(index)
            .key_condition_expression("#partition = :partition AND #ended_at BETWEEN :from AND :to")
            .expression_attribute_names("#partition", attribute)
            .expression_attribute_names("#ended_at", ENDED_AT)
            .expression_attribute_values(":partition", text(&cursor.partition))
            .expression_attribute_values(":from", number(page.since.map_or(0, Timestamp::as_millisecond)))
            .expression_attribute_values(
                ":to",
                number(page.before.map_or(LATEST, |at| at.as_millisecond() - 1)),
            )
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(1000))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| failed("list history", error))
    }
}

fn last_key(key: &Item) -> Option<(i64, String, String)> {
    let ended_at = key.get(ENDED_AT).and_then(|value: &AttributeValue| value.as_n().ok())?.parse().ok()?;
    Some((ended_at, get_text(key, PK)?.to_owned(), get_text(key, SK)?.to_owned()))
}

/// The latest month that can have records: tomorrow's month, since clocks differ.
fn latest_partition(kind: &str, before: Option<Timestamp>) -> String {
    let tomorrow = Timestamp::now() + SignedDuration::from_hours(24);
    format!("{kind}#{}", before.map_or(tomorrow, |before| before.min(tomorrow)).strftime("%Y-%m"))
}

/// Whether all records of a month are older than that time.
fn is_too_early(partition: &str, since: Option<Timestamp>) -> bool {
    let month = partition.split_once('#').map_or("", |(_, month)| month);
    since.is_some_and(|since| month < since.strftime("%Y-%m").to_string().as_str())
}

fn month_before(partition: &str) -> Option<String> {
    let (kind, month) = partition.split_once('#')?;
    let first: jiff::civil::Date = format!("{month}-01").parse().ok()?;
    Some(format!("{kind}#{}", first.yesterday().ok()?.strftime("%Y-%m")))
}
