//! Compares records with tasks, in both directions.

use ecsrunner_core::decide::sweep::tasks::repair;
use ecsrunner_core::decide::sweep::{Lag, SeenTask};
use ecsrunner_core::id::TaskName;
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::{Runner, RunnerState};
use ecsrunner_core::records::warm::WarmState;
use ecsrunner_core::wire::event::{Event, Keys, TaskEvent};
use tracing::{info, warn};

use super::{PartError, Pass};
use crate::ports::compute::Compute;
use crate::ports::store::{Store, StoreError};
use crate::{Engine, World};

/// The most records repaired in one pass.
const MAX_REPAIRED: usize = 200;
/// The most tasks stopped in one pass.
const MAX_STOPPED: usize = 50;

impl<W: World> Engine<W> {
    pub(super) async fn sweep_tasks(&self, pass: &mut Pass, open: &Open, lag: Lag) -> Result<(), PartError> {
        if !pass.has_time(&self.ports.clock) {
            return Ok(());
        }
        let tasks = self.ports.compute.tasks().await?;
        let repairs = repair(open, &tasks, &pass.progress.missing, lag, pass.now);
        pass.progress.missing = repairs.missing;
        pass.swept.cut |= repairs.events.len() > MAX_REPAIRED || repairs.orphans.len() > MAX_STOPPED;
        for event in repairs.events.into_iter().take(MAX_REPAIRED) {
            if !pass.has_time(&self.ports.clock) {
                return Ok(());
            }
            match self.repair_record(event).await {
                Ok(repaired) => pass.swept.repaired += usize::from(repaired),
                // The store is unavailable for the other runners too.
                Err(error @ StoreError::Unavailable { .. }) => return Err(error.into()),
                Err(error) => pass.failed("tasks", &error),
            }
        }
        for orphan in repairs.orphans.iter().take(MAX_STOPPED) {
            if !pass.has_time(&self.ports.clock) {
                return Ok(());
            }
            match self.is_orphan(orphan).await {
                Ok(false) => continue,
                Ok(true) => {}
                // The runner's record cannot be read; it may need this task.
                Err(error @ StoreError::Unavailable { .. }) => return Err(error.into()),
                Err(error) => {
                    pass.failed("tasks", &error);
                    continue;
                }
            }
            warn!(name = %orphan.name, task = %orphan.task, "stopping a task that no record needs");
            self.ports.compute.stop_task(&orphan.task, "no open record needs this task").await?;
            pass.swept.stopped_orphans += 1;
        }
        Ok(())
    }

    async fn repair_record(&self, event: TaskEvent) -> Result<bool, StoreError> {
        let (name, task) = (event.name.clone(), event.task.clone());
        let changed = !self.record(&Event::Task(event)).await?.changes.is_empty();
        if changed {
            info!(%name, %task, "repaired record against its task");
        }
        Ok(changed)
    }

    /// Reads the task's record again; returns whether it is missing or has another task.
    async fn is_orphan(&self, seen: &SeenTask) -> Result<bool, StoreError> {
        let records = self.ports.store.load(&Keys::of_task(&seen.name)).await?;
        let runner = match (&seen.name, records.warm) {
            (TaskName::Runner(_), _) => records.runner,
            (TaskName::Warm(_), None) => None,
            (TaskName::Warm(_), Some(warm)) => match &warm.state {
                WarmState::Used(runner) => self.ports.store.load(&Keys::of_runner(runner)).await?.runner,
                state => {
                    let may_want =
                        *state == WarmState::Reserved || warm.task().is_none_or(|task| *task == seen.task);
                    return Ok(!may_want);
                }
            },
        };
        Ok(runner.is_none_or(|runner| !may_want(&runner, seen)))
    }
}

fn may_want(runner: &Runner, seen: &SeenTask) -> bool {
    matches!(runner.state, RunnerState::Reserved { .. })
        || runner.task().is_none_or(|task| *task == seen.task)
}
