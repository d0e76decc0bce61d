//! A pause by an operator, or a thousand cancelled jobs, during a burst.

use std::time::Duration;

use ecsrunner_world::faults::{FaultPlan, Method};

use crate::harness::jobs::job;
use crate::harness::{Deployment, Jobs, hours, in_virtual_time, minutes, print, secs, sized};

/// C: a pause in the first seconds of a burst, then all jobs are cancelled.
///
/// Must be: no task is launched during the pause, as today.
#[test]
fn c_a_pause_launches_nothing_when_the_jobs_are_cancelled() {
    in_virtual_time(async {
        for pause_at_ms in [600, 900, 1200, 2000, 4000] {
            let mut world = Deployment::seeded(5).start();
            let jobs = Jobs::queue(&mut world, 150, |_| job(30));
            world.pass(Duration::from_millis(pause_at_ms)).await;
            world.pause();
            world.pass(minutes(1)).await;
            let (before, stages) = (world.tasks(), world.stages());
            jobs.cancel(&world);
            world.pass(minutes(5)).await;
            print(
                "C",
                &[
                    ("pause_at_ms", &pause_at_ms),
                    ("stages_in_pause", &stages),
                    ("tasks_before_cancel", &before),
                    ("tasks_after", &world.tasks()),
                ],
            );
            world.assert_nothing_lost_or_doubled();
            assert_eq!(world.tasks(), before, "tasks were launched during a pause");
        }
    });
}

/// X: a thousand jobs are cancelled a minute after they came.
///
/// Must be: nothing is left a minute later, as today.
#[test]
fn x_nothing_is_left_a_minute_after_all_jobs_were_cancelled() {
    in_virtual_time(async {
        for &open_us in sized(&[0, 1000][..], &[0, 300, 1000]) {
            let open_takes_per_record = Duration::from_micros(open_us);
            let fault_plan = FaultPlan { open_takes_per_record, ..FaultPlan::default() };
            let mut world = Deployment::seeded(4).fault_plan(fault_plan).start();
            let jobs = Jobs::queue(&mut world, 1000, |_| job(600));
            world.pass(minutes(1)).await;
            jobs.cancel(&world);
            for after_secs in [30, 60, 120] {
                world.pass_until(secs(60 + after_secs)).await;
                print(
                    "X",
                    &[
                        ("open_us", &open_us),
                        ("after_s", &after_secs),
                        ("alive", &world.tasks_alive()),
                        ("open_jobs", &world.open_jobs()),
                        ("stages", &world.stages()),
                        ("launches", &world.launches()),
                        ("failures", &world.failures()),
                    ],
                );
            }
            world.assert_nothing_lost_or_doubled();
            assert_eq!((world.tasks_alive(), world.open_jobs(), world.open_runners()), (0, 0, 0));
        }
    });
}

/// Y: as C, after two minutes of slow rounds, when runners are reserved that have no task yet.
///
/// No task may be launched only to be stopped.
#[test]
fn y_nothing_is_lost_when_jobs_are_cancelled_in_a_pause() {
    in_virtual_time(async {
        let open_takes_per_record = Duration::from_millis(1);
        let fault_plan = FaultPlan { open_takes_per_record, ..FaultPlan::default() };
        let mut world = Deployment::seeded(4).fault_plan(fault_plan).start();
        let jobs = Jobs::queue(&mut world, 1000, |_| job(60));
        world.pass(minutes(2)).await;
        world.pause();
        for pause in [0, 5, 15, 40, 60] {
            world.pass(secs(pause)).await;
            print(
                "Y",
                &[
                    ("at_s", &world.elapsed().as_secs()),
                    ("launches", &world.launches()),
                    ("tasks", &world.tasks()),
                    ("stages", &world.stages()),
                    ("open_jobs", &world.open_jobs()),
                    ("endings", &world.endings()),
                ],
            );
        }
        let before = world.tasks();
        jobs.cancel(&world);
        world.pass(minutes(sized(5, 15))).await;
        print(
            "Y",
            &[
                ("tasks_before_cancel", &before),
                ("tasks_after", &world.tasks()),
                ("stages", &world.stages()),
                ("endings", &world.endings()),
            ],
        );
        world.assert_nothing_lost_or_doubled();
        assert_eq!(world.tasks(), before, "tasks were launched only to be stopped");
    });
}

/// BA: a pause while AWS throttles launches, and AWS then answers again. What was to be tried again waits for the end of the
/// pause.
#[test]
fn ba_a_launch_that_failed_before_a_pause_is_not_tried_again_during_it() {
    in_virtual_time(async {
        let mut world = Deployment::seeded(3).start();
        world.throttle_launches(true);
        let jobs = Jobs::queue(&mut world, 5, |_| job(60));
        world.pass(secs(20)).await;
        assert!(world.calls(Method::RunTask) > 0);
        world.pause();
        // What is on its way to AWS when a pause begins is not called back.
        world.pass(secs(10)).await;
        world.throttle_launches(false);
        world.pass(minutes(10)).await;
        assert_eq!(world.tasks(), 0);
        world.resume();
        world.settle(hours(1)).await;
        print("BA", &[("done", &jobs.done_of(&world)), ("tasks", &world.tasks())]);
        assert_eq!(jobs.done(&world), 5);
        world.assert_nothing_lost_or_doubled();
    });
}
