//! The store: the tables of the other simulations, in which history is kept for an
//! hour only. Late events need no more.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use ecsrunner_core::decide::sweep::SweepProgress;
use ecsrunner_core::id::{DeliveryId, Epoch, JobId, RunnerName, TaskId};
use ecsrunner_core::records::change::{Change, Records};
use ecsrunner_core::records::job::{JobEnding, JobState};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::spend::Spending;
use ecsrunner_core::rules::pace::{Bucket, Level};
use ecsrunner_core::rules::settings::OnFailure;
use ecsrunner_core::wire::boot::TaskRole;
use ecsrunner_core::wire::event::Keys;
use ecsrunner_engine::ports::store::{
    Lease, LeaseRequest, Leases, LevelSet, Levels, Progress, Revocation, Spend, Store, StoreError,
    Transaction, Unreadable,
};
use jiff::Timestamp;
use jiff::civil::Date;

use super::state::{Shared, State};
use super::time::Millis;
use crate::faults::Method;
use crate::store::Tables;

/// How long the records of ended jobs and runners are kept.
const HISTORY: Millis = 60 * 60 * 1000;

/// The tables, and when their history is deleted.
#[derive(Debug, Default)]
pub(super) struct RecentTables {
    tables: Tables,
    ended: VecDeque<(Millis, Ended)>,
}

#[derive(Debug)]
enum Ended {
    Job(JobId),
    Runner(RunnerName),
}

impl RecentTables {
    pub(super) fn open(&self) -> &Open {
        &self.tables.open
    }

    /// Takes a boot item, and returns its configuration.
    pub(super) fn take_boot(&mut self, task: &TaskId) -> Option<String> {
        self.tables.take_boot(task).map(|boot| boot.jit)
    }

    fn commit(&mut self, transaction: &Transaction<'_>, now: Millis) -> Result<(), StoreError> {
        self.tables.commit(transaction)?;
        for change in transaction.changes {
            match change {
                Change::JobEnded(job) => self.ended.push_back((now + HISTORY, Ended::Job(job.facts.id))),
                Change::RunnerGone(runner) => {
                    self.ended.push_back((now + HISTORY, Ended::Runner(runner.facts.name.clone())));
                }
                _ => {}
            }
        }
        while self.ended.front().is_some_and(|(at, _)| *at <= now) {
            match self.ended.pop_front() {
                Some((_, Ended::Job(job))) => drop(self.tables.ended.remove(&job)),
                Some((_, Ended::Runner(runner))) => drop(self.tables.gone.remove(&runner)),
                None => {}
            }
        }
        Ok(())
    }
}

impl State {
    fn commit(&mut self, transaction: &Transaction<'_>, now: Millis) -> Result<(), StoreError> {
        self.tables.commit(transaction, now)?;
        for change in transaction.changes {
            self.tally.changed(change, now);
            if let Some(job) = self.left(change) {
                self.hub.forget_refused(job);
            }
        }
        Ok(())
    }

    /// Returns the job that the deployment refuses with this change, and that no runner will fail.
    fn left(&self, change: &Change) -> Option<JobId> {
        match change {
            Change::JobEnded(job) => matches!(job.ending, JobEnding::Refused { .. }).then_some(job.facts.id),
            Change::Job(job) => {
                let waits = self.rules.settings.on_failure == OnFailure::Wait;
                (waits && matches!(job.state, JobState::Refused { .. })).then_some(job.id())
            }
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct LoadStore(pub(super) Shared);

impl Store for LoadStore {
    async fn load(&self, keys: &Keys) -> Result<Records, StoreError> {
        self.0.call(Method::Load).await;
        Ok(self.0.lock().tables.tables.load(keys))
    }

    async fn commit(&self, transaction: Transaction<'_>) -> Result<(), StoreError> {
        self.0.call(Method::Commit).await;
        let now = self.0.now();
        self.0.lock().commit(&transaction, now)
    }

    async fn open(&self) -> Result<Open, StoreError> {
        self.0.call(Method::Open).await;
        Ok(self.0.lock().tables.tables.open.clone())
    }

    async fn revoke(&self, task: &TaskId, _role: TaskRole) -> Result<Revocation, StoreError> {
        self.0.call(Method::Revoke).await;
        Ok(match self.0.lock().tables.take_boot(task) {
            Some(_) => Revocation::GivenBack,
            None => Revocation::NotGivenBack,
        })
    }

    async fn set_aside(&self, _what: Unreadable<'_>) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Leases for LoadStore {
    async fn kick(&self) -> Result<u64, StoreError> {
        self.0.call(Method::Kick).await;
        Ok(self.0.lock().tables.tables.kick())
    }

    async fn kicks(&self) -> Result<u64, StoreError> {
        self.0.call(Method::Kicks).await;
        Ok(self.0.lock().tables.tables.kicks)
    }

    async fn take(
        &self,
        request: &LeaseRequest,
        now: Timestamp,
        length: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        self.0.call(Method::Take).await;
        Ok(self.0.lock().tables.tables.take_lease(request, now, length))
    }

    async fn renew(&self, epoch: Epoch, now: Timestamp, length: Duration) -> Result<bool, StoreError> {
        self.0.call(Method::Renew).await;
        Ok(self.0.lock().tables.tables.renew_lease(epoch, now, length))
    }

    async fn release(
        &self,
        epoch: Epoch,
        kicks: Option<u64>,
        next_kick_at: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        self.0.call(Method::Release).await;
        self.0.lock().tables.tables.release_lease(epoch, kicks, next_kick_at)
    }
}

impl Levels for LoadStore {
    async fn set_level(
        &self,
        bucket: &Bucket,
        before: Option<Level>,
        after: Level,
    ) -> Result<LevelSet, StoreError> {
        self.0.call(Method::SetLevel).await;
        let levels = &mut self.0.lock().tables.tables.open.levels;
        let found = levels.get(bucket).copied();
        if found != before {
            return Ok(LevelSet::Found(found));
        }
        levels.insert(bucket.clone(), after);
        Ok(LevelSet::Done)
    }
}

impl Spend for LoadStore {
    async fn spent(&self, since: Date, _now: Timestamp) -> Result<Spending, StoreError> {
        self.0.call(Method::Spent).await;
        Ok(self.0.lock().tables.tables.spent(since))
    }
}

impl Progress for LoadStore {
    async fn progress(&self) -> Result<SweepProgress, StoreError> {
        self.0.call(Method::Progress).await;
        Ok(self.0.lock().tables.tables.progress.clone())
    }

    async fn keep_progress(&self, progress: &SweepProgress) -> Result<(), StoreError> {
        self.0.call(Method::KeepProgress).await;
        self.0.lock().tables.tables.progress = progress.clone();
        Ok(())
    }

    async fn recorded_deliveries(&self, ids: &[DeliveryId]) -> Result<HashSet<DeliveryId>, StoreError> {
        Ok(ids.iter().cloned().collect())
    }
}
