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
///
/// Must be: `others_done=40/40`, `median_wait_s` within 1.2 times the figure without sick jobs.
#[test]
fn k5_no_job_of_others_is_lost_while_one_repository_cannot_connect() {
    in_virtual_time(async {
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
            world.assert_nothing_lost_or_doubled();
        }
    });
}

/// K6: as K5, with frequent jobs of the others for an hour.
///
/// Must be: at most 5 % of `launches` beyond the jobs that were done.
#[test]
fn k6_no_job_of_brisk_traffic_is_lost_while_one_repository_cannot_connect() {
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
            print(
                "K6",
                &[
                    ("sick_jobs", &sick_jobs),
                    ("another_each_s", &interval_secs),
                    ("others_done", &others.done_of(&world)),
                    ("median_wait_s", &waits.median()),
                    ("max_wait_s", &waits.longest()),
                    ("launches", &world.launches()),
                    ("holds", &world.holds()),
                ],
            );
            world.assert_nothing_lost_or_doubled();
        }
    });
}
