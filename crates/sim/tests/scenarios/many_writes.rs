//! Writes for waiting jobs, and effects of throttled writes.

use ecsrunner_world::faults::{FaultPlan, Method};

use crate::harness::jobs::job;
use crate::harness::{Deployment, Jobs, in_virtual_time, minutes, print, secs, sized};

/// E: a backlog behind a limit.
///
/// Must be: `job_writes` independent of how often a slot becomes free.
#[test]
fn e_no_job_of_a_backlog_is_lost() {
    in_virtual_time(async {
        let full: &[(u64, u32, u64)] = &[(1000, 50, 20), (1000, 50, 120), (2000, 100, 20)];
        for &(count, max_runners, job_secs) in sized(&full[..2], full) {
            let mut world = Deployment::seeded(4).max_runners(max_runners).start();
            let jobs = Jobs::queue(&mut world, count, |number| job(job_secs + number % 7));
            world.pass(minutes(sized(5, 15))).await;
            print(
                "E",
                &[
                    ("max_runners", &max_runners),
                    ("job_s", &job_secs),
                    ("at_s", &world.elapsed().as_secs()),
                    ("done", &jobs.done_of(&world)),
                    ("job_writes", &world.job_writes()),
                    ("wait_writes", &world.wait_writes()),
                    ("commits", &world.calls(Method::Commit)),
                    ("rounds", &world.calls(Method::Open)),
                ],
            );
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// V: one start in fifty fails while 1,500 jobs wait behind a limit of 50.
///
/// Must be: writes for a fault independent of how many jobs wait; today about 1.4 for each of them.
#[test]
fn v_no_waiting_job_is_lost_while_starts_fail() {
    in_virtual_time(async {
        for has_faults in [false, true] {
            let mut world = Deployment::seeded(4).max_runners(50).start();
            let jobs = Jobs::queue(&mut world, 1500, |number| job(60 + number % 7));
            let mut faults = 0;
            for _ in 0..sized(6, 20) {
                world.pass(secs(30)).await;
                if has_faults {
                    faults += 1;
                    world.fail_next_starts(1);
                }
            }
            print(
                "V",
                &[
                    ("faults", &faults),
                    ("at_s", &world.elapsed().as_secs()),
                    ("done", &jobs.done_of(&world)),
                    ("launches", &world.launches()),
                    ("job_writes", &world.job_writes()),
                    ("wait_writes", &world.wait_writes()),
                ],
            );
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// W: writes of the reasons of waiting jobs are throttled.
///
/// Must be: as many tasks and registrations as without.
#[test]
fn w_no_job_is_lost_while_writes_of_reasons_are_throttled() {
    in_virtual_time(async {
        let full: &[(u64, f64)] = &[(300, 0.0), (300, 1.0), (1000, 0.1), (1000, 0.3), (1000, 1.0)];
        for &(count, probability) in sized(&full[..2], full) {
            let fault_plan = FaultPlan { wait_writes_throttled: probability, ..FaultPlan::default() };
            let mut world = Deployment::seeded(4).fault_plan(fault_plan).start();
            let jobs = Jobs::queue(&mut world, count, |_| job(30));
            world.pass(minutes(3)).await;
            print(
                "W",
                &[
                    ("throttled", &probability),
                    ("launches", &world.launches()),
                    ("tasks", &world.tasks()),
                    ("registrations", &world.registrations()),
                    ("done", &jobs.done_of(&world)),
                    ("stages", &world.stages()),
                    ("failures", &world.failures()),
                ],
            );
            world.assert_nothing_lost_or_doubled();
        }
    });
}
