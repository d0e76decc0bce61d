//! Two dispatchers at once: the first one has lost its lease, and does not know it.

use std::time::Duration;

use ecsrunner_core::id::JobId;
use ecsrunner_world::Simulation;
use ecsrunner_world::faults::{FaultPlan, Mishap, MishapKind};

use crate::harness::{assert_executed_once, job, run, settle, setup};

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
