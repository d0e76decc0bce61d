//! A class or an account without capacity, and the jobs that wait because of it.

use ecsrunner_core::id::Repository;
use ecsrunner_world::ecs::Provider;
use ecsrunner_world::faults::Method;
use ecsrunner_world::github::Order;
use serde_json::json;

use crate::harness::jobs::{job_in, job_of};
use crate::harness::{Deployment, Jobs, World, hours, in_virtual_time, minutes, print, sized};

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
    world.assert_nothing_lost_or_doubled();
}

/// A: 20 jobs of a class without capacity in a deployment of at most 10 runners.
///
/// Must be: `on_demand_done=5/5`, waits as if the other class were not there.
#[test]
fn a_no_on_demand_job_is_lost_beside_a_class_without_capacity() {
    in_virtual_time(async {
        let mut world = without_spot(Deployment::seeded(2).max_runners(10));
        Jobs::queue(&mut world, 20, |_| job_in("spotonly", "app", JOB_SECS));
        let on_demand = on_demand_jobs(&mut world).await;
        print_a("A", &world, &on_demand);
    });
}

/// A2: 100 jobs of five owners in a class without capacity, with the default limits.
///
/// Must be: as A.
#[test]
fn a2_no_on_demand_job_is_lost_beside_five_owners_without_capacity() {
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
///
/// Must be: 0, because a job that waits for capacity takes no slot.
#[test]
fn z_no_job_of_a_class_without_capacity_is_lost() {
    in_virtual_time(async {
        for count in [20, 100, 400] {
            let mut world = without_spot(Deployment::seeded(2).default_limits());
            Jobs::queue(&mut world, count, |_| job_in("spotonly", "app", JOB_SECS));
            for ten_minutes in 1..=sized(3, 6) {
                world.pass(minutes(10)).await;
                let places = format!("{}/50", world.open_runners());
                print("Z", &[("jobs", &count), ("at_min", &(ten_minutes * 10)), ("places", &places)]);
            }
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// O: a quota of 6 vCPUs, 30 jobs with 2 vCPUs each, with a limit that is too high and one that fits.
///
/// Must be: `all_done_s` within 1.15 times the figure with the limit that fits.
#[test]
fn o_all_jobs_are_done_under_a_quota_of_vcpus() {
    in_virtual_time(async {
        for (max_runners, job_secs) in [(50, 300), (3, 300), (50, 60), (3, 60)] {
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
        }
    });
}
