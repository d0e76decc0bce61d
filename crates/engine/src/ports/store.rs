//! What is open, what was, and who may plan.

use std::collections::HashSet;
use std::error::Error;
use std::future::Future;
use std::time::Duration;

use ecsrunner_core::decide::sweep::SweepProgress;
use ecsrunner_core::id::{DeliveryId, Epoch, JobId, Repository, TaskId};
use ecsrunner_core::reason::Reason;
use ecsrunner_core::records::change::{Change, Records};
use ecsrunner_core::records::job::{EndedJob, JobRecord};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::EndedRunner;
use ecsrunner_core::rules::pace::{Bucket, Level};
use ecsrunner_core::wire::boot::{BootItem, TaskRole};
use ecsrunner_core::wire::event::Keys;
use jiff::Timestamp;
use secrecy::SecretString;

use super::Disposition;

/// The records of jobs and runners. Every read is consistent.
pub trait Store: Send + Sync {
    /// What an event is about.
    fn load(&self, keys: &Keys) -> impl Future<Output = Result<Records, StoreError>> + Send;

    /// Writes everything or nothing. A record that is not at the version
    /// before the one written is a [`StoreError::Conflict`], as is an open
    /// record of an id that history has.
    fn commit(&self, transaction: Transaction<'_>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Everything that is open. Records that cannot be read are set aside and
    /// reported, and never hide the others.
    fn open(&self) -> impl Future<Output = Result<Open, StoreError>> + Send;

    /// Takes a boot item back. Retried by nobody: whoever gets it back knows
    /// that no task holds it.
    fn revoke(
        &self,
        task: &TaskId,
        role: TaskRole,
    ) -> impl Future<Output = Result<Revocation, StoreError>> + Send;

    /// Keeps what cannot be read, for a person to look at.
    fn set_aside(&self, what: Unreadable<'_>) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Something that cannot be read, and is kept for that.
#[derive(Clone, Copy, Debug)]
pub struct Unreadable<'a> {
    /// Its kind, such as `webhook`.
    pub what: &'static str,
    /// Its id, such as the delivery's.
    pub id: &'a str,
    pub content: &'a [u8],
    /// What is wrong with it.
    pub reason: &'a Reason,
    pub at: Timestamp,
}

/// The dispatcher's lease, and the kicks that its holder answers.
pub trait Leases: Send + Sync {
    /// Adds one to the kicks: a fact was recorded that can alter the plan.
    /// Returns how many there were then.
    fn kick(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// How many kicks there were.
    fn kicks(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Takes the lease for `length`, if it is free, expired, or the caller's
    /// already, so that a lost answer is recovered by asking again.
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

    /// Releases the lease, if there was no kick since `kicks` was read; false
    /// otherwise, and the holder makes another round. Without `kicks` it is
    /// released in any case. `next_kick_at` is when a posted kick will come.
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
    /// Tells the caller from every other one.
    pub owner: u128,
    /// The caller holds a lock of its own against any other holder: the lease is taken at once.
    pub force: bool,
}

/// The right to plan, launch, retire and call GitHub: one dispatcher has it at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// One more than that of the holder before. Writes of an older epoch are refused.
    pub epoch: Epoch,
    /// When a kick that was posted will come, or came.
    pub next_kick_at: Option<Timestamp>,
}

/// The buckets from which launches draw.
pub trait Levels: Send + Sync {
    /// Sets a bucket's level, if it is as it was.
    fn set_level(
        &self,
        bucket: &Bucket,
        before: Option<Level>,
        after: Level,
    ) -> impl Future<Output = Result<LevelSet, StoreError>> + Send;
}

/// What became of setting a level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LevelSet {
    Done,
    /// It was another meanwhile.
    Found(Option<Level>),
}

/// What a sweep remembers until the next one.
pub trait Progress: Send + Sync {
    /// What the last sweep left; nothing before the first.
    fn progress(&self) -> impl Future<Output = Result<SweepProgress, StoreError>> + Send;

    /// Leaves it for the next one. The sweep holds the dispatcher's lease, so nobody else writes it.
    fn keep_progress(&self, progress: &SweepProgress) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Which of these deliveries were recorded.
    fn recorded_deliveries(
        &self,
        ids: &[DeliveryId],
    ) -> impl Future<Output = Result<HashSet<DeliveryId>, StoreError>> + Send;
}

/// What was, for people: the page, the API and the CLI.
pub trait History: Send + Sync {
    /// Ended jobs, the latest first.
    fn jobs(&self, page: &Page) -> impl Future<Output = Result<Listed<EndedJob>, StoreError>> + Send;

    /// Gone runners, the latest first.
    fn runners(&self, page: &Page) -> impl Future<Output = Result<Listed<EndedRunner>, StoreError>> + Send;

    /// One job, open or ended.
    fn job(&self, id: JobId) -> impl Future<Output = Result<Option<JobRecord>, StoreError>> + Send;
}

/// Which part of history.
#[derive(Clone, Default, Debug)]
pub struct Page {
    pub repository: Option<Repository>,
    /// Nothing that ended before.
    pub since: Option<Timestamp>,
    /// Only what ended before.
    pub before: Option<Timestamp>,
    /// At most so many.
    pub limit: u32,
    /// Where the page before ended.
    pub after: Option<String>,
}

/// A part of history.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// Writes that hold together.
#[derive(Debug)]
pub struct Transaction<'a> {
    /// The records' next versions.
    pub changes: &'a [Change],
    /// The epoch of the lease that must still be held.
    pub fence: Option<Epoch>,
    /// A boot item to be put, which must not be there.
    pub boot: Option<BootPut<'a>>,
    /// The webhook delivery that told of it: the sweep need not fetch it.
    pub delivery: Option<&'a DeliveryId>,
}

impl<'a> Transaction<'a> {
    #[must_use]
    pub fn of(changes: &'a [Change]) -> Self {
        Self { changes, fence: None, boot: None, delivery: None }
    }

    /// Changes that are written only while the lease of that epoch is held.
    #[must_use]
    pub fn fenced(changes: &'a [Change], epoch: Epoch) -> Self {
        Self { fence: Some(epoch), ..Self::of(changes) }
    }
}

/// A configuration to be handed over to a task.
#[derive(Debug)]
pub struct BootPut<'a> {
    /// The task that alone may take it.
    pub task: TaskId,
    pub role: TaskRole,
    /// What goes with it.
    pub item: &'a BootItem,
    pub jit: &'a SecretString,
    /// When the table may forget it.
    pub expires_at: Timestamp,
}

/// What became of taking a boot item back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Revocation {
    /// It came back: nobody else holds the configuration.
    GivenBack,
    /// It was not there: the task took it, or may have.
    NotGivenBack,
}

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else's write came first: read again, decide again.
    #[error("a record changed meanwhile")]
    Conflict,
    /// The lease is no longer held in this holder.
    #[error("the dispatcher's lease was lost")]
    Fenced,
    /// The store is busy or out of reach.
    #[error("the store could not {operation}")]
    Unavailable {
        operation: &'static str,
        /// What went wrong below.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store will not do that.
    #[error("the store refuses to {operation}")]
    Refused {
        operation: &'static str,
        /// What went wrong below.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// What a caller can do about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Conflict | Self::Unavailable { .. } => Disposition::Retry { after: None },
            Self::Fenced | Self::Refused { .. } => Disposition::Permanent,
        }
    }
}
