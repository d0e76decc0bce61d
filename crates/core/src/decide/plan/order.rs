//! What is launched, before it has a name.

use jiff::Timestamp;

use crate::id::{ClassName, Epoch, JobId, PoolId, Repository, RunnerName, Version};
use crate::records::runner::{Runner, RunnerFacts, RunnerStage, RunnerState};
use crate::records::timeline::Timeline;
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
            },
            version: Version::FIRST,
            epoch,
            timeline: Timeline::begin(RunnerStage::Reserved, at),
            surplus_since: None,
            placement,
            probe,
            retry: None,
            asked_at: None,
            state: RunnerState::Reserved { attempt: 1 },
        }
    }
}
