//! Writes for waiting jobs, and effects of throttled writes.

use ecsrunner_world::faults::{FaultPlan, Method};

use crate::harness::jobs::job;
use crate::harness::{Deployment, Jobs, in_virtual_time, minutes, print, secs, sized};

/// E: a backlog behind a limit.
#[test]
fn e_a_backlog_costs_two_writes_a_job_until_it_runs() {
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
            // Its record, its reservation, its begin; its end moves it to history. What holds the backlog back is written
            // to one job at a time, which stays open for its wait and its run.
            let marks = world.elapsed().as_secs().div_ceil(job_secs);
            assert!(
                world.job_writes() <= count + 2 * world.launches() + marks,
                "{} writes",
                world.job_writes()
            );
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// V: one start in fifty fails while 1,500 jobs wait behind a limit of 50.
#[test]
fn v_a_fault_costs_no_writes_for_the_jobs_that_wait() {
    in_virtual_time(async {
        let mut without = 0;
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
            if !has_faults {
                without = world.job_writes();
            }
            assert!(world.job_writes() <= without + 3 * faults, "{} writes", world.job_writes());
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// W: writes of the reasons of waiting jobs are throttled.
#[test]
fn w_throttled_writes_of_reasons_do_no_harm() {
    in_virtual_time(async {
        let mut healthy = None;
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
            let done = (world.tasks(), world.registrations(), jobs.done(&world));
            assert_eq!(*healthy.get_or_insert(done), done);
            world.assert_nothing_lost_or_doubled();
        }
    });
}
