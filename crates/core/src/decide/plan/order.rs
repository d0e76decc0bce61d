//! What is launched, before it has a name.

use jiff::Timestamp;

use crate::id::{ClassName, Epoch, JobId, PoolId, Repository, RunnerName, Version};
use crate::records::runner::{Custody, Runner, RunnerFacts, RunnerStage, RunnerState};
use crate::records::timeline::Timeline;
use crate::records::warm::{WarmState, WarmTask};
use crate::rules::class::size::Size;
use crate::rules::labels::Labels;
use crate::rules::limits::WaitLimits;
use crate::rules::placement::Placement;
use crate::rules::pool::Scope;

/// The facts of a runner that has no name yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    pub(super) class: ClassName,
    pub(super) size: Size,
    pub(super) placement: Placement,
    pub(super) pool: PoolId,
    pub(super) scope: Scope,
    pub(super) labels: Labels,
    pub(super) repository: Repository,
    pub(super) launched_for: JobId,
    pub(super) max_job_minutes: u32,
    pub(super) wait_limits: WaitLimits,
    pub(super) image: Option<String>,
    pub(super) exec: bool,
    pub(super) probe: bool,
    pub(super) fails: bool,
}

impl Order {
    /// Whether the runner is to fail a job that cannot be served.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.fails
    }

    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    #[must_use]
    pub fn pool(&self) -> &PoolId {
        &self.pool
    }

    /// Returns the record of the reserved runner.
    #[must_use]
    pub fn reserve(&self, name: RunnerName, epoch: Epoch, at: Timestamp) -> Runner {
        let Self {
            class,
            size,
            placement,
            pool,
            scope,
            labels,
            repository,
            launched_for,
            max_job_minutes,
            wait_limits,
            image,
            exec,
            probe,
            fails,
        } = self.clone();
        Runner {
            facts: RunnerFacts {
                name,
                class,
                size,
                pool,
                scope,
                labels,
                repository,
                launched_for,
                max_job_minutes,
                wait_limits: Some(wait_limits),
                image,
                exec,
                fails,
                warm: None,
            },
            version: Version::FIRST,
            epoch,
            timeline: Timeline::begin(RunnerStage::Reserved, at),
            surplus_since: None,
            placement,
            instance: None,
            probe,
            retry: None,
            asked_at: None,
            times: Box::default(),
            state: RunnerState::Reserved { attempt: 1 },
        }
    }

    /// Returns the record of the runner that takes over the task of a warm one, and that one's next record; `None` if it
    /// has no task to give.
    #[must_use]
    pub fn take_over(
        &self,
        name: RunnerName,
        warm: &WarmTask,
        epoch: Epoch,
        at: Timestamp,
    ) -> Option<(Runner, WarmTask)> {
        let custody = Custody::Unissued;
        let state = match &warm.state {
            WarmState::Starting(task) => RunnerState::Starting { task: task.clone(), custody },
            WarmState::Warm(task) => RunnerState::Booted { task: task.clone(), custody },
            WarmState::Reserved | WarmState::Used(_) | WarmState::Ending(_) => return None,
        };
        let used = warm.used_by(&name, at)?;
        let mut runner = self.reserve(name, epoch, at);
        runner.facts.warm = Some(warm.name().clone());
        runner.state = state;
        runner.timeline.push(runner.stage(), at);
        Some((runner, used))
    }
}
