//! Checks that each fault of the world works as documented, and does nothing when it is off.

use std::time::Duration;

use ecsrunner_core::id::{Epoch, JobId, Repository, RunnerName};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::job::Job;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::job::JobStatus;
use ecsrunner_engine::ports::Clock;
use ecsrunner_engine::ports::github::{Deletion, GitHub, GitHubError, JitConfig};
use ecsrunner_engine::ports::store::{Store, StoreError, Transaction};
use serde_json::json;
use tokio::time::Instant;

use super::faults::{FaultPlan, Process};
use super::github::{HubFaults, HubState, MemoryGitHub, Order, RegistrationFailure, Trouble};
use super::store::MemoryStore;
use super::{Setup, Simulation, StartTimes, ports};

fn simulation(fault_plan: FaultPlan) -> Simulation {
    Simulation::new(Setup {
        seed: 1,
        settings: json!({"version": 1, "deployment": "sim", "repositories": ["acme/*"]}),
        classes: json!({"small": {"cpu": 512, "memory": 1024, "default": true}}),
        subnets: vec!["subnet-aaaa1111"],
        images: None,
        timeout: Duration::from_secs(60),
        start_times: StartTimes::default(),
        fault_plan,
    })
}

fn repository(name: &str) -> Repository {
    Repository::parse(&format!("acme/{name}")).unwrap()
}

fn queue(simulation: &mut Simulation, name: &str) -> JobId {
    simulation.queue(Order::new(&repository(name), &["self-hosted"], 5))
}

/// Makes a world with open jobs and without launches.
async fn with_open_jobs(count: usize) -> Simulation {
    let mut simulation = simulation(FaultPlan::default());
    simulation.shared().lock().pause(true);
    for _ in 0..count {
        queue(&mut simulation, "app");
    }
    simulation.pass(Duration::from_secs(20)).await;
    assert_eq!(simulation.shared().lock().tables.open.jobs.len(), count);
    simulation
}

/// Registers one more runner in a repository.
async fn register(simulation: &Simulation, name: &str) -> Result<JitConfig, GitHubError> {
    let github = MemoryGitHub(simulation.shared().clone());
    let number = simulation.shared().lock().hub.runners.len();
    let runner = format!("ecsr-sim-sx4lj6m5op-01arz3ndektsv4rrffq69g{number:04}");
    let runner = RunnerName::parse(&runner).unwrap();
    github
        .generate_jitconfig(&Scope::Repository(repository(name)), &runner, &["self-hosted".to_owned()])
        .await
}

#[tokio::test(start_paused = true)]
async fn an_app_without_a_webhook_lists_no_deliveries() {
    let simulation = with_open_jobs(2).await;
    let github = MemoryGitHub(simulation.shared().clone());
    assert_eq!(github.deliveries(None).await.unwrap().unwrap().deliveries.len(), 2);
    simulation.shared().lock().hub.faults.no_app_webhook = true;
    assert_eq!(github.deliveries(None).await.unwrap().unwrap().deliveries.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_fails_makes_no_runner() {
    let simulation = simulation(FaultPlan::default());
    simulation.shared().lock().hub.faults.registration_fails = 1.0;
    let answer = register(&simulation, "app").await;
    assert!(matches!(answer, Err(GitHubError::Server { status: 502, .. })), "{answer:?}");
    simulation.shared().lock().hub.faults.registration_failure = RegistrationFailure::NotFound;
    let answer = register(&simulation, "app").await;
    assert!(matches!(answer, Err(GitHubError::Refused { status: 404, .. })), "{answer:?}");
    assert!(simulation.shared().lock().hub.runners.is_empty());
    simulation.shared().lock().hub.faults.registration_fails = 0.0;
    register(&simulation, "app").await.unwrap();
    assert_eq!(simulation.shared().lock().hub.runners.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_registration_takes_as_long_as_it_is_told_to() {
    let simulation = simulation(FaultPlan::default());
    for takes in [Duration::ZERO, Duration::from_secs(3)] {
        simulation.shared().lock().hub.faults.registration_takes = takes;
        let begun = Instant::now();
        register(&simulation, "app").await.unwrap();
        assert_eq!(begun.elapsed(), takes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_repositorys_registrations_that_hang_are_given_up_and_others_are_made() {
    let simulation = simulation(FaultPlan::default());
    simulation.shared().lock().hub.faults.hanging.insert(repository("app"));
    let begun = Instant::now();
    register(&simulation, "web").await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let answer = register(&simulation, "app").await;
    assert!(matches!(answer, Err(GitHubError::Unreachable { .. })), "{answer:?}");
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
    assert_eq!(simulation.shared().lock().hub.runners.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn other_clients_leave_fewer_registrations_a_minute() {
    let simulation = simulation(FaultPlan::default());
    simulation.shared().lock().hub.faults.registrations_per_minute = Some(2);
    register(&simulation, "app").await.unwrap();
    register(&simulation, "app").await.unwrap();
    let answer = register(&simulation, "app").await;
    assert!(matches!(answer, Err(GitHubError::Throttled { .. })), "{answer:?}");
    tokio::time::advance(Duration::from_secs(60)).await;
    register(&simulation, "app").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_for_a_registration_counts_when_it_arrives_whatever_its_answer() {
    let simulation = simulation(FaultPlan::default());
    let faults = |change: fn(&mut HubFaults)| change(&mut simulation.shared().lock().hub.faults);
    faults(|faults| faults.registrations_per_minute = Some(3));
    faults(|faults| faults.registration_fails = 1.0);
    assert!(matches!(register(&simulation, "app").await, Err(GitHubError::Server { .. })));
    faults(|faults| faults.registration_fails = 0.0);
    simulation.shared().lock().hub.faults.hanging.insert(repository("app"));
    assert!(matches!(register(&simulation, "app").await, Err(GitHubError::Unreachable { .. })));
    simulation.shared().lock().hub.trouble = Trouble::Refused;
    assert!(matches!(register(&simulation, "web").await, Err(GitHubError::Refused { status: 403, .. })));
    simulation.shared().lock().hub.trouble = Trouble::None;
    // It is refused at once, though its answer would hang.
    assert!(matches!(register(&simulation, "app").await, Err(GitHubError::Throttled { .. })));
    assert_eq!(simulation.shared().lock().hub.throttled, 1);
    assert!(simulation.shared().lock().hub.configured.is_empty());
    tokio::time::advance(Duration::from_secs(60)).await;
    register(&simulation, "web").await.unwrap();
    assert_eq!(simulation.shared().lock().hub.configured.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_word_busy_comes_late_and_a_deletion_is_refused_at_once() {
    let mut simulation = simulation(FaultPlan::default());
    simulation.shared().lock().hub.faults.busy_lags = Duration::from_secs(90);
    let job = simulation.queue(Order::new(&repository("app"), &["self-hosted"], 600));
    simulation.pass(Duration::from_secs(60)).await;
    let (id, name) = {
        let outside = simulation.shared().lock();
        let (id, runner) = outside.hub.runners.iter().next().unwrap();
        assert_eq!(runner.job, Some(job));
        (*id, RunnerName::parse(&runner.name).unwrap())
    };
    let github = MemoryGitHub(simulation.shared().clone());
    let scope = Scope::Repository(repository("app"));
    let busy = async || {
        let listed = github.registrations(&scope, 1).await.unwrap().runners[0].1.busy;
        let found = github.runner(&scope, &name).await.unwrap().unwrap().busy;
        (listed, found)
    };
    assert_eq!(busy().await, (false, false));
    assert_eq!(github.delete_runner(&scope, id).await.unwrap(), Deletion::Busy);
    tokio::time::advance(Duration::from_secs(90)).await;
    assert_eq!(busy().await, (true, true));
}

#[tokio::test(start_paused = true)]
async fn a_starved_runner_gets_no_job_though_it_is_idle() {
    let mut simulation = simulation(FaultPlan::default());
    simulation.shared().lock().hub.faults.starves_idle = 1.0;
    let job = queue(&mut simulation, "app");
    simulation.pass(Duration::from_secs(60)).await;
    {
        let hub = &mut simulation.shared().lock().hub;
        assert!(hub.runners.values().all(|runner| runner.online && runner.starved));
        assert_eq!((hub.runners.len(), &hub.jobs[&job].state), (1, &HubState::Queued));
        hub.faults.starves_idle = 0.0;
    }
    simulation.pass(Duration::from_secs(300)).await;
    assert!(simulation.shared().lock().hub.is_completed(job), "another runner gets it");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_its_runner_does_not_start_is_queued_again_after_a_minute() {
    for is_reported in [false, true] {
        let mut simulation = simulation(FaultPlan::default());
        {
            let faults = &mut simulation.shared().lock().hub.faults;
            (faults.unstarted, faults.unstarted_reported) = (1.0, if is_reported { 1.0 } else { 0.0 });
        }
        let job = queue(&mut simulation, "app");
        simulation.pass(Duration::from_secs(60)).await;
        let github = MemoryGitHub(simulation.shared().clone());
        let remote = github.job(&repository("app"), job).await.unwrap().unwrap();
        let (status, last) = match is_reported {
            false => (JobStatus::Queued, "queued"),
            true => (JobStatus::InProgress, "in_progress"),
        };
        assert_eq!((remote.status, remote.runner_name.is_some()), (status, is_reported));
        assert_eq!(simulation.shared().lock().hub.deliveries.last().unwrap().action, last);
        simulation.shared().lock().hub.faults.unstarted = 0.0;
        simulation.pass(Duration::from_secs(60)).await;
        let outside = simulation.shared().lock();
        assert_eq!(outside.hub.jobs[&job].begun, 1, "its runner goes on to listen and gets it");
        let queued = outside.hub.deliveries.iter().filter(|delivery| delivery.action == "queued");
        assert_eq!(queued.count(), 1, "no webhook says that it is queued again");
    }
}

#[tokio::test(start_paused = true)]
async fn throttled_reads_of_jobs_say_how_long_to_wait_and_are_counted() {
    let simulation = with_open_jobs(1).await;
    let github = MemoryGitHub(simulation.shared().clone());
    let job = *simulation.shared().lock().tables.open.jobs.keys().next().unwrap();
    let until = simulation.shared().clock().now() + Duration::from_secs(90);
    simulation.shared().lock().hub.faults.job_reads_throttled_until = Some(until);
    tokio::time::advance(Duration::from_secs(30)).await;
    match github.job(&repository("app"), job).await {
        Err(GitHubError::Throttled { after, .. }) => assert_eq!(after, Duration::from_secs(60)),
        answer => panic!("{answer:?}"),
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(github.job(&repository("app"), job).await.unwrap().is_some());
    assert_eq!(simulation.shared().lock().hub.throttled_job_reads, 1);
}

#[tokio::test(start_paused = true)]
async fn runners_of_an_unconnectable_repository_never_listen_and_others_do() {
    let mut simulation = simulation(FaultPlan::default());
    simulation.shared().lock().hub.faults.unconnectable.insert(repository("sick"));
    let (sick, well) = (queue(&mut simulation, "sick"), queue(&mut simulation, "app"));
    simulation.pass(Duration::from_secs(240)).await;
    let outside = simulation.shared().lock();
    assert!(outside.hub.is_completed(well));
    assert_eq!(outside.hub.jobs[&sick].begun, 0);
    assert!(outside.hub.runners.values().all(|runner| !runner.online));
    let failed = outside.ledger.endings.iter().find(|((kind, _), _)| *kind == "boot_failed");
    assert!(failed.is_some(), "{:?}", outside.ledger.endings);
}

#[tokio::test(start_paused = true)]
async fn a_read_of_what_is_open_takes_longer_for_each_record() {
    let simulation = with_open_jobs(10).await;
    let shared = simulation.shared();
    let store = ports(shared, &Process::default(), 1).store;
    let mut took = Vec::new();
    for takes in [Duration::ZERO, Duration::from_secs(1)] {
        shared.lock().fault_plan.open_takes_per_record = takes;
        let begun = Instant::now();
        store.open().await.unwrap();
        took.push(begun.elapsed());
    }
    assert!(took[0] < Duration::from_secs(1), "{took:?}");
    assert!((Duration::from_secs(10)..Duration::from_secs(11)).contains(&took[1]), "{took:?}");
}

/// Writes the next version of the only open job, and returns how long that took.
async fn write_job(simulation: &Simulation, fence: Option<Epoch>) -> Result<Duration, StoreError> {
    let job = simulation.shared().lock().tables.open.jobs.values().next().cloned().unwrap();
    let changes = [Change::Job(Job { version: job.version.next(), ..job })];
    let begun = Instant::now();
    let transaction = Transaction { fence, ..Transaction::of(&changes) };
    MemoryStore(simulation.shared().clone()).commit(transaction).await?;
    Ok(begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn writes_wait_once_a_seconds_units_are_used() {
    let simulation = with_open_jobs(1).await;
    let mut took = Vec::new();
    for units_per_sec in [0, 4] {
        simulation.shared().lock().fault_plan.write_units_per_sec = units_per_sec;
        for _ in 0..5 {
            took.push(write_job(&simulation, None).await.unwrap());
        }
    }
    let (last, earlier) = took.split_last().unwrap();
    assert!(earlier.iter().all(Duration::is_zero), "{took:?}");
    assert_eq!(*last, Duration::from_millis(250));
}

#[tokio::test(start_paused = true)]
async fn only_a_dispatchers_writes_of_waiting_jobs_are_throttled() {
    let simulation = with_open_jobs(1).await;
    let fence = Some(Epoch::new(77));
    simulation.shared().lock().fault_plan.wait_writes_throttled = 1.0;
    assert!(matches!(write_job(&simulation, fence).await, Err(StoreError::Unavailable { .. })));
    write_job(&simulation, None).await.unwrap();
    simulation.shared().lock().fault_plan.wait_writes_throttled = 0.0;
    assert!(matches!(write_job(&simulation, fence).await, Err(StoreError::Fenced)));
}

#[tokio::test(start_paused = true)]
async fn writes_of_jobs_and_endings_of_runners_are_counted() {
    let mut simulation = simulation(FaultPlan::default());
    queue(&mut simulation, "app");
    assert!(simulation.settle(Duration::from_secs(120)).await);
    let outside = simulation.shared().lock();
    assert_eq!(outside.ledger.wait_writes["to_plan"], 1);
    let queued: u64 = outside.ledger.wait_writes.values().sum();
    // The job was written again when it started.
    assert_eq!(outside.ledger.job_writes, queued + 1);
    assert_eq!(outside.ledger.endings[&("completed", String::new())], 1);
}
