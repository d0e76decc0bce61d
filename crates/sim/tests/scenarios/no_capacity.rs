//! A class or an account without capacity, and the jobs that wait because of it.

use ecsrunner_core::id::Repository;
use ecsrunner_world::ecs::Provider;
use ecsrunner_world::faults::Method;
use ecsrunner_world::github::Order;
use serde_json::json;

use crate::harness::jobs::{job_in, job_of};
use crate::harness::{Deployment, Jobs, World, hours, in_virtual_time, minutes, print, secs, sized};

const JOB_SECS: u64 = 60;

/// A deployment whose class `spotonly` gets no task.
fn without_spot(deployment: Deployment) -> World {
    let world = deployment.spot_only_class().start();
    world.exhaust(Provider::FargateSpot);
    world
}

/// Queues five On-Demand jobs after a minute, and gives them 3 hours.
async fn on_demand_jobs(world: &mut World) -> Jobs {
    world.pass(minutes(1)).await;
    let jobs = Jobs::queue(world, 5, |_| job_of("web", JOB_SECS));
    world.pass(hours(3)).await;
    jobs
}

fn print_a(name: &str, world: &World, on_demand: &Jobs) {
    print(
        name,
        &[
            ("on_demand_done", &on_demand.done_of(world)),
            ("max_wait_s", &on_demand.waits(world).longest()),
            ("open_runners", &world.open_runners()),
            ("tasks", &world.tasks()),
        ],
    );
    assert_eq!(on_demand.done(world), 5);
    // As if the other class were not there.
    assert!(on_demand.waits(world).longest_secs() <= 40, "{} s", on_demand.waits(world).longest());
    world.assert_nothing_lost_or_doubled();
}

/// A: 20 jobs of a class without capacity in a deployment of at most 10 runners.
#[test]
fn a_a_class_without_capacity_delays_no_other() {
    in_virtual_time(async {
        let mut world = without_spot(Deployment::seeded(2).max_runners(10));
        Jobs::queue(&mut world, 20, |_| job_in("spotonly", "app", JOB_SECS));
        let on_demand = on_demand_jobs(&mut world).await;
        print_a("A", &world, &on_demand);
    });
}

/// A2: 100 jobs of five owners in a class without capacity, with the default limits.
#[test]
fn a2_five_owners_without_capacity_delay_no_other() {
    in_virtual_time(async {
        let mut world = without_spot(Deployment::seeded(2).default_limits().repositories(&["*"]));
        Jobs::queue(&mut world, 100, |number| {
            let repository = Repository::parse(&format!("org{}/app", number % 5)).unwrap();
            Order::new(&repository, &["self-hosted", "class:spotonly"], JOB_SECS)
        });
        let on_demand = on_demand_jobs(&mut world).await;
        print_a("A2", &world, &on_demand);
    });
}

/// Z: how many of the 50 slots one owner's jobs take while their class has no capacity.
#[test]
fn z_jobs_without_capacity_take_no_slot() {
    in_virtual_time(async {
        for count in [20, 100, 400] {
            let mut world = without_spot(Deployment::seeded(2).default_limits());
            Jobs::queue(&mut world, count, |_| job_in("spotonly", "app", JOB_SECS));
            for ten_minutes in 1..=sized(3, 6) {
                world.pass(minutes(10)).await;
                let places = format!("{}/50", world.open_runners());
                print("Z", &[("jobs", &count), ("at_min", &(ten_minutes * 10)), ("places", &places)]);
                assert!(world.open_runners() <= 2, "only probes");
            }
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// O: a quota of 6 vCPUs, 30 jobs with 2 vCPUs each, with a limit that fits and one that is too high.
#[test]
fn o_a_quota_below_the_limit_costs_little_time() {
    in_virtual_time(async {
        let mut fitting = 0.0;
        for (max_runners, job_secs) in [(3, 300), (50, 300), (3, 60), (50, 60)] {
            let class = json!({"cpu": 2048, "memory": 4096});
            let mut world = Deployment::seeded(4).max_runners(max_runners).class("two", class).start();
            world.limit_vcpus(Provider::Fargate, 6);
            let jobs = Jobs::queue(&mut world, 30, |_| job_in("two", "app", job_secs));
            world.settle(hours(6)).await;
            print(
                "O",
                &[
                    ("max_runners", &max_runners),
                    ("job_s", &job_secs),
                    ("all_done_s", &jobs.last_done_after(&world).as_secs()),
                    ("ideal_s", &(10 * (job_secs + 37))),
                    ("run_task_calls", &world.calls(Method::RunTask)),
                ],
            );
            world.assert_nothing_lost_or_doubled();
            assert_eq!(jobs.done(&world), 30);
            let done_secs = jobs.last_done_after(&world).as_secs_f64();
            if max_runners == 3 {
                fitting = done_secs;
            }
            assert!(done_secs <= 1.15 * fitting, "{done_secs} s, {fitting} s with a limit that fits");
        }
    });
}

/// AY: all capacity of a deployment with one subnet is gone for an hour, then it is back. Once one job has a task, the
/// others have theirs at once. The jobs come at several moments, since the sweep of each minute plans too.
#[test]
fn ay_when_one_job_finds_capacity_again_all_others_start() {
    in_virtual_time(async {
        for queued_secs in [10, 25, 40] {
            let mut world = without_spot(Deployment::seeded(2).one_subnet());
            world.pass(secs(queued_secs)).await;
            let jobs = Jobs::queue(&mut world, 20, |_| job_in("spotonly", "app", JOB_SECS));
            world.pass(hours(1)).await;
            assert_eq!(world.tasks(), 0);
            world.restore_capacity();
            for _ in 0..minutes(30).as_secs() {
                world.pass(secs(1)).await;
                if world.tasks() > 0 {
                    break;
                }
            }
            // Before anything else is heard of the first task.
            world.pass(secs(3)).await;
            let after_secs = world.elapsed().as_secs();
            print("AY", &[("queued_s", &queued_secs), ("after_s", &after_secs), ("tasks", &world.tasks())]);
            assert_eq!(world.tasks(), 20);
            world.settle(hours(1)).await;
            assert_eq!(jobs.done(&world), 20);
            world.assert_nothing_lost_or_doubled();
        }
    });
}
