//! Tasks that sometimes fail to start, and how long their class is held because of it.

use crate::harness::jobs::job;
use crate::harness::{Deployment, Jobs, hours, in_virtual_time, minutes, print, secs, sized};

/// B: five starts fail, which opens the class's breaker. Then starts succeed and 60 jobs come.
///
/// Must be: waits as without faults, as today.
#[test]
fn b_jobs_after_five_failed_starts_are_all_done() {
    in_virtual_time(async {
        for (job_secs, faults) in [(5, 0), (5, 5), (20, 5), (90, 5)] {
            let mut world = Deployment::seeded(4).start();
            if faults > 0 {
                world.fail_next_starts(faults);
            }
            Jobs::queue(&mut world, 5, |_| job(job_secs));
            world.pass(minutes(10)).await;
            let holds = world.holds();
            let jobs = Jobs::queue(&mut world, 60, |_| job(job_secs));
            world.settle(hours(12)).await;
            let waits = jobs.waits(&world);
            print(
                "B",
                &[
                    ("job_s", &job_secs),
                    ("faults", &faults),
                    ("holds_before", &holds),
                    ("median_wait_s", &waits.median()),
                    ("max_wait_s", &waits.longest()),
                    ("holds_after", &world.holds()),
                    ("tasks", &world.tasks()),
                ],
            );
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// B2: a job each 75 to 81 s, and one start in five fails. The breaker stays closed.
///
/// Must be: `failures_in_a_row` below 5, as today.
#[test]
fn b2_a_trickle_of_jobs_with_failing_starts_is_all_done() {
    in_virtual_time(async {
        for &job_secs in sized(&[5, 90][..], &[5, 20, 90]) {
            let (mut world, mut jobs) = (Deployment::seeded(4).start(), Jobs::default());
            let mut failures_in_a_row = 0;
            for number in 0..sized(200, 400) {
                if number % 5 == 0 {
                    world.fail_next_starts(1);
                }
                jobs.add(&mut world, job(job_secs));
                world.pass(secs(75 + number % 7)).await;
                failures_in_a_row = failures_in_a_row.max(world.failures_in_a_row());
            }
            world.settle(hours(6)).await;
            let waits = jobs.waits(&world);
            print(
                "B2",
                &[
                    ("job_s", &job_secs),
                    ("failures_in_a_row", &failures_in_a_row),
                    ("done", &jobs.done_of(&world)),
                    ("median_wait_s", &waits.median()),
                    ("p90_wait_s", &waits.p90()),
                    ("max_wait_s", &waits.longest()),
                    ("launches", &world.launches()),
                ],
            );
            world.assert_nothing_lost_or_doubled();
        }
    });
}
