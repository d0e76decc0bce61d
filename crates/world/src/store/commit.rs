//! Commits a transaction: checks every condition, then makes every write.

use std::collections::HashSet;

use ecsrunner_core::id::{HostId, JobId, RunnerName, Version, WarmName};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::hold::Held;
use ecsrunner_core::records::overspend::BudgetKey;
use ecsrunner_core::records::rerun::RerunKey;
use ecsrunner_core::records::spend::Spending;
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_engine::ports::store::{StoreError, Transaction};
use secrecy::ExposeSecret;

use super::{Boot, Tables};

const MAX_WRITES: usize = 100;
const OPERATION: &str = "write records";

impl Tables {
    /// Writes everything or nothing.
    pub(crate) fn commit(&mut self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        check_form(transaction)?;
        if transaction.fence.is_some_and(|epoch| self.lease.epoch != epoch.get()) {
            return Err(StoreError::Fenced);
        }
        let boot_is_there = transaction.boot.as_ref().is_some_and(|boot| self.boot.contains_key(&boot.task));
        if boot_is_there || !transaction.changes.iter().all(|change| self.admits(change)) {
            return Err(StoreError::Conflict);
        }
        for change in transaction.changes {
            self.apply(change);
        }
        self.spending.extend(Spending::of_changes(transaction.changes, transaction.budgets));
        if let Some(boot) = &transaction.boot {
            let item = Boot { item: boot.item.clone(), jit: boot.jit.expose_secret().to_owned() };
            self.boot.insert(boot.task.clone(), item);
        }
        self.deliveries.extend(transaction.delivery.cloned());
        self.open.levels.extend(transaction.slot.map(|(bucket, level)| (bucket.clone(), level)));
        Ok(())
    }

    /// Whether the conditions of a write hold.
    fn admits(&self, change: &Change) -> bool {
        match change {
            Change::Job(job) => {
                is_before(self.open.jobs.get(&job.id()).map(|job| job.version), job.version)
                    && (job.version != Version::FIRST || !self.ended.contains_key(&job.id()))
            }
            Change::JobEnded(job) => {
                is_before(self.open.jobs.get(&job.facts.id).map(|job| job.version), job.version)
                    && !self.ended.contains_key(&job.facts.id)
            }
            Change::JobAmended(job) => {
                is_before(self.ended.get(&job.facts.id).map(|job| job.version), job.version)
            }
            Change::JobReopened(job) => {
                is_before(self.ended.get(&job.id()).map(|job| job.version), job.version)
                    && !self.open.jobs.contains_key(&job.id())
            }
            Change::Runner(runner) => {
                is_before(self.open.runners.get(runner.name()).map(|runner| runner.version), runner.version)
            }
            Change::RunnerGone(runner) => {
                let name = &runner.facts.name;
                is_before(self.open.runners.get(name).map(|runner| runner.version), runner.version)
                    && !self.gone.contains_key(name)
            }
            Change::RunnerAmended(runner) => {
                is_before(self.gone.get(&runner.facts.name).map(|runner| runner.version), runner.version)
            }
            Change::Warm(warm) => {
                is_before(self.open.warm.get(warm.name()).map(|warm| warm.version), warm.version)
            }
            Change::WarmGone(warm) => {
                let name = &warm.facts.name;
                is_before(self.open.warm.get(name).map(|warm| warm.version), warm.version)
                    && !self.gone_warm.contains_key(name)
            }
            Change::Claimed(claim) => !self.claimed.contains_key(&claim.host),
            Change::Hold(_)
            | Change::Released(_)
            | Change::Rerun(_)
            | Change::RerunOver(_)
            | Change::Image(_)
            | Change::Overspent(_)
            | Change::BudgetOpen(_) => true,
        }
    }

    fn apply(&mut self, change: &Change) {
        self.open.apply(change);
        match change {
            Change::JobEnded(job) | Change::JobAmended(job) => {
                self.ended.insert(job.facts.id, job.clone());
            }
            Change::JobReopened(job) => {
                self.ended.remove(&job.id());
            }
            Change::RunnerGone(runner) | Change::RunnerAmended(runner) => {
                self.gone.insert(runner.facts.name.clone(), (**runner).clone());
            }
            Change::WarmGone(warm) => {
                self.gone_warm.insert(warm.facts.name.clone(), (**warm).clone());
            }
            Change::Claimed(claim) => {
                self.claimed.insert(claim.host.clone(), claim.runner.clone());
            }
            Change::Job(_)
            | Change::Runner(_)
            | Change::Warm(_)
            | Change::Hold(_)
            | Change::Released(_)
            | Change::Rerun(_)
            | Change::RerunOver(_)
            | Change::Image(_)
            | Change::Overspent(_)
            | Change::BudgetOpen(_) => {}
        }
    }
}

/// Whether the stored version is the one before the version to be written.
fn is_before(found: Option<Version>, written: Version) -> bool {
    match found {
        None => written == Version::FIRST,
        Some(found) => written != Version::FIRST && found.next() == written,
    }
}

/// What a change writes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Item<'a> {
    Job(JobId),
    Runner(&'a RunnerName),
    Warm(&'a WarmName),
    Hold(&'a Held),
    Rerun(RerunKey),
    Image(Arch),
    Budget(&'a BudgetKey),
    Claim(&'a HostId),
}

/// Refuses transactions that DynamoDB always refuses: too many writes, or two writes of one item.
fn check_form(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    let mut items = HashSet::new();
    let mut writes = usize::from(transaction.fence.is_some());
    writes += usize::from(transaction.boot.is_some()) + usize::from(transaction.delivery.is_some());
    writes += usize::from(transaction.slot.is_some());
    writes += Spending::of_changes(transaction.changes, transaction.budgets).0.len();
    for change in transaction.changes {
        let (item, weight) = match change {
            Change::Job(job) => (Item::Job(job.id()), if job.version == Version::FIRST { 2 } else { 1 }),
            Change::JobEnded(job) => (Item::Job(job.facts.id), 2),
            Change::JobAmended(job) => (Item::Job(job.facts.id), 1),
            Change::JobReopened(job) => (Item::Job(job.id()), 2),
            Change::Runner(runner) => (Item::Runner(runner.name()), 1),
            Change::RunnerGone(runner) => (Item::Runner(&runner.facts.name), 2),
            Change::RunnerAmended(runner) => (Item::Runner(&runner.facts.name), 1),
            Change::Warm(warm) => (Item::Warm(warm.name()), 1),
            Change::WarmGone(warm) => (Item::Warm(&warm.facts.name), 2),
            Change::Hold(hold) => (Item::Hold(&hold.held), 1),
            Change::Released(held) => (Item::Hold(held), 1),
            Change::Rerun(record) => (Item::Rerun(record.key()), 1),
            Change::RerunOver(key) => (Item::Rerun(key.clone()), 1),
            Change::Image(image) => (Item::Image(image.arch), 1),
            Change::Overspent(over) => (Item::Budget(&over.key), 1),
            Change::BudgetOpen(budget) => (Item::Budget(budget), 1),
            Change::Claimed(claim) => (Item::Claim(&claim.host), 1),
        };
        writes += weight;
        // A single change needs no set.
        if transaction.changes.len() > 1 && !items.insert(item.clone()) {
            let source = format!("{item:?} is written twice").into();
            return Err(StoreError::Refused { operation: OPERATION, source });
        }
    }
    if writes > MAX_WRITES {
        let source = format!("{writes} writes: at most {MAX_WRITES} fit into a transaction").into();
        return Err(StoreError::Refused { operation: OPERATION, source });
    }
    Ok(())
}
