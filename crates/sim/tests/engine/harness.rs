//! Helpers of the scenarios.

use std::future::Future;
use std::time::Duration;

use ecsrunner_core::id::{JobId, Repository};
use ecsrunner_world::faults::FaultPlan;
use ecsrunner_world::github::{HubState, Order};
use ecsrunner_world::{Outside, Setup, Simulation, StartTimes};
use serde_json::json;

pub(crate) const SUBNETS: [&str; 2] = ["subnet-aaaa1111", "subnet-bbbb2222"];

/// Returns a deployment whose limits admit every runner of the scenarios.
pub(crate) fn setup(seed: u64, fault_plan: FaultPlan) -> Setup {
    Setup {
        seed,
        settings: json!({
            "version": 1,
            "deployment": "sim",
            "repositories": ["acme/*"],
            "limits": {"max_runners": 2000},
        }),
        classes: json!({
            "small": {"cpu": 512, "memory": 1024, "default": true},
            "spot": {"cpu": 512, "memory": 1024, "capacity": "spot-then-on-demand"},
        }),
        subnets: SUBNETS.to_vec(),
        images: None,
        timeout: Duration::from_secs(60),
        start_times: StartTimes::default(),
        fault_plan,
    }
}

/// Returns a job of the default class.
pub(crate) fn job(secs: u64) -> Order {
    Order::new(&repository("app"), &["self-hosted"], secs)
}

pub(crate) fn repository(name: &str) -> Repository {
    Repository::parse(&format!("acme/{name}")).unwrap()
}

/// Runs a scenario in virtual time.
pub(crate) fn run<R>(scenario: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(scenario)
}

/// Runs the simulation until nothing is left, and checks the invariants.
pub(crate) async fn settle(simulation: &mut Simulation, limit: Duration, words: &str) {
    let settled = simulation.settle(limit).await;
    let outside = simulation.shared().lock();
    let left = outside.left_over().join("\n");
    assert!(settled, "{words}: after {limit:?} there is left:\n{left}\n{:?}", outside.ledger.failures);
    assert!(outside.ledger.violations.is_empty(), "{words}: {:#?}", outside.ledger.violations);
}

/// Checks that the job was executed once, to its end.
pub(crate) fn assert_executed_once(outside: &Outside, job: JobId) {
    let job = &outside.hub.jobs[&job];
    let HubState::Completed { conclusion, .. } = &job.state else { panic!("{job:?}") };
    assert_eq!((*conclusion, job.begun), ("success", 1), "{job:?}");
}
