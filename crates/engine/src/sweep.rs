//! Records against tasks, both ways.

use ecsrunner_core::event::{Event, Keys};
use ecsrunner_core::runner::{Runner, RunnerState};
use ecsrunner_core::sweep::{Lag, SeenTask, repair};
use tracing::{info, warn};

use crate::ports::Clock;
use crate::ports::compute::{Compute, ComputeError};
use crate::ports::store::{Store, StoreError};
use crate::{Engine, World};

/// Why a sweep did not end.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The compute service.
    #[error(transparent)]
    Compute(#[from] ComputeError),
}

impl<W: World> Engine<W> {
    /// Repairs what events missed; returns how many repairs there were.
    ///
    /// # Errors
    ///
    /// The store or the compute service is out of reach; the next sweep goes on.
    pub async fn sweep(&self, lag: Lag) -> Result<usize, SweepError> {
        // The records first: a task that they name was there before the list was
        // made. One that they do not name yet gets a fresh look below.
        let open = self.ports.store.open().await?;
        let tasks = self.ports.compute.tasks().await?;
        let repairs = repair(&open, &tasks, lag, self.ports.clock.now());
        let mut repaired = 0;
        for event in repairs.events {
            let (runner, task) = (event.runner.clone(), event.task.clone());
            if !self.record(&Event::Task(event)).await?.changes.is_empty() {
                info!(%runner, %task, "repaired runner against its task");
                repaired += 1;
            }
        }
        for orphan in repairs.orphans {
            if self.is_orphan(&orphan).await? {
                warn!(runner = %orphan.runner, task = %orphan.task, "stopping a task that no record wants");
                self.ports.compute.stop_task(&orphan.task, "no open record wants this task").await?;
                repaired += 1;
            }
        }
        Ok(repaired)
    }

    /// A fresh look: the runner has no open record, or one of another task.
    async fn is_orphan(&self, seen: &SeenTask) -> Result<bool, StoreError> {
        let keys = Keys { job: None, runner: Some(seen.runner.clone()) };
        let records = self.ports.store.load(&keys).await?;
        Ok(records.runner.is_none_or(|runner| !may_want(&runner, seen)))
    }
}

fn may_want(runner: &Runner, seen: &SeenTask) -> bool {
    matches!(runner.state, RunnerState::Reserved { .. })
        || runner.task().is_none_or(|task| *task == seen.task)
}
