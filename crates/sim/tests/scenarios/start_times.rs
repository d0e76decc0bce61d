//! How fast jobs start, by the model of docs/start.md.

use std::time::Duration;

use ecsrunner_core::records::warm::WarmEnd;
use ecsrunner_world::StartTimes;
use ecsrunner_world::faults::Method;

use crate::harness::jobs::job;
use crate::harness::{Deployment, Jobs, World, hours, in_virtual_time, minutes, print};

const JOB_SECS: u64 = 60;
/// Compressed sizes in MB of GitHub's image and of the same without Docker, as estimated in docs/start.md.
const OFFICIAL_MB: u32 = 550;
const WITHOUT_DOCKER_MB: u32 = 350;

/// Queues a job every three minutes, and returns the jobs.
async fn quiet_hour(world: &mut World) -> Jobs {
    let mut jobs = Jobs::default();
    for _ in 0..20 {
        jobs.add(world, job(JOB_SECS));
        world.pass(minutes(3)).await;
    }
    jobs
}

/// AS: a job every three minutes with GitHub's image, with a smaller one, and with two warm tasks.
#[test]
fn as_a_job_waits_five_seconds_warm_and_thirty_cold() {
    in_virtual_time(async {
        for (image_mb, warm, limit_secs) in
            [(OFFICIAL_MB, 0, 30.0), (WITHOUT_DOCKER_MB, 0, 30.0), (OFFICIAL_MB, 2, 5.0)]
        {
            let deployment = Deployment::seeded(4).start_times(StartTimes::on_fargate(image_mb));
            let deployment = if warm == 0 { deployment } else { deployment.warm(warm) };
            let mut world = deployment.start();
            world.pass(minutes(6)).await;
            let jobs = quiet_hour(&mut world).await;
            world.keep_none_warm();
            world.settle(hours(1)).await;
            let (waits, late) = (jobs.waits(&world), world.boots_before_item());
            print(
                "AS",
                &[
                    ("image_mb", &image_mb),
                    ("warm", &warm),
                    ("median_wait_s", &waits.median()),
                    ("longest_wait_s", &waits.longest()),
                    ("boots_before_item", &late),
                ],
            );
            assert_eq!(jobs.done(&world), 20);
            assert!(waits.median_secs() <= limit_secs, "{} s", waits.median_secs());
            // The configuration is made while the machine starts.
            assert_eq!(late, 0);
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// AT: AWS throttles launches for two minutes while eight warm tasks are wanted. They wait, and a job does not lose its turn.
#[test]
fn at_throttled_warm_launches_rest_and_come_when_there_is_room() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(4).warm(8).start();
        world.throttle_launches(true);
        // The first sweep comes after a minute.
        world.pass(minutes(3)).await;
        let calls = world.calls(Method::RunTask);
        print("AT", &[("calls", &calls), ("tasks", &world.tasks())]);
        assert_eq!(world.tasks(), 0);
        // Each rest is twice as long as the one before it.
        assert!((5..=40).contains(&calls), "{calls} calls in two minutes");
        world.throttle_launches(false);
        world.pass(minutes(5)).await;
        assert_eq!(world.warm_tasks(), 8);
        let jobs = Jobs::queue(&mut world, 1, |_| job(JOB_SECS));
        world.pass(Duration::from_secs(90)).await;
        assert_eq!((jobs.done(&world), world.ended_warm(WarmEnd::Failed)), (1, 0));
        world.keep_none_warm();
        world.settle(hours(1)).await;
        world.assert_nothing_lost_or_doubled();
    });
}

/// AX: AWS throttles launches for two minutes while forty jobs wait. Few calls are made, and all jobs run soon after.
#[test]
fn ax_jobs_whose_launches_are_throttled_are_asked_for_ever_less_often() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(4).start();
        world.throttle_launches(true);
        let jobs = Jobs::queue(&mut world, 40, |_| job(JOB_SECS));
        world.pass(minutes(2)).await;
        let calls = world.calls(Method::RunTask);
        world.throttle_launches(false);
        world.pass(minutes(3)).await;
        print(
            "AX",
            &[
                ("calls", &calls),
                ("done", &jobs.done_of(&world)),
                ("longest_wait_s", &jobs.waits(&world).longest()),
            ],
        );
        assert!((5..=60).contains(&calls), "{calls} calls in two minutes");
        assert_eq!(jobs.done(&world), 40);
        assert!(jobs.waits(&world).longest_secs() <= 120 + 30 + 45);
        world.settle(hours(1)).await;
        world.assert_nothing_lost_or_doubled();
    });
}

/// AZ: AWS answers some launches with an error while GitHub's rate is nearly used up. What is tried again takes no second
/// slot of that rate.
#[test]
fn az_a_launch_that_is_tried_again_keeps_its_slot_of_githubs_rate() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(4).registrations(4, 1).start();
        world.fail_next_launches(8);
        let jobs = Jobs::queue(&mut world, 4, |_| job(JOB_SECS));
        world.pass(minutes(20)).await;
        print("AZ", &[("done", &jobs.done_of(&world)), ("longest_wait_s", &jobs.waits(&world).longest())]);
        assert_eq!(jobs.done(&world), 4);
        assert!(jobs.waits(&world).longest_secs() <= 90, "{} s", jobs.waits(&world).longest());
        world.settle(hours(1)).await;
        world.assert_nothing_lost_or_doubled();
    });
}
