//! Between any two effects, the process is killed as Lambda does it, an answer is
//! lost, or a write conflicts.

use std::time::Duration;

use ecsrunner_core::id::JobId;
use ecsrunner_world::Simulation;
use ecsrunner_world::faults::{FaultPlan, Mishap, MishapKind};

use crate::harness::{assert_executed_once, job, run, settle, setup};

/// The time by which everything is done.
const LIMIT: Duration = Duration::from_secs(600);

#[test]
fn one_jobs_process_may_die_at_any_call_and_the_same_event_comes_again() {
    fail_at_every_call(1, MishapKind::Kill, false);
}

#[test]
fn one_jobs_process_may_die_at_any_call_and_only_the_sweep_comes_by() {
    fail_at_every_call(1, MishapKind::Kill, true);
}

#[test]
fn five_jobs_process_may_die_at_any_call_and_the_same_event_comes_again() {
    fail_at_every_call(5, MishapKind::Kill, false);
}

#[test]
fn five_jobs_process_may_die_at_any_call_and_only_the_sweep_comes_by() {
    fail_at_every_call(5, MishapKind::Kill, true);
}

#[test]
fn any_calls_answer_may_be_lost_before_it_took_effect_or_after() {
    fail_at_every_call(2, MishapKind::Lose, true);
}

#[test]
fn any_write_may_collide_with_another_one() {
    fail_at_every_call(2, MishapKind::Collide, true);
}

/// Repeats a scenario with a fault at each call in turn, before and after the call
/// takes effect.
fn fail_at_every_call(jobs: u64, kind: MishapKind, no_retries: bool) {
    for call in 0.. {
        for after in [false, true] {
            let mishap = Some(Mishap { call, after, kind });
            let calls = run(run_jobs(jobs, FaultPlan { mishap, no_retries, ..FaultPlan::default() }));
            if call >= calls {
                return;
            }
        }
    }
}

/// Runs the jobs to their end, and returns the number of calls.
async fn run_jobs(jobs: u64, fault_plan: FaultPlan) -> u64 {
    let mishap = fault_plan.mishap;
    let words = format!("{mishap:?}");
    let mut simulation = Simulation::new(setup(7, fault_plan));
    let jobs: Vec<JobId> = (0..jobs).map(|i| simulation.queue(job(20 + i))).collect();
    settle(&mut simulation, LIMIT, &words).await;
    let outside = simulation.shared().lock();
    for job in jobs {
        assert_executed_once(&outside, job);
    }
    let beyond = &outside.ledger.beyond_demand;
    assert!(beyond.is_empty(), "{words}: {beyond:#?}");
    let calls = outside.ledger.all_calls();
    let to_be_killed = mishap.is_some_and(|mishap| mishap.kind == MishapKind::Kill && mishap.call < calls);
    assert_eq!(outside.ledger.failures.contains_key("killed"), to_be_killed, "{words}");
    calls
}
