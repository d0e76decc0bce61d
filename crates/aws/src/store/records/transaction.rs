//! A transaction's items and conditions.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem};
use ecsrunner_core::id::{DeliveryId, Epoch, Version};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::hold::Hold;
use ecsrunner_core::records::image::Image;
use ecsrunner_core::records::instance::Claim;
use ecsrunner_core::records::job::{EndedJob, Job, JobEnding};
use ecsrunner_core::records::overspend::Overspend;
use ecsrunner_core::records::rerun::RerunRecord;
use ecsrunner_core::records::runner::{EndedRunner, Runner};
use ecsrunner_core::records::spend::Spending;
use ecsrunner_core::records::warm::{EndedWarm, WarmTask};
use ecsrunner_core::wire::boot::attribute;
use ecsrunner_engine::ports::store::{BootPut, StoreError, Transaction};
use jiff::Timestamp;
use secrecy::ExposeSecret;

use crate::store::DynamoStore;
use crate::store::item::{
    DISPATCH, ENDED_AT, EXPIRES_AT, Item, MONTH, OWNER, REPOSITORY, RUNNER, claimed_host, ended_job,
    gone_runner, gone_warm, key, number, open_job, open_runner, open_warm, seen_delivery, text,
};
use crate::store::lease::LEASE;
use crate::store::levels::level_item;
use crate::store::records::{record_item, unversioned_item};
use crate::store::spend::{MAX_RACES, pause, shard_of};
use crate::store::stored::{
    StoredEndedJob, StoredEndedRunner, StoredEndedWarm, StoredHold, StoredImage, StoredJob, StoredOverspend,
    StoredRerun, StoredRunner, StoredWarm, budget_key, hold_key, image_key, rerun_key,
};
use crate::store::wire::{failed, invalid, is_race, lost_condition, transaction_failed};

/// How long history is kept.
const HISTORY_SECS: i64 = 90 * 24 * 3600;
/// GitHub keeps deliveries for three days. A day later no sweep asks for them.
const DELIVERY_SECS: i64 = 4 * 24 * 3600;
/// A hold that was not confirmed for this long is for a scope, class or placement
/// that is no longer used.
const HOLD_SECS: i64 = 7 * 24 * 3600;
/// AWS replaces an instance of ECS Managed Instances after at most 21 days, and EC2 never gives an id twice.
const CLAIM_SECS: i64 = 365 * 24 * 3600;
/// A rerun ends long before: this removes what no dispatcher of a deployment ends any more.
const RERUN_SECS: i64 = 30 * 24 * 3600;
/// A dispatcher deletes the record when its period has ended: this removes that of a deployment that has none.
const OVERSPEND_SECS: i64 = 7 * 24 * 3600;
const MAX_WRITES: usize = 100;
const OPERATION: &str = "write records";
const ABSENT: &str = "attribute_not_exists(pk)";
const AT_VERSION: &str = "v = :v";

/// A condition on an item: it is absent, has this version, or there is no condition.
#[derive(Clone, Copy)]
enum Expect {
    Absent,
    At(Version),
    Anything,
}

impl Expect {
    /// The condition for writing a record's version `version`.
    fn before(version: Version) -> Self {
        if version == Version::FIRST { Self::Absent } else { Self::At(Version::new(version.get() - 1)) }
    }

    fn expression(self) -> Option<String> {
        match self {
            Self::Absent => Some(ABSENT.to_owned()),
            Self::At(_) => Some(AT_VERSION.to_owned()),
            Self::Anything => None,
        }
    }

    fn values(self) -> Option<HashMap<String, AttributeValue>> {
        match self {
            Self::Absent | Self::Anything => None,
            Self::At(version) => Some(HashMap::from([(":v".to_owned(), number(version))])),
        }
    }
}

impl DynamoStore {
    pub(super) async fn commit_items(&self, transaction: Transaction<'_>) -> Result<(), StoreError> {
        if let Some((item, expect)) = lone_put(&transaction)? {
            return self.put_alone(item, expect).await;
        }
        let mut writes = Vec::new();
        let fence = transaction.fence.map(|_| 0);
        if let Some(epoch) = transaction.fence {
            writes.push(self.check_lease(epoch)?);
        }
        for change in transaction.changes {
            self.push_change(&mut writes, change)?;
        }
        let spending = Spending::of_changes(transaction.changes, transaction.budgets);
        writes.extend(self.additions(&spending, shard_of(transaction.changes))?);
        if let Some(boot) = &transaction.boot {
            writes.push(self.put_boot(boot)?);
        }
        if let Some(delivery) = transaction.delivery {
            writes.push(self.put(delivery_item(delivery), Expect::Anything)?);
        }
        if let Some((bucket, level)) = transaction.slot {
            writes.push(self.put(level_item(bucket, level), Expect::Anything)?);
        }
        if writes.is_empty() {
            return Ok(());
        }
        if writes.len() > MAX_WRITES {
            let count = writes.len();
            return Err(invalid(
                OPERATION,
                format!("{count} writes: at most {MAX_WRITES} fit into a transaction"),
            ));
        }
        let mut races = 0;
        loop {
            let sent =
                self.client.transact_write_items().set_transact_items(Some(writes.clone())).send().await;
            match sent {
                Ok(_) => return Ok(()),
                // Several tasks ended at once. A version that has changed shows in the next answer.
                Err(error) if !spending.0.is_empty() && races < MAX_RACES && is_race(&error) => {
                    races += 1;
                    tokio::time::sleep(pause(races)).await;
                }
                Err(error) => return Err(transaction_failed(OPERATION, error, fence)),
            }
        }
    }

    /// Writes one record without further conditions. A transaction would cost twice
    /// as much.
    async fn put_alone(&self, item: Item, expect: Expect) -> Result<(), StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.state)
            .set_item(Some(item))
            .set_condition_expression(expect.expression())
            .set_expression_attribute_values(expect.values())
            .send()
            .await;
        match put {
            Ok(_) => Ok(()),
            Err(error) if lost_condition(&error) => Err(StoreError::Conflict),
            Err(error) => Err(failed(OPERATION, error)),
        }
    }

    fn push_change(&self, writes: &mut Vec<TransactWriteItem>, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::Job(job) => {
                writes.push(self.put(job_item(job)?, Expect::before(job.version))?);
                if job.version == Version::FIRST {
                    // A late event must not reopen a job that has ended.
                    writes.push(self.check(ended_job(job.id()), Expect::Absent)?);
                }
            }
            Change::JobEnded(job) => {
                let open = open_job(job.facts.id);
                writes.push(match Expect::before(job.version) {
                    at @ Expect::At(_) => self.delete(open, at)?,
                    Expect::Absent | Expect::Anything => self.check(open, Expect::Absent)?,
                });
                writes.push(self.put(ended_job_item(job)?, Expect::Absent)?);
            }
            Change::JobAmended(job) => {
                writes.push(self.put(ended_job_item(job)?, Expect::before(job.version))?);
            }
            Change::JobReopened(job) => {
                writes.push(self.delete(ended_job(job.id()), Expect::before(job.version))?);
                writes.push(self.put(job_item(job)?, Expect::Absent)?);
            }
            Change::Runner(runner) => {
                writes.push(self.put(runner_item(runner)?, Expect::before(runner.version))?);
            }
            Change::RunnerGone(runner) => {
                writes.push(self.delete(open_runner(&runner.facts.name), Expect::before(runner.version))?);
                writes.push(self.put(gone_runner_item(runner)?, Expect::Absent)?);
            }
            Change::RunnerAmended(runner) => {
                writes.push(self.put(gone_runner_item(runner)?, Expect::before(runner.version))?);
            }
            Change::Warm(warm) => {
                writes.push(self.put(warm_item(warm)?, Expect::before(warm.version))?);
            }
            Change::WarmGone(warm) => {
                writes.push(self.delete(open_warm(&warm.facts.name), Expect::before(warm.version))?);
                writes.push(self.put(gone_warm_item(warm)?, Expect::Absent)?);
            }
            Change::Hold(hold) => writes.push(self.put(hold_item(hold)?, Expect::Anything)?),
            Change::Released(held) => writes.push(self.delete(hold_key(held), Expect::Anything)?),
            Change::Rerun(record) => writes.push(self.put(rerun_item(record)?, Expect::Anything)?),
            Change::RerunOver(key) => writes.push(self.delete(rerun_key(key), Expect::Anything)?),
            Change::Image(image) => writes.push(self.put(image_item(image)?, Expect::Anything)?),
            Change::Overspent(over) => writes.push(self.put(overspend_item(over)?, Expect::Anything)?),
            Change::BudgetOpen(budget) => writes.push(self.delete(budget_key(budget), Expect::Anything)?),
            // Of two runners on one instance the second finds it there.
            Change::Claimed(claim) => writes.push(self.put(claim_item(claim), Expect::Absent)?),
        }
        Ok(())
    }

    fn put(&self, item: Item, expect: Expect) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder()
            .table_name(&self.tables.state)
            .set_item(Some(item))
            .set_condition_expression(expect.expression())
            .set_expression_attribute_values(expect.values())
            .build()
            .map_err(|error| invalid(OPERATION, error))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn delete(&self, key: Item, expect: Expect) -> Result<TransactWriteItem, StoreError> {
        let delete = Delete::builder()
            .table_name(&self.tables.state)
            .set_key(Some(key))
            .set_condition_expression(expect.expression())
            .set_expression_attribute_values(expect.values())
            .build()
            .map_err(|error| invalid(OPERATION, error))?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    fn check(&self, key: Item, expect: Expect) -> Result<TransactWriteItem, StoreError> {
        let check = ConditionCheck::builder()
            .table_name(&self.tables.state)
            .set_key(Some(key))
            .set_condition_expression(expect.expression())
            .set_expression_attribute_values(expect.values())
            .build()
            .map_err(|error| invalid(OPERATION, error))?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    fn check_lease(&self, epoch: Epoch) -> Result<TransactWriteItem, StoreError> {
        let check = ConditionCheck::builder()
            .table_name(&self.tables.state)
            .set_key(Some(key(DISPATCH, LEASE)))
            .condition_expression("epoch = :epoch")
            .expression_attribute_values(":epoch", number(epoch))
            .build()
            .map_err(|error| invalid(OPERATION, error))?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    fn put_boot(&self, boot: &BootPut<'_>) -> Result<TransactWriteItem, StoreError> {
        let policy = serde_json::to_string(&boot.item.policy).map_err(|error| invalid(OPERATION, error))?;
        let mut put = Put::builder()
            .table_name(&self.tables.boot)
            .item(attribute::OWNER, text(self.boot_owner(&boot.task, boot.role)))
            .item(attribute::JIT, text(boot.jit.expose_secret()))
            .item(attribute::RUNNER, text(boot.item.runner.as_str()))
            .item(attribute::POLICY, text(policy))
            .item(attribute::EXPIRES_AT, number(boot.expires_at.as_second()))
            .condition_expression("attribute_not_exists(#owner)")
            .expression_attribute_names("#owner", attribute::OWNER);
        if let Some(fail) = &boot.item.fail {
            let fail = serde_json::to_string(fail).map_err(|error| invalid(OPERATION, error))?;
            put = put.item(attribute::FAIL, text(fail));
        }
        if let Some(services) = &boot.item.services {
            let services = serde_json::to_string(services).map_err(|error| invalid(OPERATION, error))?;
            put = put.item(attribute::SERVICES, text(services));
        }
        if let Some(about) = &boot.item.about {
            let about = serde_json::to_string(about).map_err(|error| invalid(OPERATION, error))?;
            put = put.item(attribute::ABOUT, text(about));
        }
        if !boot.item.reruns.is_empty() {
            let reruns =
                serde_json::to_string(&boot.item.reruns).map_err(|error| invalid(OPERATION, error))?;
            put = put.item(attribute::RERUNS, text(reruns));
        }
        let put = put.build().map_err(|error| invalid(OPERATION, error))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }
}

/// Returns the put if the transaction consists of only that.
fn lone_put(transaction: &Transaction<'_>) -> Result<Option<(Item, Expect)>, StoreError> {
    let Transaction { changes, fence: None, boot: None, slot: None, delivery, budgets: _ } = transaction
    else {
        return Ok(None);
    };
    let change = match (*changes, *delivery) {
        ([], Some(delivery)) => return Ok(Some((delivery_item(delivery), Expect::Anything))),
        ([change], None) => change,
        _ => return Ok(None),
    };
    Ok(match change {
        Change::Job(job) if job.version != Version::FIRST => {
            Some((job_item(job)?, Expect::before(job.version)))
        }
        Change::JobAmended(job) => Some((ended_job_item(job)?, Expect::before(job.version))),
        Change::Runner(runner) => Some((runner_item(runner)?, Expect::before(runner.version))),
        Change::RunnerAmended(runner) => Some((gone_runner_item(runner)?, Expect::before(runner.version))),
        Change::Warm(warm) => Some((warm_item(warm)?, Expect::before(warm.version))),
        Change::Hold(hold) => Some((hold_item(hold)?, Expect::Anything)),
        Change::Rerun(record) => Some((rerun_item(record)?, Expect::Anything)),
        Change::Image(image) => Some((image_item(image)?, Expect::Anything)),
        Change::Overspent(over) => Some((overspend_item(over)?, Expect::Anything)),
        Change::Claimed(claim) => Some((claim_item(claim), Expect::Absent)),
        Change::Job(_)
        | Change::JobEnded(_)
        | Change::JobReopened(_)
        | Change::RunnerGone(_)
        | Change::WarmGone(_)
        | Change::Released(_)
        | Change::RerunOver(_)
        | Change::BudgetOpen(_) => None,
    })
}

fn job_item(job: &Job) -> Result<Item, StoreError> {
    record_item(open_job(job.id()), job.version, &StoredJob::of(job))
}

fn runner_item(runner: &Runner) -> Result<Item, StoreError> {
    record_item(open_runner(runner.name()), runner.version, &StoredRunner::of(runner))
}

fn warm_item(warm: &WarmTask) -> Result<Item, StoreError> {
    record_item(open_warm(warm.name()), warm.version, &StoredWarm::of(warm))
}

fn gone_warm_item(warm: &EndedWarm) -> Result<Item, StoreError> {
    let mut item = record_item(gone_warm(&warm.facts.name), warm.version, &StoredEndedWarm::of(warm))?;
    // In one list with the runners that are gone.
    of_month(&mut item, "runner", warm.timeline.latest());
    Ok(item)
}

fn hold_item(hold: &Hold) -> Result<Item, StoreError> {
    let mut item = unversioned_item(hold_key(&hold.held), &StoredHold::of(hold))?;
    item.insert(EXPIRES_AT.to_owned(), number(hold.not_before.as_second() + HOLD_SECS));
    Ok(item)
}

fn rerun_item(record: &RerunRecord) -> Result<Item, StoreError> {
    let mut item = unversioned_item(rerun_key(&record.key()), &StoredRerun::of(record))?;
    item.insert(EXPIRES_AT.to_owned(), number(Timestamp::now().as_second() + RERUN_SECS));
    Ok(item)
}

fn image_item(image: &Image) -> Result<Item, StoreError> {
    unversioned_item(image_key(image.arch), &StoredImage::of(image))
}

fn overspend_item(over: &Overspend) -> Result<Item, StoreError> {
    let mut item = unversioned_item(budget_key(&over.key), &StoredOverspend::of(over))?;
    item.insert(EXPIRES_AT.to_owned(), number(over.until().as_second() + OVERSPEND_SECS));
    Ok(item)
}

fn claim_item(claim: &Claim) -> Item {
    let mut item = claimed_host(&claim.host);
    item.insert(OWNER.to_owned(), text(claim.runner.as_str()));
    item.insert(EXPIRES_AT.to_owned(), number(claim.at.as_second() + CLAIM_SECS));
    item
}

fn delivery_item(delivery: &DeliveryId) -> Item {
    let mut item = seen_delivery(delivery);
    item.insert(EXPIRES_AT.to_owned(), number(Timestamp::now().as_second() + DELIVERY_SECS));
    item
}

fn ended_job_item(job: &EndedJob) -> Result<Item, StoreError> {
    let mut item = record_item(ended_job(job.facts.id), job.version, &StoredEndedJob::of(job))?;
    history(&mut item, "job", job.timeline.latest(), &job.facts.repository.to_string());
    let runner = match &job.ending {
        JobEnding::Completed { runner, .. } | JobEnding::Refused { after: Some((_, runner)), .. } => {
            runner.name()
        }
        JobEnding::Refused { after: None, .. } => None,
    };
    if let Some(runner) = runner {
        item.insert(RUNNER.to_owned(), text(runner));
    }
    Ok(item)
}

fn gone_runner_item(runner: &EndedRunner) -> Result<Item, StoreError> {
    let stored = StoredEndedRunner::of(runner);
    let mut item = record_item(gone_runner(&runner.facts.name), runner.version, &stored)?;
    history(&mut item, "runner", runner.timeline.latest(), &runner.facts.repository.to_string());
    Ok(item)
}

/// Adds the attributes of the history's indexes.
fn history(item: &mut Item, kind: &str, ended_at: Timestamp, repository: &str) {
    of_month(item, kind, ended_at);
    item.insert(REPOSITORY.to_owned(), text(format!("{kind}#{}", repository.to_lowercase())));
}

/// Adds the attributes of the index by month alone, for records of no repository.
fn of_month(item: &mut Item, kind: &str, ended_at: Timestamp) {
    let month = ended_at.strftime("%Y-%m");
    item.insert(MONTH.to_owned(), text(format!("{kind}#{month}")));
    item.insert(ENDED_AT.to_owned(), number(ended_at.as_millisecond()));
    item.insert(EXPIRES_AT.to_owned(), number(ended_at.as_second() + HISTORY_SECS));
}
