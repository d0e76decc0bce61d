//! The port to the store: open records, history, the lease, launch levels, and
//! the progress of the sweep.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::future::Future;
use std::time::Duration;

use ecsrunner_core::decide::sweep::SweepProgress;
use ecsrunner_core::id::{DeliveryId, Epoch, JobId, Repository, TaskId};
use ecsrunner_core::reason::Reason;
use ecsrunner_core::records::change::{Change, Records};
use ecsrunner_core::records::job::{EndedJob, JobRecord};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::spend::Spending;
use ecsrunner_core::records::task::EndedTask;
use ecsrunner_core::rules::budget::Budgets;
use ecsrunner_core::rules::pace::{Bucket, Level};
use ecsrunner_core::wire::boot::{BootItem, TaskRole};
use ecsrunner_core::wire::event::Keys;
use jiff::Timestamp;
use jiff::civil::Date;
use secrecy::SecretString;

use super::Disposition;

/// The records of jobs and runners. Every read is consistent.
pub trait Store: Send + Sync {
    /// Loads the job with these keys, open or ended, and the runner and the warm task if they are open.
    fn load(&self, keys: &Keys) -> impl Future<Output = Result<Records, StoreError>> + Send;

    /// Writes everything or nothing. It fails with [`StoreError::Conflict`] if a
    /// stored record is not at the version before the one written, or if history
    /// has the id of a new open record.
    fn commit(&self, transaction: Transaction<'_>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Reads everything that is open. Records that cannot be read are set aside
    /// and reported; they never hide the others. The records are not of one moment, but those of reruns are not older
    /// than the jobs and runners: the loss of a runner that has stopped is among them.
    fn open(&self) -> impl Future<Output = Result<Open, StoreError>> + Send;

    /// Takes a boot item back. The call is never retried, so a caller that gets
    /// the item back knows that no task holds it.
    fn revoke(
        &self,
        task: &TaskId,
        role: TaskRole,
    ) -> impl Future<Output = Result<Revocation, StoreError>> + Send;

    /// Keeps content that cannot be read, so that a person can look at it.
    fn set_aside(&self, what: Unreadable<'_>) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Content that cannot be read and is therefore kept.
#[derive(Clone, Copy, Debug)]
pub struct Unreadable<'a> {
    /// Its kind, such as `webhook`.
    pub what: &'static str,
    /// Its id, such as the delivery's.
    pub id: &'a str,
    pub content: &'a [u8],
    /// Why it cannot be read.
    pub reason: &'a Reason,
    pub at: Timestamp,
}

/// The dispatcher's lease, and the kicks that its holder serves.
pub trait Leases: Send + Sync {
    /// Adds one to the kick count, because a fact was recorded that can alter the
    /// plan. Returns the new count.
    fn kick(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Returns the kick count.
    fn kicks(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Takes the lease for `length` if it is free, expired, or the caller's
    /// already, so that a lost answer is recovered by asking again. A lease that
    /// would last for longer than `length` and [`SKEW`](ecsrunner_core::clock::SKEW)
    /// is of before the clock was set back, and counts as expired.
    fn take(
        &self,
        request: &LeaseRequest,
        now: Timestamp,
        length: Duration,
    ) -> impl Future<Output = Result<Option<Lease>, StoreError>> + Send;

    /// Extends the lease to `length` from now; false if it was lost.
    fn renew(
        &self,
        epoch: Epoch,
        now: Timestamp,
        length: Duration,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Releases the lease if the kick count is still `kicks`. False otherwise;
    /// the holder then makes another round. Without `kicks`, the lease is
    /// released in any case. `next_kick_at` is when a posted kick will arrive.
    fn release(
        &self,
        epoch: Epoch,
        kicks: Option<u64>,
        next_kick_at: Option<Timestamp>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// A caller that wants the lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseRequest {
    /// Identifies the caller uniquely.
    pub owner: u128,
    /// Takes the lease at once. The caller must hold a lock of its own that excludes any other holder.
    pub force: bool,
}

/// The right to plan, launch, retire and call GitHub. One dispatcher has it at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// One more than the previous holder's epoch. Writes of an older epoch are refused.
    pub epoch: Epoch,
    /// When the last posted kick arrives or arrived.
    pub next_kick_at: Option<Timestamp>,
}

/// The levels of the buckets from which launches draw.
pub trait Levels: Send + Sync {
    /// Sets a bucket's level to `after` if it is still `before`.
    fn set_level(
        &self,
        bucket: &Bucket,
        before: Option<Level>,
        after: Level,
    ) -> impl Future<Output = Result<LevelSet, StoreError>> + Send;
}

/// What was spent.
pub trait Spend: Send + Sync {
    /// Returns the sums of the days from `since` on.
    fn spent(&self, since: Date, now: Timestamp)
    -> impl Future<Output = Result<Spending, StoreError>> + Send;
}

/// The result of setting a level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LevelSet {
    Done,
    /// The level had changed to this one.
    Found(Option<Level>),
}

/// What a sweep remembers until the next one.
pub trait Progress: Send + Sync {
    /// Returns the progress that the last sweep wrote; empty before the first sweep.
    fn progress(&self) -> impl Future<Output = Result<SweepProgress, StoreError>> + Send;

    /// Writes the progress for the next sweep. If two sweeps overlap, the last write remains.
    fn keep_progress(&self, progress: &SweepProgress) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Returns which of these deliveries were recorded.
    fn recorded_deliveries(
        &self,
        ids: &[DeliveryId],
    ) -> impl Future<Output = Result<HashSet<DeliveryId>, StoreError>> + Send;
}

/// Ended jobs, runners and warm tasks, for the page, the API and the CLI.
pub trait History: Send + Sync {
    /// Lists ended jobs, the latest first.
    fn jobs(&self, page: &Page) -> impl Future<Output = Result<Listed<EndedJob>, StoreError>> + Send;

    /// Lists gone runners and warm tasks, the latest first. Warm tasks are of no repository.
    fn runners(&self, page: &Page) -> impl Future<Output = Result<Listed<EndedTask>, StoreError>> + Send;

    /// Reads one job, open or ended.
    fn job(&self, id: JobId) -> impl Future<Output = Result<Option<JobRecord>, StoreError>> + Send;
}

/// A query for a part of history.
#[derive(Clone, Default, Debug)]
pub struct Page {
    pub repository: Option<Repository>,
    /// Excludes items that ended before this time.
    pub since: Option<Timestamp>,
    /// Only items that ended before this time.
    pub before: Option<Timestamp>,
    /// The most items to return.
    pub limit: u32,
    /// The `next` of the previous page.
    pub after: Option<String>,
}

/// One page of history.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<String>,
}

/// Writes that are committed together or not at all.
#[derive(Clone, Debug)]
pub struct Transaction<'a> {
    /// The records' next versions.
    pub changes: &'a [Change],
    /// The epoch of the lease that must still be held.
    pub fence: Option<Epoch>,
    /// A boot item to put, which must not exist yet.
    pub boot: Option<BootPut<'a>>,
    /// The webhook delivery that caused the changes. It is recorded, so that the sweep does not fetch it.
    pub delivery: Option<&'a DeliveryId>,
    /// The budgets of repositories: the cost of a task that the changes move to history is added to the sums of its class
    /// and of these, in the same transaction.
    pub budgets: &'a Budgets,
    /// A slot that the changes use: the bucket's level becomes this one, whatever it was. Only a fenced transaction has
    /// one, so nobody else writes that level.
    pub slot: Option<(&'a Bucket, Level)>,
}

static NO_BUDGETS: Budgets = Budgets { deployment: None, repositories: BTreeMap::new() };

impl<'a> Transaction<'a> {
    #[must_use]
    pub fn of(changes: &'a [Change]) -> Self {
        Self { changes, fence: None, boot: None, delivery: None, budgets: &NO_BUDGETS, slot: None }
    }

    /// A transaction that is written only while the lease of that epoch is held.
    #[must_use]
    pub fn fenced(changes: &'a [Change], epoch: Epoch) -> Self {
        Self { fence: Some(epoch), ..Self::of(changes) }
    }
}

/// A configuration to hand over to a task.
#[derive(Clone, Debug)]
pub struct BootPut<'a> {
    /// The only task that may take it.
    pub task: TaskId,
    pub role: TaskRole,
    /// The data that goes with the configuration.
    pub item: BootItem,
    pub jit: &'a SecretString,
    /// When the table may delete it.
    pub expires_at: Timestamp,
}

/// The result of revoking a boot item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Revocation {
    /// The item came back, so no task holds the configuration.
    GivenBack,
    /// The item was not there. The task has taken it, or may have.
    NotGivenBack,
}

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another write came first. Read and decide again.
    #[error("a record changed in the meantime")]
    Conflict,
    /// The caller no longer holds the lease.
    #[error("the dispatcher's lease was lost")]
    Fenced,
    /// The store is busy or unreachable.
    #[error("the store could not {operation}")]
    Unavailable {
        operation: &'static str,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store refuses the operation; a retry would fail too.
    #[error("the store refuses to {operation}")]
    Refused {
        operation: &'static str,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The caller's [`Page::after`] is not the `next` of an earlier page.
    #[error("the cursor is not one that an earlier page gave")]
    Cursor {
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// Returns what a caller can do about the error.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Conflict | Self::Unavailable { .. } => Disposition::Retry { after: None },
            Self::Fenced | Self::Refused { .. } | Self::Cursor { .. } => Disposition::Permanent,
        }
    }
}
