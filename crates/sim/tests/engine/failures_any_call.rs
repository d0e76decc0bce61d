//! A job that cannot be served is failed by one runner, whatever happens at any single call.

use ecsrunner_world::Simulation;
use ecsrunner_world::faults::{FaultPlan, Mishap, MishapKind};

use crate::failures::{HOUR, MINUTE, conclusion, launches, unknown};
use crate::harness::{run, settle, setup};

/// Fails a job of an unknown class, with a fault at one call. Returns the number of calls until it was due, and of all.
async fn fail_a_job(mishap: Option<Mishap>) -> (u64, u64) {
    let words = format!("{mishap:?}");
    let mut simulation =
        Simulation::new(setup(3, FaultPlan { mishap, no_retries: true, ..FaultPlan::default() }));
    let job = simulation.queue(unknown("app"));
    simulation.pass(14 * MINUTE).await;
    let before = simulation.shared().lock().ledger.all_calls();
    settle(&mut simulation, 2 * HOUR, &words).await;
    assert_eq!(conclusion(&simulation, job), Some("failure"), "{words}");
    assert_eq!(launches(&simulation), 1, "{words}");
    let calls = simulation.shared().lock().ledger.all_calls();
    (before, calls)
}

/// Repeats that with a fault at each call from then on in turn, before and after it takes effect.
fn at_every_call(kind: MishapKind) {
    let (first, _) = run(fail_a_job(None));
    for call in first.. {
        for after in [false, true] {
            let (_, calls) = run(fail_a_job(Some(Mishap { call, after, kind })));
            if call >= calls {
                return;
            }
        }
    }
}

#[test]
fn a_process_may_die_at_any_call_and_the_job_is_failed() {
    at_every_call(MishapKind::Kill);
}

#[test]
fn any_calls_answer_may_be_lost_and_the_job_is_failed() {
    at_every_call(MishapKind::Lose);
}

#[test]
fn a_dispatcher_may_stand_still_at_any_call_and_the_job_is_failed() {
    at_every_call(MishapKind::Stall(2 * MINUTE));
}
