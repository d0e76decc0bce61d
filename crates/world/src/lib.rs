//! An in-memory world in virtual time for the engine: the store, ECS, GitHub, the
//! agents in the tasks, and Lambda's invocations of the engine. A seed makes all
//! of it reproducible.
//!
//! Every port is wrapped in [`faults::Faulty`], which loses answers, makes writes
//! conflict, and kills the process between any two effects. Scenarios and their
//! assertions belong in the tests.

pub mod ecs;
pub mod random;

pub mod clock;
pub mod store;
pub mod tasks;
pub mod github;
pub mod images;
pub mod queue;
mod agent;
mod agenda;
pub mod faults;
pub mod ledger;
mod outside;
mod driver;
mod setup;
mod start_times;
pub mod rulebook;
pub mod load;
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
use images::MemoryImages;
use queue::KickQueue;
use rulebook::MemoryRulebook;
use store::MemoryStore;
use tasks::MemoryTasks;

pub use agenda::Act;
pub use driver::Input;
pub use outside::{Outside, Shared};
pub use setup::Setup;
pub use start_times::{Spread, StartTimes};

/// The adapters of a simulation.
#[derive(Debug)]
pub struct Virtual;

impl World for Virtual {
    type Store = Faulty<MemoryStore>;
    type Compute = Faulty<MemoryTasks>;
    type GitHub = Faulty<MemoryGitHub>;
    type Images = Faulty<MemoryImages>;
    type Queue = Faulty<KickQueue>;
    type Rulebook = MemoryRulebook;
    type Clock = VirtualClock;
    type Randomness = SeededRandomness;
}

fn ports(shared: &Shared, process: &Process, seed: u64) -> Ports<Virtual> {
    let clock = shared.clock().ahead_by(shared.lock().clock_ahead);
    Ports {
        store: Faulty::new(MemoryStore(shared.clone()), process, shared),
        compute: Faulty::new(MemoryTasks(shared.clone()), process, shared),
        github: Faulty::new(MemoryGitHub(shared.clone()), process, shared),
        images: Faulty::new(MemoryImages(shared.clone()), process, shared),
        queue: Faulty::new(KickQueue(shared.clone()), process, shared),
        rulebook: MemoryRulebook(shared.clone()),
        clock,
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
    /// Makes a new world, on a runtime whose time is paused.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let shared = Shared::new(&setup);
        Self { lambda: Lambda::new(shared.clone(), setup.timeout, setup.seed), shared }
    }

    #[must_use]
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Returns the time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.shared.clock().elapsed()
    }

    /// Returns an engine in its own process.
    pub fn engine(&mut self, process: &Process) -> Engine<Virtual> {
        self.lambda.engine(process)
    }

    /// Schedules `act` after this time.
    pub fn after(&mut self, time: Duration, act: impl FnOnce(&mut Outside, Timestamp) + Send + 'static) {
        let at = self.shared.clock().now() + time;
        self.shared.lock().agenda.add(at, Happening::Act(Box::new(act)));
    }

    /// Queues a job at GitHub now.
    pub fn queue(&mut self, order: Order) -> JobId {
        let now = self.shared.clock().now();
        self.shared.lock().hub.queue(order, now)
    }

    /// Runs the world until [`Self::is_settled`]. Returns false if that takes longer than
    /// `limit`.
    pub async fn settle(&mut self, limit: Duration) -> bool {
        self.lambda.run(limit, Outside::is_settled).await
    }

    /// Runs the world for this time.
    pub async fn pass(&mut self, time: Duration) {
        self.lambda.run(time, |_| false).await;
    }
}

impl Outside {
    /// Whether every job has ended, no runner has left anything, and no event is undelivered.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.tables.is_empty()
            && self.next_at().is_none()
            && self.ecs.alive() == 0
            && self.left_over().is_empty()
    }

    /// Describes what is left.
    #[must_use]
    pub fn left_over(&self) -> Vec<String> {
        let mut left = Vec::new();
        for job in self.hub.jobs.values().filter(|job| !self.has_ended(job.id)) {
            left.push(format!("GitHub has job {}: {:?}", job.id, job.state));
        }
        left.extend(
            self.tables.open.jobs.values().map(|job| format!("open {:?}: {:?}", job.id(), job.state)),
        );
        left.extend(self.tables.open.reruns.values().map(|record| format!("open {record:?}")));
        left.extend(
            self.tables
                .open
                .runners
                .values()
                .map(|runner| format!("open {:?}: {:?}", runner.name(), runner.state)),
        );
        let warm = self.tables.open.warm.values();
        left.extend(warm.map(|warm| format!("open {:?}: {:?}", warm.name(), warm.state)));
        left.extend(self.tables.boot.keys().map(|task| format!("the boot item of {task:?}")));
        let alive = self.ecs.tasks().filter(|task| task.stopped_at.is_none());
        left.extend(alive.map(|task| format!("task {} is {:?}", task.id, task.last_status)));
        left.extend(self.hub.runners.values().map(|runner| format!("the registration of {}", runner.name)));
        left
    }

    /// Schedules `act` at a later time.
    pub fn after(&mut self, at: Timestamp, act: impl FnOnce(&mut Self, Timestamp) + Send + 'static) {
        self.agenda.add(at, Happening::Act(Box::new(act)));
    }

    /// Returns the tasks that execute a job, in order.
    #[must_use]
    pub fn tasks_at_work(&self) -> Vec<TaskId> {
        self.agents.busy().cloned().collect()
    }

    /// Returns the words in a job's log if a runner of ours failed it on purpose.
    #[must_use]
    pub fn words_for(&self, job: JobId) -> Option<&str> {
        self.agents.words_for(job)
    }

    /// Whether a job was executed, or visibly refused.
    fn has_ended(&self, job: JobId) -> bool {
        let completed =
            self.hub.jobs.get(&job).is_none_or(|job| matches!(job.state, HubState::Completed { .. }));
        let refused =
            || self.tables.ended.get(&job).is_some_and(|job| matches!(job.ending, JobEnding::Refused { .. }));
        completed || refused()
    }
}
