//! Two dispatchers at once: the first one has lost its lease, and does not know it.

use std::time::Duration;

use ecsrunner_core::id::JobId;
use ecsrunner_engine::dispatcher::{DispatchOptions, Dispatched};
use ecsrunner_engine::ports::Clock;
use ecsrunner_world::Simulation;
use ecsrunner_world::faults::{FaultPlan, Mishap, MishapKind, Process};

use crate::harness::{assert_executed_once, job, run, settle, setup};

/// As many as a dispatcher makes to give its lease back.
const RELEASES: u32 = 5;
/// Longer than the term of the lease.
const STALL: Duration = Duration::from_secs(90);
const JOBS: u64 = 3;
/// The sweep reads registrations each hour. It finds one that was made for a runner that had ended by then.
const LIMIT: Duration = Duration::from_secs(3 * 3600);

#[test]
fn a_dispatcher_one_of_whose_calls_stalls_launches_nothing_twice() {
    at_every_call(MishapKind::Stall(STALL));
}

#[test]
fn a_dispatcher_that_stands_still_at_any_call_launches_nothing_twice() {
    at_every_call(MishapKind::Freeze(STALL));
}

#[test]
fn a_dispatcher_that_has_lost_its_lease_unawares_launches_nothing_twice() {
    at_every_call(MishapKind::LoseLease);
}

#[test]
fn work_is_taken_up_when_a_lease_ends_that_could_not_be_given_back() {
    run(async {
        let mut simulation = Simulation::new(setup(7, FaultPlan::default()));
        simulation.shared().lock().pause(true);
        let job = simulation.queue(job(30));
        simulation.pass(Duration::from_secs(5)).await;
        simulation.shared().lock().pause(false);
        simulation.shared().lock().fault_plan.release_races = RELEASES;
        let engine = simulation.engine(&Process::default());
        // Too short for any effect.
        let until = Some(simulation.shared().clock().now() + Duration::from_secs(10));
        let dispatched = engine.dispatch(DispatchOptions { until, ..DispatchOptions::default() }).await;
        assert_eq!(dispatched.unwrap(), Dispatched::WorkLeft);
        assert_eq!(simulation.shared().lock().fault_plan.release_races, 0);
        // The sweep of the second minute would find the work too.
        simulation.pass(Duration::from_secs(65)).await;
        assert_eq!(simulation.shared().lock().ecs.tasks().count(), 1, "the lease ended after a minute");
        settle(&mut simulation, LIMIT, "after the lease").await;
        assert_executed_once(&simulation.shared().lock(), job);
    });
}

fn at_every_call(kind: MishapKind) {
    for call in 0.. {
        for after in [false, true] {
            let mishap = Some(Mishap { call, after, kind });
            let calls = run(run_jobs(FaultPlan { mishap, ..FaultPlan::default() }));
            if call >= calls {
                return;
            }
        }
    }
}

/// Runs the jobs to their end, and returns the number of calls.
async fn run_jobs(fault_plan: FaultPlan) -> u64 {
    let words = format!("{:?}", fault_plan.mishap);
    let mut setup = setup(11, fault_plan);
    // No timeout ends it, so it continues and still believes that it holds the lease.
    setup.timeout = Duration::from_secs(600);
    let mut simulation = Simulation::new(setup);
    let jobs: Vec<JobId> = (0..JOBS).map(|_| simulation.queue(job(30))).collect();
    settle(&mut simulation, LIMIT, &words).await;
    let outside = simulation.shared().lock();
    for job in jobs {
        assert_executed_once(&outside, job);
    }
    let (launches, tasks) = (outside.ledger.launches, outside.ecs.tasks().count());
    assert_eq!((launches, tasks), (JOBS, 3), "{words}: {:?}", outside.ledger.endings);
    assert!(outside.ledger.beyond_demand.is_empty(), "{words}: {:#?}", outside.ledger.beyond_demand);
    outside.ledger.all_calls()
}
