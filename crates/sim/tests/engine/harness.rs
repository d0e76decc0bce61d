//! Helpers of the scenarios.

use std::future::Future;
use std::time::Duration;

use ecsrunner_core::id::{JobId, Repository};
use ecsrunner_core::records::spend::{Spent, SpentBy};
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
    assert_spent_once(&outside, words);
}

/// Checks that each task in history counts once in the sums of its class, with its cost if that is known.
pub(crate) fn assert_spent_once(outside: &Outside, words: &str) {
    let tables = &outside.tables;
    let of_runners = tables.gone.values().map(|runner| (runner.launched_at(), runner.cost_usd));
    let of_warm =
        tables.gone_warm.values().map(|warm| (warm.cost_usd.map(|_| warm.timeline.began()), warm.cost_usd));
    let launched: Vec<Option<f64>> =
        of_runners.chain(of_warm).filter(|(at, _)| at.is_some()).map(|(_, usd)| usd).collect();
    let of_classes = || tables.spending.0.iter().filter(|(key, _)| matches!(key.by, SpentBy::Class(_)));
    let count = |of: fn(&Spent) -> u64| -> u64 { of_classes().map(|(_, spent)| of(spent)).sum() };
    let without_price = launched.iter().filter(|usd| usd.is_none()).count();
    assert_eq!(count(|spent| spent.tasks), launched.len() as u64, "{words}: tasks that count");
    assert_eq!(count(|spent| spent.unpriced), without_price as u64, "{words}: tasks without a price");
    let (usd, expected): (f64, f64) =
        (of_classes().map(|(_, spent)| spent.usd.dollars()).sum(), launched.iter().flatten().sum());
    assert!((usd - expected).abs() < 1e-6, "{words}: {usd} dollars are written down, {expected} were spent");
}

/// Checks that the job was executed once, to its end.
pub(crate) fn assert_executed_once(outside: &Outside, job: JobId) {
    let job = &outside.hub.jobs[&job];
    let HubState::Completed { conclusion, .. } = &job.state else { panic!("{job:?}") };
    assert_eq!((*conclusion, job.begun), ("success", 1), "{job:?}");
}
