//! What the records of runners and of warm tasks share: what a task is started as, and the history of both.

use jiff::SignedDuration;

use crate::id::{ClassName, PoolId, Repository, TaskName};
use crate::records::runner::{EndedRunner, RunnerFacts};
use crate::records::warm::{EndedWarm, WarmFacts};
use crate::rules::class::size::Size;
use crate::rules::limits::WaitLimits;
use crate::wire::boot::TaskRole;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskFacts {
    pub name: TaskName,
    pub class: ClassName,
    pub size: Size,
    /// The image's name; `None` for the deployment's default image.
    pub image: Option<String>,
    /// Whether ECS Exec may open a shell in it.
    pub exec: bool,
    /// Minutes after which its job is ended.
    pub max_job_minutes: u32,
    /// Its agent's limits; `None` for a runner of an earlier release: the present settings count.
    pub wait_limits: Option<WaitLimits>,
    /// How long a warm task waits for a runner; `None` for a runner's own task.
    pub warm_for: Option<SignedDuration>,
    /// The runner's pool.
    pub pool: Option<PoolId>,
    /// The repository of the job for which the runner was launched.
    pub repository: Option<Repository>,
}

/// The history record of what had a task.
#[derive(Clone, PartialEq, Debug)]
pub enum EndedTask {
    Runner(Box<EndedRunner>),
    Warm(Box<EndedWarm>),
}

impl TaskFacts {
    #[must_use]
    pub fn role(&self) -> TaskRole {
        if self.exec { TaskRole::Exec } else { TaskRole::Plain }
    }
}

impl RunnerFacts {
    /// Returns what its own task is started as.
    #[must_use]
    pub fn task(&self) -> TaskFacts {
        TaskFacts {
            name: self.name.clone().into(),
            class: self.class.clone(),
            size: self.size,
            image: self.image.clone(),
            exec: self.exec,
            max_job_minutes: self.max_job_minutes,
            wait_limits: self.wait_limits,
            warm_for: None,
            pool: Some(self.pool.clone()),
            repository: Some(self.repository.clone()),
        }
    }
}

impl WarmFacts {
    /// Returns what its task is started as.
    #[must_use]
    pub fn task(&self) -> TaskFacts {
        TaskFacts {
            name: self.name.clone().into(),
            class: self.class.clone(),
            size: self.size,
            image: self.image.clone(),
            exec: self.exec,
            max_job_minutes: self.max_job_minutes,
            wait_limits: Some(self.wait_limits),
            warm_for: Some(self.max_age),
            pool: None,
            repository: None,
        }
    }
}
