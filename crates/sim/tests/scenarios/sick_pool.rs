//! One repository whose runners cannot connect, beside others that share its class.

use std::time::Duration;

use crate::harness::jobs::job_of;
use crate::harness::{Deployment, Jobs, World, hours, in_virtual_time, minutes, print, secs, sized};

const SICK: &str = "sick";
const JOB_SECS: u64 = 60;
/// Repositories without a fault.
const OTHERS: u64 = 10;

fn start() -> World {
    let world = Deployment::seeded(4).start();
    world.block_connections_of(SICK);
    world
}

fn queue_sick(world: &mut World, count: u64) {
    Jobs::queue(world, count, |_| job_of(SICK, JOB_SECS));
}

/// Queues a job of another repository at each interval.
async fn queue_others(world: &mut World, others: &mut Jobs, count: u64, interval: Duration) {
    for number in 0..count {
        let order = job_of(&format!("r{}", number % OTHERS), JOB_SECS);
        others.add(world, order);
        world.pass(interval).await;
    }
}

/// K5: one or a few jobs of the sick repository, then 40 jobs of ten others, one every 3 minutes.
#[test]
fn k5_one_repository_that_cannot_connect_delays_no_other() {
    in_virtual_time(async {
        let mut healthy = None;
        for sick_jobs in [0, 1, 6] {
            let mut world = start();
            queue_sick(&mut world, sick_jobs);
            world.pass(secs(200)).await;
            let mut others = Jobs::default();
            queue_others(&mut world, &mut others, 40, minutes(3)).await;
            world.pass(hours(1)).await;
            let waits = others.waits(&world);
            print(
                "K5",
                &[
                    ("sick_jobs", &sick_jobs),
                    ("others_done", &others.done_of(&world)),
                    ("median_wait_s", &waits.median()),
                    ("max_wait_s", &waits.longest()),
                    ("launches", &world.launches()),
                    ("holds", &world.holds()),
                ],
            );
            assert_eq!(others.done(&world), 40);
            let healthy = *healthy.get_or_insert(waits.median_secs());
            assert!(waits.median_secs() <= 1.2 * healthy, "{} s, {healthy} s without", waits.median());
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// K6: as K5, with frequent jobs of the others for an hour.
#[test]
fn k6_one_repository_that_cannot_connect_wastes_few_launches() {
    in_virtual_time(async {
        let full: &[(u64, u64)] = &[(1, 20), (6, 20), (20, 20), (20, 7), (20, 60)];
        for &(sick_jobs, interval_secs) in sized(&full[2..4], full) {
            let (mut world, mut others) = (start(), Jobs::default());
            let interval = secs(interval_secs);
            queue_others(&mut world, &mut others, 20, interval).await;
            queue_sick(&mut world, sick_jobs);
            let rest = 3600 / interval_secs - 20;
            queue_others(&mut world, &mut others, rest, interval).await;
            let waits = others.waits(&world);
            let wasted = world.launches() - others.len() as u64;
            print(
                "K6",
                &[
                    ("sick_jobs", &sick_jobs),
                    ("another_each_s", &interval_secs),
                    ("wasted", &wasted),
                    ("others_done", &others.done_of(&world)),
                    ("median_wait_s", &waits.median()),
                    ("max_wait_s", &waits.longest()),
                    ("launches", &world.launches()),
                    ("holds", &world.holds()),
                ],
            );
            // The sick repository's own jobs cost a launch each before anything is known.
            assert!(wasted <= sick_jobs + 8, "{wasted} launches wasted");
            if (sick_jobs, interval_secs) == (20, 7) {
                assert!(wasted * 20 <= world.launches(), "{wasted} of {} launches", world.launches());
            }
            assert!(waits.longest_secs() <= 60, "{} s", waits.longest());
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// A runner comes up, and GitHub takes its registration away before it gives it the job.
///
/// The cases of `sick_pool` on one machine (registration deleted, foreign runner group) are the same to the plan.
#[test]
fn a_job_that_github_gives_to_no_runner_costs_six_launches_and_then_one_an_hour() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(4).max_runners(1).start();
        world.lose_registrations_of(SICK);
        queue_sick(&mut world, 1);
        world.pass(secs(30)).await;
        let mut others = Jobs::default();
        others.add(&mut world, job_of("web", JOB_SECS));
        world.pass(hours(1) - secs(30)).await;
        let in_first_hour = world.launches() - 1;
        world.pass(hours(5)).await;
        let later = world.launches() - 1 - in_first_hour;
        print(
            "unused",
            &[
                ("in_first_hour", &in_first_hour),
                ("in_five_more", &later),
                ("other_done", &others.done_of(&world)),
                ("other_wait_s", &others.waits(&world).longest()),
                ("holds", &world.holds()),
            ],
        );
        assert_eq!(others.done(&world), 1, "one slot, and the sick repository's job is the oldest");
        assert!((2..=6).contains(&in_first_hour), "{in_first_hour} launches in the first hour");
        assert!((3..=5).contains(&later), "{later} launches in five more hours");
        world.assert_nothing_doubled();
    });
}

/// K7: eight sick repositories and one subnet, so that the class is held; then five jobs of a repository without a fault.
#[test]
fn k7_tries_of_a_held_class_go_to_pools_without_a_fault() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(4).one_subnet().start();
        for number in 0..8 {
            world.block_connections_of(&format!("sick{number}"));
        }
        for number in 0..8 {
            Jobs::queue(&mut world, 1, |_| job_of(&format!("sick{number}"), JOB_SECS));
            world.pass(secs(3)).await;
        }
        world.pass(secs(200)).await;
        let others = Jobs::queue(&mut world, 5, |_| job_of("web", JOB_SECS));
        world.pass(minutes(30)).await;
        let waits = others.waits(&world);
        print(
            "K7",
            &[
                ("others_done", &others.done_of(&world)),
                ("median_wait_s", &waits.median()),
                ("max_wait_s", &waits.longest()),
                ("launches", &world.launches()),
                ("holds", &world.holds()),
            ],
        );
        assert_eq!(others.done(&world), others.len());
        assert!(waits.longest_secs() <= 120, "{} s, 27 s without the fault", waits.longest());
        world.assert_nothing_lost_or_doubled();
    });
}
