//! GitHub gives runners jobs that they do not start, and queues these jobs again without a webhook.

use std::time::Duration;

use ecsrunner_core::id::JobId;
use ecsrunner_world::Simulation;
use ecsrunner_world::faults::FaultPlan;

use crate::harness::{job, run, settle, setup};

const HOUR_SECS: u64 = 3600;

/// Has the first runner take the first job without starting it, and start one of ten longer ones. The first job is reported
/// as begun. Returns it with the job that the runner started.
async fn start_another(simulation: &mut Simulation) -> (JobId, JobId) {
    {
        let faults = &mut simulation.shared().lock().hub.faults;
        (faults.unstarted, faults.unstarted_reported) = (1.0, 1.0);
    }
    let first = simulation.queue(job(30));
    simulation.pass(Duration::from_secs(60)).await;
    {
        let outside = &mut *simulation.shared().lock();
        outside.hub.faults.unstarted = 0.0;
        assert_eq!(outside.hub.runners.len(), 1);
        assert_eq!(outside.hub.jobs[&first].status(), "in_progress");
        outside.pause(true);
    }
    let others: Vec<JobId> = (0..10).map(|_| simulation.queue(job(2 * HOUR_SECS))).collect();
    simulation.pass(Duration::from_secs(60)).await;
    simulation.shared().lock().pause(false);
    assert_eq!(begun(simulation, first), 0);
    (first, others.into_iter().find(|other| begun(simulation, *other) == 1).unwrap())
}

fn begun(simulation: &Simulation, job: JobId) -> u32 {
    simulation.shared().lock().hub.jobs[&job].begun
}

#[test]
fn a_job_that_its_runner_did_not_start_gets_another_runner_while_that_one_executes_another_job() {
    run(async {
        let mut simulation = Simulation::new(setup(1, FaultPlan::default()));
        let (first, _) = start_another(&mut simulation).await;
        simulation.pass(Duration::from_secs(300)).await;
        assert_eq!(begun(&simulation, first), 1, "it does not wait for the end of the other job");
        settle(&mut simulation, Duration::from_secs(3 * HOUR_SECS), "unstarted").await;
    });
}
