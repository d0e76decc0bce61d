//! Many jobs wait for few slots for a long time.

use std::time::Duration;

use ecsrunner_world::Simulation;
use ecsrunner_world::faults::{FaultPlan, Method};
use serde_json::json;

use crate::harness::{job, run, setup};

const JOBS: u64 = 400;

#[test]
fn a_backlog_of_hours_asks_github_little_and_lets_the_dispatcher_rest() {
    run(async {
        let mut setup = setup(3, FaultPlan::default());
        setup.settings["limits"] = json!({"max_runners": 2});
        let mut simulation = Simulation::new(setup);
        for _ in 0..JOBS {
            simulation.queue(job(3600));
        }
        simulation.pass(Duration::from_secs(3600)).await;
        let outside = simulation.shared().lock();
        let calls = |method| outside.ledger.calls.get(&method).copied().unwrap_or_default();
        let (asked, rounds) = (calls(Method::Job), calls(Method::Open));
        assert!(asked <= 20 * 60, "{asked} requests for jobs in an hour");
        assert!(asked >= JOBS, "each job that waits this long is requested: {asked}");
        assert!(rounds <= 4 * 60 + 2 * JOBS, "{rounds} reads of the open records in an hour");
    });
}
