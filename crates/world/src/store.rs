//! The store in memory: core's records, with the same conditions as in the DynamoDB
//! implementation.

mod commit;
mod capacity;
mod lease;
mod pages;

use std::collections::{BTreeMap, HashSet};

use ecsrunner_core::decide::sweep::SweepProgress;
use ecsrunner_core::id::{DeliveryId, HostId, JobId, RunnerName, TaskId, WarmName};
use ecsrunner_core::records::change::{Change, Records};
use ecsrunner_core::records::job::{EndedJob, JobRecord};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::EndedRunner;
use ecsrunner_core::records::spend::Spending;
use ecsrunner_core::records::warm::EndedWarm;
use ecsrunner_core::rules::pace::{Bucket, Level};
use ecsrunner_core::wire::boot::{BootItem, TaskRole};
use ecsrunner_core::wire::event::Keys;
use ecsrunner_engine::ports::Clock;
use ecsrunner_engine::ports::store::{
    LevelSet, Levels, Progress, Revocation, Spend, Store, StoreError, Transaction, Unreadable,
};

use jiff::Timestamp;
use jiff::civil::Date;

use super::outside::Shared;
use capacity::WriteCapacity;
use lease::LeaseItem;

#[derive(Debug, Default)]
pub struct Tables {
    pub open: Open,
    pub ended: BTreeMap<JobId, EndedJob>,
    pub gone: BTreeMap<RunnerName, EndedRunner>,
    pub gone_warm: BTreeMap<WarmName, EndedWarm>,
    /// Whose each EC2 instance is.
    pub claimed: BTreeMap<HostId, RunnerName>,
    /// Boot items that no task has taken.
    pub boot: BTreeMap<TaskId, Boot>,
    /// What was spent.
    pub spending: Spending,
    /// Recorded webhook deliveries.
    pub deliveries: HashSet<DeliveryId>,
    /// Ids of unreadable input.
    pub set_aside: Vec<String>,
    /// The progress of the last sweep.
    pub progress: SweepProgress,
    /// How many kicks there were.
    pub kicks: u64,
    lease: LeaseItem,
    writes: WriteCapacity,
}

#[derive(Clone, Debug)]
pub struct Boot {
    /// The boot item for the task.
    pub item: BootItem,
    /// The configuration, which is the fake GitHub's id of the registration.
    pub jit: String,
}

impl Tables {
    /// Whether no record is open and no boot item is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_at_rest() && self.boot.is_empty()
    }

    /// Takes a boot item, like the single `DeleteItem` of its task.
    pub(super) fn take_boot(&mut self, task: &TaskId) -> Option<Boot> {
        self.boot.remove(task)
    }

    pub(crate) fn spent(&self, since: Date) -> Spending {
        let sums = self.spending.0.iter().filter(|(key, _)| key.day >= since);
        Spending(sums.map(|(key, spent)| (key.clone(), *spent)).collect())
    }

    pub(crate) fn load(&self, keys: &Keys) -> Records {
        let job = keys.job.and_then(|id| {
            let ended = || self.ended.get(&id).cloned().map(JobRecord::Ended);
            self.open.jobs.get(&id).cloned().map(JobRecord::Open).or_else(ended)
        });
        let runner = keys.runner.as_ref().and_then(|name| self.open.runners.get(name)).cloned();
        let warm = keys.warm.as_ref().and_then(|name| self.open.warm.get(name)).cloned();
        let in_history = keys.runner.as_ref().filter(|_| keys.gone && runner.is_none());
        let gone = in_history.and_then(|name| self.gone.get(name)).cloned();
        let claimed_by = keys.host.as_ref().and_then(|host| self.claimed.get(host)).cloned();
        Records { job, runner, warm, gone, claimed_by }
    }
}

#[derive(Clone, Debug)]
pub struct MemoryStore(pub(super) Shared);

impl Store for MemoryStore {
    async fn load(&self, keys: &Keys) -> Result<Records, StoreError> {
        let outside = self.0.lock();
        if keys.job.is_some_and(|job| outside.fault_plan.unreadable_jobs.contains(&job)) {
            let source = "the record has schema 99".into();
            return Err(StoreError::Refused { operation: "read a record", source });
        }
        Ok(outside.tables.load(keys))
    }

    async fn commit(&self, transaction: Transaction<'_>) -> Result<(), StoreError> {
        let begun = self.0.clock().now();
        let wait = self.0.lock().admit_write(&transaction, begun)?;
        tokio::time::sleep(wait).await;
        let now = self.0.clock().now();
        let outside = &mut *self.0.lock();
        let unreadable = &outside.fault_plan.unreadable_jobs;
        let is_of_job =
            |change: &Change| matches!(change, Change::Job(job) if unreadable.contains(&job.id()));
        if transaction.changes.iter().any(is_of_job) {
            return Err(StoreError::Conflict);
        }
        outside.tables.commit(&transaction)?;
        if let Some(boot) = &transaction.boot {
            let host = outside.ecs.host_of_task(boot.task.as_str()).map(str::to_owned);
            let is_managed = outside.tables.open.runners.get(&boot.item.runner);
            let is_managed = is_managed.is_some_and(|runner| runner.placement.managed.is_some());
            outside.ledger.gave_configuration(&boot.item.runner, host, is_managed);
        }
        outside.ledger.committed(transaction.changes, &outside.tables, now);
        Ok(())
    }

    async fn open(&self) -> Result<Open, StoreError> {
        if self.0.lock().fault_plan.opens_fail {
            let source = "connection reset".into();
            return Err(StoreError::Unavailable { operation: "read the open records", source });
        }
        Ok(pages::read(&self.0).await)
    }

    async fn revoke(&self, task: &TaskId, _role: TaskRole) -> Result<Revocation, StoreError> {
        Ok(match self.0.lock().tables.boot.remove(task) {
            Some(_) => Revocation::GivenBack,
            None => Revocation::NotGivenBack,
        })
    }

    async fn set_aside(&self, what: Unreadable<'_>) -> Result<(), StoreError> {
        self.0.lock().tables.set_aside.push(what.id.to_owned());
        Ok(())
    }
}

impl Levels for MemoryStore {
    async fn set_level(
        &self,
        bucket: &Bucket,
        before: Option<Level>,
        after: Level,
    ) -> Result<LevelSet, StoreError> {
        let levels = &mut self.0.lock().tables.open.levels;
        let found = levels.get(bucket).copied();
        if found != before {
            return Ok(LevelSet::Found(found));
        }
        levels.insert(bucket.clone(), after);
        Ok(LevelSet::Done)
    }
}

impl Spend for MemoryStore {
    async fn spent(&self, since: Date, _now: Timestamp) -> Result<Spending, StoreError> {
        let outside = self.0.lock();
        if outside.fault_plan.sums_fail {
            let source = "connection reset".into();
            return Err(StoreError::Unavailable { operation: "read what was spent", source });
        }
        Ok(outside.tables.spent(since))
    }
}

impl Progress for MemoryStore {
    async fn progress(&self) -> Result<SweepProgress, StoreError> {
        Ok(self.0.lock().tables.progress.clone())
    }

    async fn keep_progress(&self, progress: &SweepProgress) -> Result<(), StoreError> {
        self.0.lock().tables.progress = progress.clone();
        Ok(())
    }

    async fn recorded_deliveries(&self, ids: &[DeliveryId]) -> Result<HashSet<DeliveryId>, StoreError> {
        let recorded = &self.0.lock().tables.deliveries;
        Ok(ids.iter().filter(|id| recorded.contains(*id)).cloned().collect())
    }
}
