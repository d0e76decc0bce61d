//! Helpers of the scenarios. Scenarios use the simulation only through this module, so a change of its
//! interface affects only this module.

pub(crate) mod deployment;
pub(crate) mod jobs;
pub(crate) mod faults;
mod image;
mod warm;
pub(crate) mod outcome;

use std::env::{self, VarError};
use std::future::Future;
use std::sync::MutexGuard;
use std::time::Duration;

use ecsrunner_core::id::JobId;
use ecsrunner_engine::ports::Clock;
use ecsrunner_world::github::Order;
use ecsrunner_world::{Outside, Simulation};
use jiff::{SignedDuration, Timestamp};

pub(crate) use deployment::{Deployment, SUBNETS};
pub(crate) use jobs::Jobs;
pub(crate) use outcome::print;

/// `full` runs each scenario at the size at which its figures in the comments were taken, which takes
/// about half an hour in a debug build. Without it, lengths and counts are reduced.
const SIZE_VARIABLE: &str = "ECSRUNNER_SCENARIOS";

/// Returns `full` if the full size is requested, otherwise `reduced`.
pub(crate) fn sized<T>(reduced: T, full: T) -> T {
    match env::var(SIZE_VARIABLE) {
        Err(VarError::NotPresent) => reduced,
        Ok(size) if size == "full" => full,
        other => panic!("{SIZE_VARIABLE} is {other:?}; expected `full`, or no such variable"),
    }
}

pub(crate) const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) const fn minutes(count: u64) -> Duration {
    secs(60 * count)
}

pub(crate) const fn hours(count: u64) -> Duration {
    minutes(60 * count)
}

/// Runs a scenario on a clock that jumps to the next timer.
pub(crate) fn in_virtual_time<R>(scenario: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(scenario)
}

/// A deployment and everything around it.
pub(crate) struct World {
    simulation: Simulation,
}

impl World {
    /// Locks the simulated world. Scenarios do not lock it, because a second lock in the same statement would
    /// never return.
    fn outside(&self) -> MutexGuard<'_, Outside> {
        self.simulation.shared().lock()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.simulation.shared().clock().now()
    }

    /// Returns how long the scenario has run.
    pub(crate) fn elapsed(&self) -> Duration {
        self.simulation.elapsed()
    }

    /// Runs the world for this time.
    pub(crate) async fn pass(&mut self, time: Duration) {
        self.simulation.pass(time).await;
    }

    /// Runs the world until this time since the start of the scenario.
    pub(crate) async fn pass_until(&mut self, elapsed: Duration) {
        let passed = secs(self.elapsed().as_secs());
        self.simulation.pass(elapsed.saturating_sub(passed)).await;
    }

    /// Runs the world until nothing is open or running. Fails if that takes longer than `limit`.
    pub(crate) async fn settle(&mut self, limit: Duration) {
        let has_settled = self.simulation.settle(limit).await;
        let outside = self.outside();
        let left = outside.left_over().join("\n");
        assert!(has_settled, "after {limit:?} this is left:\n{left}\n{:?}", outside.ledger.failures);
    }

    /// Queues a job at GitHub, now.
    pub(crate) fn queue(&mut self, order: Order) -> JobId {
        self.simulation.queue(order)
    }

    /// Queues a job at GitHub that was created this long ago.
    pub(crate) fn queue_old(&mut self, order: Order, age: SignedDuration) -> JobId {
        let made_at = self.now() - age;
        self.outside().hub.queue(order, made_at)
    }

    /// Pauses launches, as an operator does.
    pub(crate) fn pause(&self) {
        self.outside().pause(true);
    }

    /// Ends a pause.
    pub(crate) fn resume(&self) {
        self.outside().pause(false);
    }
}
