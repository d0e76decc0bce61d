//! A world in memory and in virtual time, for the engine to run in: the store,
//! ECS, GitHub, the agents in the tasks, and Lambda around the engine itself,
//! all repeating with a seed.
//!
//! Every port is wrapped in [`faults::Faulty`], which loses answers, has writes
//! collide and kills the process between any two effects. What a test wants of
//! the world, and holds it to, does not belong here but in the test.

pub mod ecs;
pub mod random;

pub mod clock;
pub mod store;
pub mod tasks;
pub mod github;
pub mod queue;
mod agent;
mod agenda;
pub mod faults;
pub mod ledger;
mod outside;
mod driver;
mod setup;
pub mod rulebook;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use ecsrunner_core::id::{JobId, TaskId};
use ecsrunner_core::records::job::JobEnding;
use ecsrunner_engine::{Engine, Ports, World};
use jiff::Timestamp;

use agenda::Happening;
use clock::{SeededRandomness, VirtualClock};
use driver::Lambda;
use ecsrunner_engine::ports::Clock;
use faults::{Faulty, Process};
use github::{HubState, MemoryGitHub, Order};
use queue::KickQueue;
use rulebook::MemoryRulebook;
use store::MemoryStore;
use tasks::MemoryTasks;

pub use agenda::Act;
pub use driver::Input;
pub use outside::{Outside, Shared};
pub use setup::Setup;

/// The adapters of a simulation.
#[derive(Debug)]
pub struct Virtual;

impl World for Virtual {
    type Store = Faulty<MemoryStore>;
    type Compute = Faulty<MemoryTasks>;
    type GitHub = Faulty<MemoryGitHub>;
    type Queue = Faulty<KickQueue>;
    type Rulebook = MemoryRulebook;
    type Clock = VirtualClock;
    type Randomness = SeededRandomness;
}

fn ports(shared: &Shared, process: &Process, seed: u64) -> Ports<Virtual> {
    Ports {
        store: Faulty::new(MemoryStore(shared.clone()), process, shared),
        compute: Faulty::new(MemoryTasks(shared.clone()), process, shared),
        github: Faulty::new(MemoryGitHub(shared.clone()), process, shared),
        queue: Faulty::new(KickQueue(shared.clone()), process, shared),
        rulebook: MemoryRulebook(shared.clone()),
        clock: shared.clock(),
        randomness: SeededRandomness::seeded(seed),
    }
}

/// A deployment and the world around it.
pub struct Simulation {
    shared: Shared,
    lambda: Lambda,
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation").field("elapsed", &self.shared.clock().elapsed()).finish_non_exhaustive()
    }
}

impl Simulation {
    /// A world in which nothing has happened yet, on a runtime whose time is paused.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let (seed, timeout, rules, ecs) = (setup.seed, setup.timeout, setup.rules(), setup.ecs());
        let shared = Shared::new(seed, setup.fault_plan, rules, ecs);
        Self { lambda: Lambda::new(shared.clone(), timeout, seed), shared }
    }

    #[must_use]
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// How much of it is over.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.shared.clock().elapsed()
    }

    /// An engine of a process of its own.
    pub fn engine(&mut self, process: &Process) -> Engine<Virtual> {
        self.lambda.engine(process)
    }

    /// Has something happen after that time.
    pub fn after(&mut self, time: Duration, act: impl FnOnce(&mut Outside, Timestamp) + Send + 'static) {
        let at = self.shared.clock().now() + time;
        self.shared.lock().agenda.add(at, Happening::Act(Box::new(act)));
    }

    /// Queues a job at GitHub, now.
    pub fn queue(&mut self, order: Order) -> JobId {
        let now = self.shared.clock().now();
        self.shared.lock().hub.queue(order, now)
    }

    /// Lets the world go on until everything has been executed and cleaned up,
    /// and nothing is on its way; false if that took longer than `limit`.
    pub async fn settle(&mut self, limit: Duration) -> bool {
        self.lambda.run(limit, Outside::is_settled).await
    }

    /// Lets the world go on for so long.
    pub async fn pass(&mut self, time: Duration) {
        self.lambda.run(time, |_| false).await;
    }
}

impl Outside {
    /// Whether every job has ended, nothing is left of any runner, and nothing is on its way.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.tables.is_empty()
            && self.next_at().is_none()
            && self.ecs.alive() == 0
            && self.left_over().is_empty()
    }

    /// What is left, in words.
    #[must_use]
    pub fn left_over(&self) -> Vec<String> {
        let mut left = Vec::new();
        for job in self.hub.jobs.values().filter(|job| !self.has_ended(job.id)) {
            left.push(format!("GitHub has job {}: {:?}", job.id, job.state));
        }
        left.extend(
            self.tables.open.jobs.values().map(|job| format!("open {:?}: {:?}", job.id(), job.state)),
        );
        left.extend(
            self.tables
                .open
                .runners
                .values()
                .map(|runner| format!("open {:?}: {:?}", runner.name(), runner.state)),
        );
        left.extend(self.tables.boot.keys().map(|task| format!("the boot item of {task:?}")));
        let alive = self.ecs.tasks().filter(|task| task.stopped_at.is_none());
        left.extend(alive.map(|task| format!("task {} is {:?}", task.id, task.last_status)));
        left.extend(self.hub.runners.values().map(|runner| format!("the registration of {}", runner.name)));
        left
    }

    /// A scenario's act at a later time.
    pub fn after(&mut self, at: Timestamp, act: impl FnOnce(&mut Self, Timestamp) + Send + 'static) {
        self.agenda.add(at, Happening::Act(Box::new(act)));
    }

    /// Tasks that execute a job, in order.
    #[must_use]
    pub fn tasks_at_work(&self) -> Vec<TaskId> {
        self.agents.busy().cloned().collect()
    }

    /// A job was executed, or visibly refused.
    fn has_ended(&self, job: JobId) -> bool {
        let completed =
            self.hub.jobs.get(&job).is_none_or(|job| matches!(job.state, HubState::Completed { .. }));
        let refused =
            || self.tables.ended.get(&job).is_some_and(|job| matches!(job.ending, JobEnding::Refused { .. }));
        completed || refused()
    }
}
