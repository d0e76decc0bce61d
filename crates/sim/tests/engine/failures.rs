//! Jobs that cannot be served are failed visibly, each by one runner, and never more than that.

use std::time::Duration;

use ecsrunner_core::id::{ClassName, JobId, PoolId, SubnetId};
use ecsrunner_core::records::hold::{Failure, Held, Hold, Seen};
use ecsrunner_core::records::job::{Failing, JobEnding};
use ecsrunner_core::records::runner::{EndedRunner, EndingKind};
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::placement::Placement;
use ecsrunner_core::wire::fault::Fault;
use ecsrunner_engine::ports::Clock;
use ecsrunner_world::Simulation;
use ecsrunner_world::faults::FaultPlan;
use ecsrunner_world::github::{HubState, Order, Trouble};
use jiff::SignedDuration;
use serde_json::json;

use crate::harness::{SUBNETS, assert_executed_once, job, repository, run, settle, setup};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn deployment() -> Simulation {
    Simulation::new(setup(3, FaultPlan::default()))
}

fn with(key: &str, value: serde_json::Value) -> Simulation {
    let mut setup = setup(3, FaultPlan::default());
    setup.settings[key] = value;
    Simulation::new(setup)
}

/// A job of a class that does not exist.
pub(crate) fn unknown(name: &str) -> Order {
    Order::new(&repository(name), &["self-hosted", "class:huge"], 300)
}

pub(crate) fn conclusion(simulation: &Simulation, job: JobId) -> Option<&'static str> {
    match &simulation.shared().lock().hub.jobs[&job].state {
        HubState::Completed { conclusion, .. } => Some(conclusion),
        HubState::Queued | HubState::Unstarted { .. } | HubState::InProgress { .. } => None,
    }
}

fn failed(simulation: &Simulation, jobs: &[JobId]) -> usize {
    jobs.iter().filter(|job| conclusion(simulation, **job) == Some("failure")).count()
}

fn words(simulation: &Simulation, job: JobId) -> String {
    simulation.shared().lock().words_for(job).unwrap_or("nothing").to_owned()
}

pub(crate) fn launches(simulation: &Simulation) -> u64 {
    simulation.shared().lock().ledger.launches
}

/// Holds a class, as failures in several pools and placements do.
fn hold_class(simulation: &Simulation, class: &str, not_before: SignedDuration) {
    let now = simulation.shared().clock().now();
    let held = Held::Class(ClassName::parse(class).unwrap());
    let failure = Failure::of(Fault::ImagePull, "the image cannot be pulled", now, now);
    let pools = ["aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc"].map(|pool| PoolId::parse(pool).unwrap());
    let placements =
        SUBNETS.map(|subnet| Placement::fargate(Market::OnDemand, Some(SubnetId::parse(subnet).unwrap())));
    let seen = Seen { pools: pools.into(), placements: placements.into() };
    let hold = Hold { not_before: now + not_before, seen, ..Hold::after(None, held, &failure) };
    simulation.shared().lock().tables.open.add_hold(hold);
}

#[test]
fn a_job_of_an_unknown_class_is_failed_once_after_fifteen_minutes() {
    run(async {
        let mut simulation = deployment();
        let job = simulation.queue(unknown("app"));
        simulation.pass(14 * MINUTE).await;
        assert_eq!((conclusion(&simulation, job), launches(&simulation)), (None, 0));
        simulation.pass(4 * MINUTE).await;
        assert_eq!(conclusion(&simulation, job), Some("failure"));
        let text = format!(
            "runner class `huge` does not exist: the catalogue has small, spot. `ecsrunner why {job}` says more."
        );
        assert_eq!(words(&simulation, job), text);
        settle(&mut simulation, HOUR, "an unknown class").await;
        assert_eq!(launches(&simulation), 1);
        let outside = simulation.shared().lock();
        let ending = &outside.tables.ended[&job].ending;
        let JobEnding::Refused { reason, after: Some((conclusion, runner)) } = ending else {
            panic!("{ending:?}")
        };
        assert_eq!((reason.code().as_str(), conclusion.as_str()), ("class_unknown", "failure"));
        assert!(runner.ours().is_some(), "{runner:?}");
    });
}

#[test]
fn a_job_of_an_unknown_class_waits_where_that_is_asked_for() {
    run(async {
        let mut simulation = with("on_failure", json!("wait"));
        let job = simulation.queue(unknown("app"));
        simulation.pass(2 * HOUR).await;
        assert_eq!((conclusion(&simulation, job), launches(&simulation)), (None, 0));
        assert!(simulation.shared().lock().tables.ended.contains_key(&job));
    });
}

#[test]
fn a_job_that_was_cancelled_or_taken_in_time_costs_no_runner() {
    run(async {
        let mut simulation = deployment();
        let cancelled = simulation.queue(unknown("app"));
        let taken = simulation.queue(unknown("app"));
        // No webhook says so, and no sweep finds it in time: only the question before the launch does.
        simulation.pass(14 * MINUTE + MINUTE / 2).await;
        simulation.shared().lock().fault_plan.webhooks.lose = 1.0;
        let now = simulation.shared().clock().now();
        simulation.shared().lock().cancel(cancelled, now);
        simulation.shared().lock().hub.steal(taken, now);
        simulation.pass(20 * MINUTE).await;
        assert_eq!(launches(&simulation), 0);
    });
}

#[test]
fn at_most_ten_such_runners_an_hour_are_launched_for_a_repository() {
    run(async {
        let mut simulation = deployment();
        let jobs: Vec<JobId> = (0..13).map(|_| simulation.queue(unknown("app"))).collect();
        let other = simulation.queue(unknown("web"));
        simulation.pass(60 * MINUTE).await;
        assert_eq!((failed(&simulation, &jobs), launches(&simulation)), (10, 11));
        assert_eq!(conclusion(&simulation, other), Some("failure"));
        settle(&mut simulation, 2 * HOUR, "thirteen jobs").await;
        assert_eq!((failed(&simulation, &jobs), launches(&simulation)), (13, 14));
    });
}

#[test]
fn reservations_that_are_throttled_use_up_no_slot_of_the_hour() {
    run(async {
        let mut simulation = deployment();
        let jobs: Vec<JobId> = (0..10).map(|_| simulation.queue(unknown("app"))).collect();
        simulation.pass(14 * MINUTE).await;
        simulation.shared().lock().fault_plan.reservations_throttled = 1.0;
        simulation.pass(10 * MINUTE).await;
        assert_eq!(launches(&simulation), 0);
        simulation.shared().lock().fault_plan.reservations_throttled = 0.0;
        simulation.pass(10 * MINUTE).await;
        assert_eq!((failed(&simulation, &jobs), launches(&simulation)), (10, 10));
    });
}

#[test]
fn a_job_is_failed_though_its_first_runner_was_retired_while_its_task_began() {
    run(async {
        let mut simulation = deployment();
        let job = simulation.queue(unknown("app"));
        simulation.pass(14 * MINUTE).await;
        while simulation.shared().lock().ecs.tasks().next().is_none() {
            simulation.pass(Duration::from_millis(10)).await;
            assert!(simulation.elapsed() < HOUR);
        }
        let now = simulation.shared().clock().now();
        {
            let open = &mut simulation.shared().lock().tables.open;
            let runner = open.runners.values().next().unwrap();
            assert!(runner.awaits_task(), "{runner:?}");
            let retired = runner.end(EndingKind::Surplus, None, now);
            open.add_runner(retired);
        }
        settle(&mut simulation, 2 * HOUR, "a retired runner").await;
        assert_eq!((conclusion(&simulation, job), launches(&simulation)), (Some("failure"), 2));
    });
}

#[test]
fn a_job_whose_runner_was_lost_after_it_was_told_to_fail_it_is_left_to_github() {
    run(async {
        let mut simulation = deployment();
        // GitHub takes its registration away before it gives it the job.
        simulation.shared().lock().hub.faults.losing.insert(repository("app"));
        let job = simulation.queue(unknown("app"));
        simulation.pass(3 * HOUR).await;
        assert_eq!((conclusion(&simulation, job), launches(&simulation)), (None, 1));
    });
}

#[test]
fn a_job_of_a_held_class_is_failed_after_six_hours_and_others_are_served() {
    run(async {
        let mut simulation = deployment();
        hold_class(&simulation, "spot", SignedDuration::from_hours(30));
        let held = simulation.queue(Order::new(&repository("app"), &["self-hosted", "class:spot"], 300));
        simulation.pass(5 * HOUR + 50 * MINUTE).await;
        assert_eq!((conclusion(&simulation, held), launches(&simulation)), (None, 0));
        let served = simulation.queue(job(60));
        simulation.pass(30 * MINUTE).await;
        assert_eq!(conclusion(&simulation, held), Some("failure"));
        let text = format!(
            "it waited for over 6 hours: runners of its class do not start: the image cannot be pulled. `ecsrunner why {held}` says more."
        );
        assert_eq!(words(&simulation, held), text);
        settle(&mut simulation, HOUR, "a held class").await;
        let outside = simulation.shared().lock();
        assert_executed_once(&outside, served);
        let JobEnding::Completed { reason: Some(reason), .. } = &outside.tables.ended[&held].ending else {
            panic!("{:?}", outside.tables.ended[&held])
        };
        assert_eq!(reason.code().as_str(), "class_held");
    });
}

#[test]
fn a_job_that_was_old_when_its_class_was_held_is_failed_six_hours_after_that() {
    run(async {
        let mut simulation = deployment();
        simulation.shared().lock().pause(true);
        let old = simulation.queue(Order::new(&repository("app"), &["self-hosted", "class:spot"], 300));
        simulation.pass(12 * HOUR).await;
        hold_class(&simulation, "spot", SignedDuration::from_hours(30));
        simulation.shared().lock().pause(false);
        simulation.pass(5 * HOUR + 50 * MINUTE).await;
        assert_eq!((conclusion(&simulation, old), launches(&simulation)), (None, 0));
        // GitHub ends it after 24 hours.
        simulation.pass(20 * MINUTE).await;
        assert_eq!((conclusion(&simulation, old), launches(&simulation)), (Some("failure"), 1));
    });
}

#[test]
fn one_runner_that_cannot_connect_fails_no_job_that_a_pause_has_made_old() {
    run(async {
        let mut simulation = deployment();
        simulation.shared().lock().pause(true);
        let order = || Order::new(&repository("app"), &["self-hosted", "class:small"], 60);
        let jobs: Vec<JobId> = (0..8).map(|_| simulation.queue(order())).collect();
        simulation.pass(12 * HOUR).await;
        simulation.shared().lock().hub.faults.unconnectable.insert(repository("app"));
        simulation.shared().lock().pause(false);
        simulation.pass(10 * MINUTE).await;
        let is_held = |held: &Held| matches!(held, Held::Pool(_));
        assert!(simulation.shared().lock().tables.open.holds.keys().any(is_held));
        simulation.shared().lock().hub.faults.unconnectable.clear();
        settle(&mut simulation, 2 * HOUR, "after a night").await;
        let outside = simulation.shared().lock();
        jobs.iter().for_each(|job| assert_executed_once(&outside, *job));
    });
}

fn classes_with(name: &str) -> serde_json::Value {
    let mut classes = setup(3, FaultPlan::default()).classes;
    classes[name] = json!({"cpu": 512, "memory": 1024});
    classes
}

#[test]
fn a_typo_in_the_catalogue_that_is_mended_within_fifteen_minutes_fails_no_job() {
    run(async {
        let mut simulation = deployment();
        hold_class(&simulation, "spot", SignedDuration::from_hours(2));
        let waiting = simulation.queue(Order::new(&repository("app"), &["self-hosted", "class:spot"], 60));
        simulation.pass(HOUR).await;
        let mut typo = classes_with("sport");
        typo.as_object_mut().unwrap().remove("spot");
        simulation.shared().lock().set_classes(typo.clone());
        simulation.pass(13 * MINUTE).await;
        assert_eq!((conclusion(&simulation, waiting), launches(&simulation)), (None, 0));
        simulation.shared().lock().set_classes(setup(3, FaultPlan::default()).classes);
        settle(&mut simulation, 3 * HOUR, "a mended typo").await;
        assert_executed_once(&simulation.shared().lock(), waiting);
    });
}

#[test]
fn a_job_whose_class_is_added_before_its_runner_has_come_is_served() {
    run(async {
        let mut simulation = deployment();
        // GitHub does not say whether the job is still queued, so it stays one step before its runner.
        simulation.shared().lock().hub.faults.job_reads_throttled_until =
            Some(simulation.shared().clock().now() + HOUR);
        let late = simulation.queue(unknown("app"));
        simulation.pass(50 * MINUTE).await;
        assert_eq!((conclusion(&simulation, late), launches(&simulation)), (None, 0));
        simulation.shared().lock().set_classes(classes_with("huge"));
        settle(&mut simulation, 3 * HOUR, "an added class").await;
        assert_executed_once(&simulation.shared().lock(), late);
    });
}

#[test]
fn no_job_is_failed_while_a_job_that_others_runners_serve_could_reach_its_runner() {
    run(async {
        let mut simulation = deployment();
        let strange = simulation.queue(Order::new(&repository("app"), &["self-hosted", "gpu"], 300));
        let labels = ["self-hosted", "gpu", "class:huge"];
        let job = simulation.queue(Order::new(&repository("app"), &labels, 300));
        simulation.pass(2 * HOUR).await;
        assert_eq!((conclusion(&simulation, strange), launches(&simulation)), (None, 0));
        let now = simulation.shared().clock().now();
        assert!(simulation.shared().lock().hub.steal(strange, now));
        simulation.pass(2 * HOUR).await;
        assert_eq!((conclusion(&simulation, job), launches(&simulation)), (Some("failure"), 1));
    });
}

#[test]
fn jobs_of_four_repositories_that_are_held_for_the_same_reason_are_not_failed() {
    run(async {
        let mut simulation = deployment();
        hold_class(&simulation, "spot", SignedDuration::from_hours(30));
        let jobs: Vec<JobId> = ["a", "b", "c", "d"]
            .iter()
            .map(|name| simulation.queue(Order::new(&repository(name), &["self-hosted", "class:spot"], 300)))
            .collect();
        simulation.pass(9 * HOUR).await;
        assert_eq!((failed(&simulation, &jobs), launches(&simulation)), (0, 0));
    });
}

#[test]
fn no_job_is_failed_while_github_is_away() {
    run(async {
        let mut simulation = with("limits", json!({"max_runners": 1}));
        let busy = simulation.queue(Order::new(&repository("web"), &["self-hosted"], 22 * 60));
        simulation.pass(MINUTE).await;
        let unknown = simulation.queue(unknown("app"));
        simulation.pass(11 * MINUTE).await;
        // GitHub is asked about these every few minutes, so it is soon known that it is away.
        let order = || Order::new(&repository("app"), &["self-hosted", "class:small"], 60);
        let waiting: Vec<JobId> = (0..3).map(|_| simulation.queue(order())).collect();
        simulation.pass(6 * MINUTE).await;
        let failing = simulation.shared().lock().tables.open.jobs[&unknown].failing.clone();
        assert!(matches!(failing, Some(Failing::Confirmed(_))), "it waits for a slot alone: {failing:?}");
        simulation.shared().lock().hub.trouble = Trouble::Outage;
        simulation.pass(6 * MINUTE).await;
        assert_eq!((conclusion(&simulation, busy), launches(&simulation)), (Some("success"), 1));
        simulation.pass(30 * MINUTE).await;
        assert_eq!(launches(&simulation), 1);
        simulation.shared().lock().hub.trouble = Trouble::None;
        settle(&mut simulation, 2 * HOUR, "GitHub is back").await;
        assert_eq!((conclusion(&simulation, unknown), failed(&simulation, &waiting)), (Some("failure"), 0));
    });
}

#[test]
fn no_runner_is_launched_to_fail_a_job_where_github_does_not_register_it() {
    run(async {
        for refuses in [true, false] {
            let mut simulation = deployment();
            {
                let hub = &mut simulation.shared().lock().hub;
                if refuses { hub.trouble = Trouble::Refused } else { hub.faults.registration_fails = 1.0 }
            }
            let held = simulation.queue(job(60));
            let unknown = simulation.queue(unknown("app"));
            simulation.pass(10 * MINUTE).await;
            let before = launches(&simulation);
            simulation.pass(7 * HOUR).await;
            let failing = |runner: &&EndedRunner| runner.facts.fails;
            let (failing, conclusions) = {
                let outside = simulation.shared().lock();
                let count = outside.tables.gone.values().filter(failing).count();
                (count, outside.tables.open.jobs.len())
            };
            assert_eq!((failing, conclusions, launches(&simulation)), (0, 2, before));
            assert_eq!((conclusion(&simulation, held), conclusion(&simulation, unknown)), (None, None));
        }
    });
}
