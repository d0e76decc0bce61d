//! GitHub answers some requests late, wrongly or not at all.

use ecsrunner_core::rules::pace::Paces;
use ecsrunner_world::faults::{FaultPlan, Method, Transit};
use ecsrunner_world::github::{Order, RegistrationFailure};
use jiff::SignedDuration;

use crate::harness::jobs::{job, job_of, repository};
use crate::harness::{Deployment, Jobs, hours, in_virtual_time, minutes, print, secs, sized};

/// D: a part of the registrations is answered with 502. Retries keep up with new launches.
///
/// Must be: `settled_s` as without faults, as today.
#[test]
fn d_all_jobs_are_done_although_some_registrations_fail() {
    in_virtual_time(async {
        for &probability in sized(&[0.0, 0.2][..], &[0.0, 0.02, 0.05, 0.2]) {
            let mut world = Deployment::seeded(1).start();
            world.fail_registrations(probability, RegistrationFailure::BadGateway);
            let count = sized(200, 1500);
            let jobs = Jobs::queue(&mut world, count, |number| job(600 + number % 120));
            world.settle(hours(3)).await;
            print(
                "D",
                &[
                    ("failing", &probability),
                    ("settled_s", &world.elapsed().as_secs()),
                    ("done", &jobs.done_of(&world)),
                    ("launches", &world.launches()),
                    ("tasks", &world.tasks()),
                    ("registrations_tried", &world.calls(Method::GenerateJitconfig)),
                    ("endings", &world.endings()),
                ],
            );
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// F: registrations of one repository get no answer, in one, two and three of its pools.
#[test]
fn f_one_repositorys_hanging_registrations_delay_no_other() {
    in_virtual_time(async {
        for &pools in sized(&[1, 3][..], &[1, 2, 3]) {
            let mut world = Deployment::seeded(4).max_runners(400).start();
            world.hang_registrations_of("app");
            Jobs::queue(&mut world, pools * sized(20, 60), |number| match number % pools {
                0 => job(30),
                1 => Order::new(&repository("app"), &["self-hosted", "class:spot"], 30),
                _ => Order::new(&repository("app"), &["self-hosted", "linux"], 30),
            });
            world.pass(secs(15)).await;
            let mut others = Jobs::default();
            for _ in 0..sized(5, 10) {
                others.add(&mut world, job_of("web", 1));
                world.pass(minutes(1)).await;
            }
            world.pass(minutes(sized(3, 10))).await;
            let waits = others.waits(&world);
            print(
                "F",
                &[
                    ("hanging_pools", &pools),
                    ("others_done", &others.done_of(&world)),
                    ("median_wait_s", &waits.median()),
                    ("max_wait_s", &waits.longest()),
                    ("launches", &world.launches()),
                    ("registrations_tried", &world.calls(Method::GenerateJitconfig)),
                ],
            );
            assert_eq!(others.done(&world), others.len());
            assert!(waits.longest_secs() <= 40, "{} s, 27 s without the fault", waits.longest());
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// F2: as F, where the hanging repository's jobs have taken all places before the first call failed.
#[test]
fn f2_runners_whose_registrations_hang_make_room_for_other_jobs() {
    in_virtual_time(async {
        for &places in sized(&[4, 10][..], &[1, 4, 10, 30]) {
            let mut world = Deployment::seeded(4).max_runners(places).start();
            world.hang_registrations_of("app");
            Jobs::queue(&mut world, u64::from(places) + 2, |_| job(30));
            world.pass(secs(5)).await;
            let others = Jobs::queue(&mut world, 4, |_| job_of("web", 1));
            world.pass(minutes(5)).await;
            let waits = others.waits(&world);
            print(
                "F2",
                &[
                    ("places", &places),
                    ("others_done", &others.done_of(&world)),
                    ("median_wait_s", &waits.median()),
                    ("max_wait_s", &waits.longest()),
                    ("launches", &world.launches()),
                    ("endings", &world.endings()),
                ],
            );
            assert_eq!(others.done(&world), others.len());
            // Two calls of ten seconds show that GitHub does not answer there.
            let most = if places < 4 { 300 } else { 75 };
            assert!(waits.longest_secs() <= most, "{} s, 27 s without the fault", waits.longest());
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// H: 300 jobs of half an hour ago have to be confirmed, and GitHub says: retry in an hour.
///
/// Must be: `asked_while_throttled` at most 10.
#[test]
fn h_a_throttled_account_rests_and_no_job_is_lost() {
    in_virtual_time(async {
        let late = Transit { late: 1.0, late_ms: 1, ..Transit::default() };
        let mut world =
            Deployment::seeded(4).fault_plan(FaultPlan { webhooks: late, ..FaultPlan::default() }).start();
        let now = world.now();
        let mut jobs = Jobs::default();
        for _ in 0..300 {
            jobs.push(world.queue_old(job(30), SignedDuration::from_mins(30)));
        }
        world.github_faults(|faults| {
            faults.job_reads_throttled_until = Some(now + SignedDuration::from_hours(1))
        });
        world.pass(hours(1)).await;
        print(
            "H",
            &[
                ("jobs", &jobs.ids().len()),
                ("asked_while_throttled", &world.throttled_job_reads()),
                ("job_reads", &world.calls(Method::Job)),
            ],
        );
        assert!(world.throttled_job_reads() <= 10, "{} reads while throttled", world.throttled_job_reads());
        world.assert_nothing_lost_or_doubled();
        world.settle(hours(1)).await;
        assert_eq!(jobs.done(&world), 300);
    });
}

/// AA: one registration in 1,000, 200 or 50 is answered with 404 although nothing is missing.
///
/// Must be: `settled_s` within 1.1 times the figure without faults.
#[test]
fn aa_a_stray_refusal_of_a_registration_delays_nobody() {
    in_virtual_time(async {
        let mut healthy_secs = None;
        for &probability in sized(&[0.0, 0.005][..], &[0.0, 0.001, 0.005, 0.02]) {
            let mut world = Deployment::seeded(1).start();
            world.fail_registrations(probability, RegistrationFailure::NotFound);
            let jobs = Jobs::queue(&mut world, 500, |_| job(60));
            world.settle(hours(6)).await;
            print(
                "AA",
                &[
                    ("not_found", &probability),
                    ("settled_s", &world.elapsed().as_secs()),
                    ("done", &jobs.done_of(&world)),
                    ("launches", &world.launches()),
                    ("registrations_tried", &world.calls(Method::GenerateJitconfig)),
                    ("endings", &world.endings()),
                ],
            );
            let settled_secs = world.elapsed().as_secs_f64();
            let healthy = *healthy_secs.get_or_insert(settled_secs);
            if probability <= 0.005 {
                assert!(settled_secs <= 1.1 * healthy, "{settled_secs} s, {healthy} s without faults");
            }
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// AD: GitHub takes seconds for each registration.
#[test]
fn ad_registrations_that_take_seconds_come_at_githubs_pace() {
    in_virtual_time(async {
        for &takes_secs in sized(&[0, 7][..], &[0, 3, 5, 7]) {
            let mut world = Deployment::seeded(4).start();
            world.github_faults(|faults| faults.registration_takes = secs(takes_secs));
            let jobs = Jobs::queue(&mut world, sized(450, 1000), |_| job(60));
            for &minute in sized(&[2][..], &[2, 5, 10, 15]) {
                world.pass_until(minutes(minute)).await;
                print(
                    "AD",
                    &[
                        ("takes_s", &takes_secs),
                        ("at_min", &minute),
                        ("registrations", &world.registrations()),
                        ("done", &jobs.done_of(&world)),
                        ("launches", &world.launches()),
                        ("stages", &world.stages()),
                        ("endings", &world.endings()),
                    ],
                );
                // A registration counts when it is answered.
                let late = takes_secs * u64::from(Paces::default().github.per_minute) / 60;
                let due = 0.9 * 339.0 - late as f64;
                assert!(
                    minute != 2 || world.registrations() as f64 >= due,
                    "{} of {due}",
                    world.registrations()
                );
            }
            world.assert_nothing_lost_or_doubled();
        }
    });
}
