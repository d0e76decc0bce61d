//! The clock is set back by an hour between two starts of the function.

use std::time::Duration;

use ecsrunner_engine::dispatcher::{DispatchOptions, Dispatched};
use ecsrunner_engine::ports::Clock;
use ecsrunner_world::Simulation;
use ecsrunner_world::faults::{FaultPlan, Process};
use ecsrunner_world::github::HubState;
use jiff::SignedDuration;

use crate::harness::{assert_executed_once, job, run, settle, setup};

const WORK_SECS: u64 = 30;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const NOW: SignedDuration = SignedDuration::ZERO;

/// Returns how long the last of these jobs waited. Before each of them the clock is set to be that much ahead.
async fn wait_of_last(ahead: &[SignedDuration], burst: usize) -> Duration {
    let mut simulation = Simulation::new(setup(3, FaultPlan::default()));
    let mut wait = Duration::ZERO;
    for ahead in ahead {
        simulation.shared().lock().clock_ahead = *ahead;
        let jobs: Vec<_> = (0..burst).map(|_| simulation.queue(job(WORK_SECS))).collect();
        settle(&mut simulation, 30 * MINUTE, &format!("the clock is ahead by {ahead:?}")).await;
        let outside = simulation.shared().lock();
        assert!(!outside.tables.open.levels.is_empty(), "a bucket was used");
        for job in jobs {
            assert_executed_once(&outside, job);
            let job = &outside.hub.jobs[&job];
            let HubState::Completed { at, .. } = job.state else { panic!("{job:?}") };
            wait = Duration::try_from(at.duration_since(job.created_at)).unwrap();
        }
    }
    wait
}

#[test]
fn after_the_clock_was_set_back_an_hour_the_next_job_starts_as_soon_as_ever() {
    run(async {
        let usual = wait_of_last(&[NOW, NOW], 1).await;
        for ahead in [[NOW, -HOUR], [HOUR, NOW]] {
            let wait = wait_of_last(&ahead, 1).await;
            // The calls of another process take another time by chance.
            assert!(wait < usual + Duration::from_secs(15), "{wait:?} instead of {usual:?}: {ahead:?}");
        }
    });
}

#[test]
fn after_the_clock_was_set_back_an_hour_a_dead_dispatchers_lease_is_taken_at_once() {
    run(async {
        let mut simulation = Simulation::new(setup(3, FaultPlan::default()));
        let now = simulation.shared().clock().now();
        simulation.shared().lock().tables.lose_lease(now);
        let engine = simulation.engine(&Process::default());
        let dispatched = engine.dispatch(DispatchOptions::default()).await.unwrap();
        assert_eq!(dispatched, Dispatched::HeldByAnother);
        simulation.shared().lock().clock_ahead = -HOUR;
        let job = simulation.queue(job(WORK_SECS));
        settle(&mut simulation, 30 * MINUTE, "after a dispatcher died").await;
        let outside = simulation.shared().lock();
        assert_executed_once(&outside, job);
        let job = &outside.hub.jobs[&job];
        let HubState::Completed { at, .. } = job.state else { panic!("{job:?}") };
        let took = at.duration_since(job.created_at);
        assert!(took < SignedDuration::from_mins(4), "{took:?}: {job:?}");
    });
}
