//! One of two subnets accepts tasks that never run. A job's id determines its first subnet.

use crate::harness::jobs::{job, job_of};
use crate::harness::{Deployment, Jobs, SUBNETS, World, hours, in_virtual_time, minutes, print};

const JOB_SECS: u64 = 60;

fn start(is_sick: bool) -> World {
    start_seeded(4, is_sick)
}

fn start_seeded(seed: u64, is_sick: bool) -> World {
    let world = Deployment::seeded(seed).start();
    if is_sick {
        world.break_subnet(SUBNETS[0]);
    }
    world
}

/// The most tasks that may be started in the sick subnet within an hour.
const MAX_TRIES_AN_HOUR: usize = 12;

/// K: one repository, a job a minute for 2 hours.
#[test]
fn k_a_subnet_that_starts_nothing_costs_few_launches() {
    in_virtual_time(async {
        let (mut world, mut jobs) = (start(true), Jobs::default());
        for minute in 1..=120 {
            jobs.add(&mut world, job(JOB_SECS));
            world.pass(minutes(1)).await;
            if minute % 60 == 0 {
                print_k("K", minute, &world, &jobs);
                let tries = world.tasks_in(SUBNETS[0]);
                let most = MAX_TRIES_AN_HOUR * usize::try_from(minute / 60).unwrap();
                assert!(tries <= most, "{tries} launches into the sick subnet");
            }
        }
        world.pass(hours(4)).await;
        print_k("K", 360, &world, &jobs);
        assert_eq!(jobs.done(&world), 120);
        world.assert_nothing_lost_or_doubled();
    });
}

/// K2: a lone job for the healthy subnet, then one for the sick subnet, with 6 hours for each.
#[test]
fn k2_a_lone_job_runs_on_its_second_launch() {
    in_virtual_time(async {
        let mut world = start(true);
        for is_for_sick_subnet in [false, true] {
            let (mut jobs, before) = (Jobs::default(), world.launches());
            jobs.add(&mut world, job(JOB_SECS));
            assert_eq!(
                jobs.ids()[0].get() % 2 == 0,
                is_for_sick_subnet,
                "ids are assigned in another order now"
            );
            world.pass(hours(6)).await;
            print(
                "K2",
                &[
                    ("for_sick_subnet", &is_for_sick_subnet),
                    ("done", &jobs.done_of(&world)),
                    ("launches", &(world.launches() - before)),
                    ("holds", &world.holds()),
                ],
            );
            assert_eq!(jobs.done(&world), 1);
            assert_eq!(world.launches() - before, 1 + u64::from(is_for_sick_subnet));
            world.queue_foreign_job();
        }
        world.assert_nothing_lost_or_doubled();
    });
}

/// K3: 60 jobs at once, half of them for the sick subnet.
#[test]
fn k3_a_burst_is_done_in_time_while_a_subnet_starts_nothing() {
    in_virtual_time(async {
        for (seed, is_sick) in [(4, false), (4, true), (5, true), (6, true), (7, true)] {
            let (mut world, mut jobs) = (start_seeded(seed, is_sick), Jobs::default());
            for _ in 0..60 {
                jobs.add(&mut world, job(JOB_SECS));
                world.shift_ids();
            }
            world.pass(minutes(10)).await;
            print_k(if is_sick { "K3 sick" } else { "K3 healthy" }, 10, &world, &jobs);
            assert_eq!(jobs.done(&world), 60);
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// K4: twenty repositories, a job a minute for 2 hours, then nothing new for 3 hours.
#[test]
fn k4_twenty_repositories_hardly_notice_a_subnet_that_starts_nothing() {
    in_virtual_time(async {
        let mut healthy = None;
        for is_sick in [false, true] {
            let (mut world, mut jobs) = (start(is_sick), Jobs::default());
            let name = if is_sick { "K4 sick" } else { "K4 healthy" };
            for minute in 0..120 {
                jobs.add(&mut world, job_of(&format!("r{}", minute * 7 % 20), JOB_SECS));
                if minute % 3 == 0 {
                    world.shift_ids();
                }
                world.pass(minutes(1)).await;
            }
            print_k(name, 120, &world, &jobs);
            for hour in 3..=5 {
                world.pass(hours(1)).await;
                print_k(name, hour * 60, &world, &jobs);
            }
            let waits = jobs.waits(&world);
            let healthy = *healthy.get_or_insert(waits.median_secs());
            assert_eq!(jobs.done(&world), 120);
            assert!(waits.median_secs() <= 1.5 * healthy, "{} s, {healthy} s without", waits.median());
            let tries = world.tasks_in(SUBNETS[0]);
            assert!(!is_sick || tries <= 2 * MAX_TRIES_AN_HOUR, "{tries} launches into the sick subnet");
            world.assert_nothing_lost_or_doubled();
        }
    });
}

fn print_k(name: &str, minute: u64, world: &World, jobs: &Jobs) {
    let waits = jobs.waits(world);
    let for_sick_subnet = jobs.ids().iter().filter(|job| job.get() % 2 == 0).count();
    let into_sick_subnet = world.tasks_in(SUBNETS[0]);
    print(
        name,
        &[
            ("at_min", &minute),
            ("done", &jobs.done_of(world)),
            ("for_sick_subnet", &for_sick_subnet),
            ("median_wait_s", &waits.median()),
            ("max_wait_s", &waits.longest()),
            ("launches", &world.launches()),
            ("into_sick_subnet", &into_sick_subnet),
            ("holds", &world.holds()),
        ],
    );
}
