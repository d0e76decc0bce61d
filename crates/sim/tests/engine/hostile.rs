//! Jobs whose code keeps its runner from ending, and ends of jobs that are only claimed.

use std::time::Duration;

use ecsrunner_core::id::JobId;
use ecsrunner_world::Simulation;
use ecsrunner_world::faults::FaultPlan;
use ecsrunner_world::github::HubState;

use crate::harness::{assert_executed_once, job, run, settle, setup};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Returns a deployment and a job in progress that lasts an hour.
async fn busy() -> (Simulation, JobId) {
    let mut simulation = Simulation::new(setup(5, FaultPlan::default()));
    let job = simulation.queue(job(3600));
    simulation.pass(2 * MINUTE).await;
    assert!(matches!(simulation.shared().lock().hub.jobs[&job].state, HubState::InProgress { .. }));
    (simulation, job)
}

fn tasks_alive(simulation: &Simulation) -> usize {
    simulation.shared().lock().ecs.alive()
}

#[test]
fn the_task_of_a_job_that_ended_and_clings_to_its_runner_is_stopped_within_ten_minutes() {
    run(async {
        for conclusion in ["cancelled", "failure"] {
            let (mut simulation, job) = busy().await;
            simulation.after(Duration::ZERO, move |outside, now| {
                outside.hub.faults.clinging.insert(job);
                outside.end_job(job, conclusion, now);
            });
            simulation.pass(7 * MINUTE).await;
            assert_eq!(tasks_alive(&simulation), 1, "a listener that works gets time to end by itself");
            simulation.pass(3 * MINUTE).await;
            assert_eq!(tasks_alive(&simulation), 0, "ten minutes after GitHub ended the job: {conclusion}");
            settle(&mut simulation, HOUR, conclusion).await;
            assert_eq!(simulation.shared().lock().hub.reruns, 0);
        }
    });
}

#[test]
fn a_job_whose_end_was_only_claimed_is_not_stopped() {
    run(async {
        let (mut simulation, job) = busy().await;
        simulation.after(Duration::ZERO, move |outside, now| outside.hub.forge_completed(job, now));
        settle(&mut simulation, 2 * HOUR, "a forged end").await;
        assert_executed_once(&simulation.shared().lock(), job);
    });
}

#[test]
fn a_job_whose_end_was_claimed_and_that_then_ends_and_clings_is_stopped_within_ten_minutes() {
    run(async {
        let (mut simulation, job) = busy().await;
        simulation.after(Duration::ZERO, move |outside, now| {
            outside.hub.faults.clinging.insert(job);
            outside.hub.forge_completed(job, now);
        });
        simulation.pass(30 * MINUTE).await;
        assert_eq!(tasks_alive(&simulation), 1);
        simulation.after(Duration::ZERO, move |outside, now| outside.end_job(job, "cancelled", now));
        simulation.pass(10 * MINUTE).await;
        assert_eq!(tasks_alive(&simulation), 0);
        settle(&mut simulation, HOUR, "a forged end, then a real one").await;
    });
}
