//! GitHub leaves calls without an answer.

use std::time::Duration;

use ecsrunner_core::records::hold::Held;
use ecsrunner_world::Simulation;
use ecsrunner_world::faults::{FaultPlan, Method};

use crate::harness::{assert_executed_once, job, run, settle, setup};

/// Whether a scope rests after this many registrations in a row got no answer.
async fn rests_after(failures: u64) -> bool {
    let mut simulation = Simulation::new(setup(1, FaultPlan::default()));
    simulation.shared().lock().hub.faults.registration_fails = 1.0;
    let job = simulation.queue(job(60));
    let asked = |simulation: &Simulation| {
        let outside = simulation.shared().lock();
        outside.ledger.calls.get(&Method::GenerateJitconfig).copied().unwrap_or_default()
    };
    for _ in 0..3000 {
        if asked(&simulation) < failures {
            simulation.pass(Duration::from_millis(10)).await;
        }
    }
    // The last one fails too, and the next one has not begun.
    simulation.pass(Duration::from_millis(200)).await;
    assert_eq!(asked(&simulation), failures);
    simulation.shared().lock().hub.faults.registration_fails = 0.0;
    simulation.pass(Duration::from_millis(100)).await;
    let is_scope = |held: &Held| matches!(held, Held::Scope(_));
    let rests = simulation.shared().lock().tables.open.holds.keys().any(is_scope);
    settle(&mut simulation, Duration::from_secs(3600), "GitHub answers again").await;
    assert_executed_once(&simulation.shared().lock(), job);
    rests
}

#[test]
fn one_or_two_calls_without_an_answer_make_no_scope_rest() {
    run(async {
        assert!(!rests_after(1).await);
        assert!(!rests_after(2).await);
    });
}
