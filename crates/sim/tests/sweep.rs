//! Single sweeps of the engine in the in-memory world.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::time::Duration;

use ecsrunner_core::decide::sweep::{KnownScope, Lag};
use ecsrunner_core::id::{Repository, RunnerId};
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_engine::ports::Clock;
use ecsrunner_engine::sweep::{Reach, Sweeping, Swept};
use ecsrunner_world::faults::{FaultPlan, Method, Process, Transit};
use ecsrunner_world::github::{HubRunner, Order, Trouble};
use ecsrunner_world::{Setup, Simulation, StartTimes};
use jiff::Timestamp;
use serde_json::json;

const MINUTE: Duration = Duration::from_secs(60);

/// The name of a runner from 1 November 2023.
const LONG_AGO: &str = "ecsr-sim-abcdefg234-01he4fh0000000000000000001";

fn setup(fault_plan: FaultPlan) -> Setup {
    Setup {
        seed: 7,
        settings: json!({"version": 1, "deployment": "sim", "repositories": ["acme/*"]}),
        classes: json!({"small": {"cpu": 512, "memory": 1024, "default": true}}),
        subnets: vec!["subnet-aaaa1111"],
        images: None,
        timeout: Duration::from_secs(60),
        start_times: StartTimes::default(),
        fault_plan,
    }
}

/// Runs a scenario in virtual time.
fn run<R>(scenario: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(scenario)
}

fn app() -> Repository {
    Repository::parse("acme/app").unwrap()
}

fn queue(simulation: &mut Simulation, count: usize) {
    for _ in 0..count {
        simulation.queue(Order::new(&app(), &["self-hosted"], 30));
    }
}

async fn sweep_until(simulation: &mut Simulation, until: Option<Timestamp>) -> Swept {
    let engine = simulation.engine(&Process::default());
    let sweeping = Sweeping { lag: Lag::DISTRIBUTED, reach: Reach::Everything, until };
    engine.sweep(sweeping).await.unwrap()
}

async fn sweep(simulation: &mut Simulation) -> Swept {
    sweep_until(simulation, None).await
}

/// Registers a runner that ecsrunner did not launch.
fn register(simulation: &Simulation, id: u64, name: &str, busy: bool) {
    let now = simulation.shared().clock().now();
    let hub = &mut simulation.shared().lock().hub;
    let job = hub.jobs.keys().next().copied().filter(|_| busy);
    let busy_since = job.map(|_| now);
    let idle = HubRunner::new(name, &Scope::Repository(app()), Labels::new(["self-hosted"]));
    hub.runners.insert(RunnerId::new(id), HubRunner { job, busy_since, ..idle });
}

/// Records the scope as one that recently had runners.
fn know_scope(simulation: &Simulation) {
    let scope = Scope::Repository(app());
    let seen_at = simulation.shared().clock().now();
    let known = KnownScope { scope, seen_at, looked_at: None, next_page: 1 };
    simulation.shared().lock().tables.progress.scopes = vec![known];
}

#[test]
fn lost_deliveries_are_recorded_thirty_a_pass_and_each_says_how_far_it_is_behind() {
    run(async {
        let mut simulation = Simulation::new(setup(FaultPlan::default()));
        queue(&mut simulation, 70);
        tokio::time::sleep(3 * MINUTE).await;
        for (reinjected, behind) in [(30, true), (30, true), (10, false), (0, false)] {
            let swept = sweep(&mut simulation).await;
            assert_eq!((swept.reinjected, swept.behind.is_some(), swept.cut), (reinjected, behind, behind));
            assert_eq!(swept.failed, 0);
        }
        assert_eq!(simulation.shared().lock().tables.open.jobs.len(), 70);
    });
}

#[test]
fn lost_deliveries_of_queued_jobs_are_recorded_first() {
    run(async {
        let mut simulation = Simulation::new(setup(FaultPlan::default()));
        queue(&mut simulation, 25);
        let now = simulation.shared().clock().now();
        let jobs: Vec<_> = simulation.shared().lock().hub.jobs.keys().copied().collect();
        for job in &jobs {
            simulation.shared().lock().hub.steal(*job, now);
        }
        simulation.shared().lock().hub.complete(jobs[0], "success", now);
        tokio::time::sleep(3 * MINUTE).await;
        // 25 of queued jobs, then 5 of 25 that are in progress.
        let swept = sweep(&mut simulation).await;
        assert_eq!((swept.fetched, swept.behind.is_some(), swept.cut), (30, true, true));
        assert_eq!(simulation.shared().lock().tables.deliveries.len(), 30);
        let open = simulation.shared().lock().tables.open.jobs.clone();
        assert!(jobs.iter().all(|job| open.contains_key(job)), "{open:?}");
        let swept = sweep(&mut simulation).await;
        assert_eq!((swept.fetched, swept.behind, swept.cut), (21, None, false));
    });
}

/// Returns how often the engine has made a call.
fn calls(simulation: &Simulation, method: Method) -> u64 {
    simulation.shared().lock().ledger.calls.get(&method).copied().unwrap_or_default()
}

#[test]
fn deliveries_that_cannot_be_recorded_are_fetched_once_and_hold_up_no_other() {
    run(async {
        let mut simulation = Simulation::new(setup(FaultPlan::default()));
        queue(&mut simulation, 95);
        {
            let outside = &mut *simulation.shared().lock();
            let hub = &mut outside.hub;
            // The oldest ones are fetched first.
            hub.deliveries[..10].iter_mut().for_each(|delivery| delivery.body = "{}".to_owned());
            let numbers: Vec<u64> = hub.deliveries.iter().map(|delivery| delivery.number).collect();
            hub.faults.forgotten_deliveries.extend(&numbers[10..20]);
            hub.faults.unreadable_deliveries.extend(numbers[20..30].iter().map(|number| (*number, 404)));
            outside.fault_plan.unreadable_jobs.extend(hub.jobs.keys().skip(30).take(10));
        }
        tokio::time::sleep(3 * MINUTE).await;
        let mut passes = Vec::new();
        for _ in 0..4 {
            let swept = sweep(&mut simulation).await;
            passes.push((swept.fetched, swept.reinjected));
        }
        assert_eq!(passes, [(30, 0), (30, 20), (30, 30), (5, 5)]);
        let outside = simulation.shared().lock();
        assert_eq!((outside.tables.set_aside.len(), outside.tables.deliveries.len()), (10, 95));
    });
}

#[test]
fn a_delivery_for_which_github_does_not_answer_holds_up_no_other() {
    run(async {
        let mut simulation = Simulation::new(setup(FaultPlan::default()));
        queue(&mut simulation, 40);
        {
            let hub = &mut simulation.shared().lock().hub;
            let oldest = hub.deliveries[0].number;
            hub.faults.unreadable_deliveries.insert(oldest, 502);
        }
        tokio::time::sleep(3 * MINUTE).await;
        let swept = [sweep(&mut simulation).await, sweep(&mut simulation).await];
        assert_eq!(swept.map(|swept| (swept.fetched, swept.reinjected)), [(30, 29), (11, 10)]);
        simulation.shared().lock().hub.faults.unreadable_deliveries.clear();
        let swept = sweep(&mut simulation).await;
        assert_eq!((swept.fetched, swept.reinjected, swept.behind), (1, 1, None));
    });
}

/// Queues jobs whose deliveries the App does not list, in runs of this size.
fn queue_runs(simulation: &mut Simulation, repository: &str, runs: usize, of_each: usize) {
    let now = simulation.shared().clock().now();
    let hub = &mut simulation.shared().lock().hub;
    hub.faults.no_app_webhook = true;
    let order = Order::new(&Repository::parse(repository).unwrap(), &["self-hosted"], 30);
    for _ in 0..runs {
        let first = hub.queue(order.clone(), now);
        for _ in 1..of_each {
            hub.queue_in_run_of(first, order.clone(), now);
        }
    }
}

#[test]
fn jobs_that_are_on_record_cost_a_search_no_write() {
    run(async {
        let mut simulation = Simulation::new(setup(FaultPlan::default()));
        simulation.shared().lock().pause(true);
        for repository in ["acme/app", "acme/web", "acme/api"] {
            queue_runs(&mut simulation, repository, 2, 50);
        }
        simulation.pass(Duration::from_secs(30)).await;
        assert_eq!(simulation.shared().lock().tables.open.jobs.len(), 300);
        let counted = [Method::QueuedJobs, Method::Open, Method::Commit, Method::Load, Method::Kick];
        let before = counted.map(|method| calls(&simulation, method));
        assert_eq!(sweep(&mut simulation).await.discovered, 0);
        let mut made = counted.map(|method| calls(&simulation, method));
        made.iter_mut().zip(before).for_each(|(made, before)| *made -= before);
        assert_eq!(made, [3, 1, 0, 0, 0], "{counted:?}");
    });
}

#[test]
fn a_search_that_finds_thousands_of_lost_jobs_ends_in_time_and_later_ones_go_on() {
    run(async {
        let mut simulation = Simulation::new(setup(FaultPlan::default()));
        queue_runs(&mut simulation, "acme/app", 20, 256);
        let mut passes = 0;
        while simulation.shared().lock().tables.open.jobs.len() < 20 * 256 {
            let begun = simulation.shared().clock().now();
            let swept = sweep_until(&mut simulation, Some(begun + Duration::from_secs(10))).await;
            let took = simulation.shared().clock().now().duration_since(begun);
            assert!(took.as_secs() <= 11, "{took:#}");
            assert!(swept.discovered >= 256, "{swept:?}");
            let kept = simulation.shared().lock().tables.progress.began_at;
            assert!(kept.is_some_and(|at| at >= begun), "{kept:?}");
            passes += 1;
            assert_eq!(calls(&simulation, Method::Kick), passes, "one for each pass");
            tokio::time::sleep(5 * MINUTE).await;
        }
    });
}

#[test]
fn a_delivery_that_cannot_be_read_is_set_aside_and_holds_up_no_other() {
    run(async {
        let mut simulation = Simulation::new(setup(FaultPlan::default()));
        queue(&mut simulation, 3);
        simulation.shared().lock().hub.deliveries[1].body = "{}".to_owned();
        tokio::time::sleep(3 * MINUTE).await;
        let swept = sweep(&mut simulation).await;
        assert_eq!((swept.fetched, swept.reinjected, swept.behind), (3, 2, None));
        assert_eq!(simulation.shared().lock().tables.set_aside.len(), 1);
    });
}

#[test]
fn a_stray_registration_is_deleted_and_a_busy_or_foreign_one_is_not() {
    run(async {
        let mut simulation = Simulation::new(setup(FaultPlan::default()));
        queue(&mut simulation, 1);
        know_scope(&simulation);
        register(&simulation, 101, LONG_AGO, false);
        register(&simulation, 102, &LONG_AGO.replace("0001", "0002"), true);
        register(&simulation, 103, &LONG_AGO.replace("-sim-", "-other-"), false);
        register(&simulation, 104, "someone's runner", false);
        assert_eq!(sweep(&mut simulation).await.deleted_registrations, 1);
        let left: Vec<u64> = simulation.shared().lock().hub.runners.keys().map(|id| id.get()).collect();
        assert_eq!(left, [102, 103, 104]);
        // The scope is not swept again within the hour.
        register(&simulation, 105, LONG_AGO, false);
        assert_eq!(sweep(&mut simulation).await.deleted_registrations, 0);
        tokio::time::sleep(60 * MINUTE).await;
        assert_eq!(sweep(&mut simulation).await.deleted_registrations, 1);
    });
}

#[test]
fn many_stray_registrations_are_deleted_thirty_a_pass() {
    run(async {
        let mut simulation = Simulation::new(setup(FaultPlan::default()));
        know_scope(&simulation);
        for id in 0..250 {
            let name = format!("{}{id:04}", &LONG_AGO[..LONG_AGO.len() - 4]);
            register(&simulation, 1000 + id, &name, false);
        }
        let mut passes = Vec::new();
        while !simulation.shared().lock().hub.runners.is_empty() {
            passes.push(sweep(&mut simulation).await.deleted_registrations);
            tokio::time::sleep(10 * MINUTE).await;
            assert!(passes.len() < 50, "{passes:?}");
        }
        assert_eq!(passes.iter().sum::<usize>(), 250);
        assert!(passes.iter().all(|deleted| *deleted <= 30), "{passes:?}");
    });
}

#[test]
fn what_github_refuses_in_one_scope_stops_no_other_part() {
    run(async {
        let mut simulation = Simulation::new(setup(FaultPlan::default()));
        queue(&mut simulation, 1);
        know_scope(&simulation);
        simulation.shared().lock().hub.trouble = Trouble::Refused;
        tokio::time::sleep(3 * MINUTE).await;
        let swept = sweep(&mut simulation).await;
        assert_eq!((swept.reinjected, swept.failed), (1, 1));
        // The scope was swept.
        assert_eq!(sweep(&mut simulation).await.failed, 0);
    });
}

/// Makes a runner whose container executes a job, although its record does not say so.
async fn with_unheard_task() -> Simulation {
    let task_events = Transit { lose: 1.0, ..Transit::default() };
    let mut simulation = Simulation::new(setup(FaultPlan { task_events, ..FaultPlan::default() }));
    queue(&mut simulation, 1);
    simulation.pass(Duration::from_secs(5)).await;
    simulation.shared().lock().fault_plan.webhooks.lose = 1.0;
    simulation.pass(Duration::from_secs(40)).await;
    simulation
}

#[test]
fn while_github_is_out_of_reach_records_are_repaired_against_their_tasks() {
    run(async {
        let mut simulation = with_unheard_task().await;
        simulation.shared().lock().hub.trouble = Trouble::Outage;
        let before = simulation.shared().lock().tables.progress.deliveries.clone();
        let swept = sweep(&mut simulation).await;
        assert_eq!(swept.repaired, 1, "{swept:?}");
        assert!(swept.failed > 0 && swept.cut, "{swept:?}");
        assert_eq!(simulation.shared().lock().tables.progress.deliveries, before);
    });
}

#[test]
fn a_task_that_no_record_wants_is_stopped() {
    run(async {
        let mut simulation = with_unheard_task().await;
        simulation.shared().lock().tables.open.runners.clear();
        assert_eq!(sweep(&mut simulation).await.stopped_orphans, 1);
        tokio::time::sleep(5 * MINUTE).await;
        let now = simulation.shared().clock().now();
        simulation.shared().lock().ecs.advance(now);
        assert_eq!(simulation.shared().lock().ecs.alive(), 0);
        assert_eq!(sweep(&mut simulation).await.stopped_orphans, 0);
    });
}

#[test]
fn a_sweep_whose_time_is_over_calls_nobody_and_leaves_everything_to_the_next() {
    run(async {
        let mut simulation = with_unheard_task().await;
        tokio::time::sleep(3 * MINUTE).await;
        let now = simulation.shared().clock().now();
        let swept = sweep_until(&mut simulation, Some(now)).await;
        assert_eq!(swept, Swept { cut: true, ..Swept::default() });
        assert_eq!(sweep(&mut simulation).await.repaired, 1);
    });
}

#[test]
fn a_sweep_is_due_a_minute_after_the_last_one_began() {
    run(async {
        let mut simulation = Simulation::new(setup(FaultPlan::default()));
        let engine = simulation.engine(&Process::default());
        assert!(engine.sweep_is_due().await.unwrap());
        queue(&mut simulation, 1);
        tokio::time::sleep(3 * MINUTE).await;
        sweep(&mut simulation).await;
        assert!(!engine.sweep_is_due().await.unwrap());
        tokio::time::sleep(MINUTE).await;
        assert!(engine.sweep_is_due().await.unwrap());
    });
}
