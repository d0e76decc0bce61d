//! Warm tasks: what they gain, what they cost, and what happens if they fail.

use std::time::Duration;

use ecsrunner_core::records::warm::WarmEnd;

use crate::harness::jobs::{job, job_in};
use crate::harness::{Deployment, Jobs, hours, in_virtual_time, minutes, print};

const JOB_SECS: u64 = 60;

/// AM: a job every three minutes for an hour, with two warm tasks and without.
#[test]
fn am_a_job_that_finds_a_warm_task_waits_a_few_seconds() {
    in_virtual_time(async {
        let mut medians = Vec::new();
        for warm in [0, 2] {
            let mut world = match warm {
                0 => Deployment::seeded(4).start(),
                count => Deployment::seeded(4).warm(count).start(),
            };
            world.pass(minutes(6)).await;
            let mut jobs = Jobs::default();
            for _ in 0..20 {
                jobs.add(&mut world, job(JOB_SECS));
                world.pass(minutes(3)).await;
            }
            world.keep_none_warm();
            world.settle(hours(1)).await;
            let waits = jobs.waits(&world);
            let used = world.ended_warm(WarmEnd::Used);
            print(
                "AM",
                &[
                    ("warm", &warm),
                    ("done", &jobs.done_of(&world)),
                    ("median_wait_s", &waits.median()),
                    ("used", &used),
                    ("warm_usd", &format!("{:.3}", world.cost_of_warm())),
                    ("task_hours", &world.task_hours()),
                ],
            );
            assert_eq!((jobs.done(&world), used), (20, if warm == 0 { 0 } else { 20 }));
            medians.push(waits.median_secs());
            world.assert_nothing_lost_or_doubled();
        }
        assert!(medians[1] <= 5.0 && medians[1] < medians[0] / 2.0, "{medians:?}");
    });
}

/// AN: more jobs than warm tasks, and a limit that both share. Warm tasks yield, and no job waits for them.
#[test]
fn an_warm_tasks_yield_to_jobs_of_other_classes() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(4).warm_within(6, 4).start();
        world.pass(minutes(3)).await;
        assert_eq!(world.warm_tasks(), 4);
        let jobs = Jobs::queue(&mut world, 6, |_| job_in("spot", "app", JOB_SECS));
        world.pass(minutes(6)).await;
        print("AN", &[("done", &jobs.done_of(&world)), ("longest_wait_s", &jobs.waits(&world).longest())]);
        assert_eq!((jobs.done(&world), world.ended_warm(WarmEnd::Yielded)), (6, 4));
        world.pass(minutes(3)).await;
        assert_eq!(world.warm_tasks(), 4, "they are back when there is room");
        world.keep_none_warm();
        world.settle(hours(1)).await;
        world.assert_nothing_lost_or_doubled();
    });
}

/// AR: the deployment's own image, which is built again for a newer runner, while each job finds a warm task.
#[test]
fn ar_a_new_image_is_tried_although_warm_tasks_would_serve_every_job() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(9).own_image().warm(2).start();
        world.keep_none_warm();
        world.serve_from_own_image("2.337.0").await;
        world.keep_warm(Some(2));
        world.release_runner("2.338.0");
        let mut jobs = Jobs::default();
        for _ in 0..48 {
            jobs.add(&mut world, job(JOB_SECS));
            world.pass(hours(1)).await;
        }
        let current = world.current_image().unwrap();
        print("AR", &[("image", &current), ("used", &world.ended_warm(WarmEnd::Used))]);
        assert!(current.contains("2.338.0"), "{current}");
        assert!(world.ended_warm(WarmEnd::Used) >= 45, "one or two jobs tried the image");
        assert!(world.ended_warm(WarmEnd::Outdated) >= 2, "those of the image before were replaced");
        world.keep_none_warm();
        world.settle(hours(1)).await;
        assert_eq!(jobs.done(&world), 48);
        world.assert_nothing_lost_or_doubled();
    });
}

/// AO: AWS stops a warm task while a job is being given to it.
#[test]
fn ao_a_job_whose_warm_task_dies_waits_no_longer_than_for_a_cold_start() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(4).warm(1).start();
        world.pass(minutes(3)).await;
        let jobs = Jobs::queue(&mut world, 1, |_| job(JOB_SECS));
        let mut stopped = 0;
        while stopped == 0 {
            world.pass(Duration::from_millis(50)).await;
            stopped = world.stop_tasks_taken_over();
        }
        let lost_after = world.elapsed();
        world.pass(minutes(5)).await;
        let wait = jobs.waits(&world).median_secs();
        print("AO", &[("wait_s", &wait), ("launches", &world.launches())]);
        assert_eq!(jobs.done(&world), 1);
        assert!(wait <= 60.0, "{wait} s, lost after {lost_after:?}");
        world.keep_none_warm();
        world.settle(hours(1)).await;
        world.assert_nothing_lost_or_doubled();
    });
}

/// AP: warm tasks whose image cannot be pulled. Each try costs, so they come ever later, and jobs are served meanwhile.
#[test]
fn ap_warm_tasks_that_fail_cost_little_and_hold_no_job_back() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(4).warm(3).start();
        world.fail_next_starts(1000);
        world.pass(hours(6)).await;
        let failed = world.ended_warm(WarmEnd::Failed);
        print("AP", &[("failed", &failed), ("holds", &world.holds())]);
        assert!((3..=14).contains(&failed), "{failed} tries in six hours");
        world.keep_none_warm();
        world.settle(hours(1)).await;
    });
}
