//! An operator pauses launches while a dispatcher works.

use std::time::Duration;

use ecsrunner_core::id::JobId;
use ecsrunner_world::Simulation;
use ecsrunner_world::faults::FaultPlan;

use crate::harness::{assert_executed_once, job, run, settle, setup};

const JOBS: u64 = 150;

#[test]
fn a_dispatcher_at_work_hears_of_a_pause_and_launches_nothing_more_until_it_ends() {
    run(async {
        let mut simulation = Simulation::new(setup(5, FaultPlan::default()));
        let jobs: Vec<JobId> = (0..JOBS).map(|_| simulation.queue(job(30))).collect();
        simulation.pass(Duration::from_secs(15)).await;
        simulation.shared().lock().pause(true);
        // Runners that were planned just before may still be reserved.
        simulation.pass(Duration::from_secs(2)).await;
        let paused_at = simulation.shared().lock().ledger.launches;
        assert!((1..JOBS).contains(&paused_at), "{paused_at} launches: the pause came too early or too late");
        simulation.pass(Duration::from_secs(600)).await;
        assert_eq!(simulation.shared().lock().ledger.launches, paused_at);
        let last_task = simulation.shared().lock().ecs.tasks().count();
        assert!(u64::try_from(last_task).unwrap() <= paused_at, "a task without a runner");
        simulation.shared().lock().pause(false);
        settle(&mut simulation, Duration::from_secs(3600), "after the pause").await;
        let outside = simulation.shared().lock();
        for job in jobs {
            assert_executed_once(&outside, job);
        }
    });
}
