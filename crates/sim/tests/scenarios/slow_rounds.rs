//! Rounds of the dispatcher that take a second or more: many open records, or a slow table.

use std::time::Duration;

use ecsrunner_world::faults::{FaultPlan, Method};

use crate::harness::jobs::job;
use crate::harness::outcome::assert_at_githubs_pace;
use crate::harness::{Deployment, Jobs, World, in_virtual_time, minutes, print, sized};

const JOB_SECS: u64 = 60;

/// Microseconds of a read for each open record, and write units a second (0: no limit).
type Slowness = (u64, u64);

fn start(max_runners: u32, (open_us, write_units_per_sec): Slowness) -> World {
    let open_takes_per_record = Duration::from_micros(open_us);
    let fault_plan = FaultPlan { open_takes_per_record, write_units_per_sec, ..FaultPlan::default() };
    Deployment::seeded(4).max_runners(max_runners).fault_plan(fault_plan).start()
}

fn print_round(name: &str, (open_us, write_units): Slowness, world: &World, jobs: &Jobs) {
    print(
        name,
        &[
            ("open_us", &open_us),
            ("write_units", &write_units),
            ("at_s", &world.elapsed().as_secs()),
            ("registrations", &world.registrations()),
            ("launches", &world.launches()),
            ("tasks", &world.tasks()),
            ("done", &jobs.done_of(world)),
            ("rounds", &world.calls(Method::Open)),
            ("commits", &world.calls(Method::Commit)),
            ("stages", &world.stages()),
            ("endings", &world.endings()),
            ("failures", &world.failures()),
        ],
    );
}

/// Queues jobs at once and prints after each of these minutes.
async fn burst(name: &str, count: u64, slowness: Slowness, at_minutes: &[u64]) {
    let mut world = start(3000, slowness);
    let jobs = Jobs::queue(&mut world, count, |_| job(JOB_SECS));
    for minute in at_minutes {
        world.pass_until(minutes(*minute)).await;
        print_round(name, slowness, &world, &jobs);
        assert_at_githubs_pace(&world);
    }
    let first_task_ms =
        world.first_task_after().map_or(-1, |after| i64::try_from(after.as_millis()).unwrap());
    print(name, &[("jobs", &count), ("first_task_ms", &first_task_ms)]);
    world.assert_nothing_lost_or_doubled();
}

/// L: 3,000 jobs at once, a table of 1,000 write units a second, slow reads: a round takes up to 5 s.
#[test]
fn l_a_large_burst_on_a_slow_table_keeps_githubs_pace() {
    in_virtual_time(async {
        let full: &[Slowness] = &[(0, 0), (0, 1000), (300, 1000), (1000, 1000), (1600, 1000)];
        for slowness in sized(&[full[2], full[4]][..], full) {
            burst("L", sized(1500, 3000), *slowness, sized(&[2], &[5, 10])).await;
        }
    });
}

/// M: by number of jobs and time for each record. A round takes a second at 1,000 records of 1,000 us.
#[test]
fn m_rounds_that_take_a_second_keep_githubs_pace() {
    in_virtual_time(async {
        let full: &[(u64, u64)] =
            &[(1000, 300), (1000, 1000), (1000, 100), (2000, 100), (2000, 200), (2000, 300), (3000, 100)];
        for &(count, open_us) in sized(&full[..2], full) {
            burst("M", count, (open_us, 0), sized(&[2], &[2, 3, 5])).await;
        }
    });
}

/// N: 6,000 jobs at once, a table of 1,000 write units a second, 166 us a record.
#[test]
fn n_thousands_of_open_jobs_keep_githubs_pace() {
    in_virtual_time(burst("N", sized(2500, 6000), (sized(400, 166), 1000), sized(&[2], &[2, 3, 5])));
}

/// AC: as M, by the deployment's limit of runners.
///
/// Must be: with 1,000 us a record as many done as with 100 us.
#[test]
fn ac_no_job_is_lost_where_rounds_take_a_second_whatever_the_limit() {
    in_virtual_time(async {
        for &max_runners in sized(&[500][..], &[50, 200, 500, 1000]) {
            let mut done = Vec::new();
            for open_us in [100, 1000] {
                let slowness = (open_us, 0);
                let mut world = start(max_runners, slowness);
                let jobs = Jobs::queue(&mut world, 1000, |_| job(JOB_SECS));
                let mut at = Vec::new();
                for minute in sized(&[2, 5][..], &[2, 5, 10, 20]) {
                    world.pass_until(minutes(*minute)).await;
                    print_round(&format!("AC max_runners={max_runners}"), slowness, &world, &jobs);
                    at.push(jobs.done(&world));
                }
                world.assert_nothing_lost_or_doubled();
                done.push(at);
            }
            for (fast, slow) in done[0].iter().zip(&done[1]) {
                assert!(
                    *slow as f64 >= 0.95 * *fast as f64,
                    "{slow} done in slow rounds, {fast} in fast ones"
                );
            }
        }
    });
}
