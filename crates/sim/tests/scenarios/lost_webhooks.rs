//! Webhooks that never come.

use ecsrunner_world::faults::{FaultPlan, Method, Transit};

use crate::harness::jobs::job;
use crate::harness::{Deployment, Jobs, hours, in_virtual_time, print};

/// R1: App credentials and an organization webhook, and all deliveries are lost.
///
/// Must be: found within 6 minutes. Today the job is never found.
#[test]
fn r1_a_job_whose_webhook_was_lost_is_executed_at_most_once() {
    in_virtual_time(async {
        let webhooks = Transit { lose: 1.0, ..Transit::default() };
        let fault_plan = FaultPlan { webhooks, ..FaultPlan::default() };
        let mut world = Deployment::seeded(1).repositories(&["acme/app"]).fault_plan(fault_plan).start();
        world.github_faults(|faults| faults.no_app_webhook = true);
        let jobs = Jobs::queue(&mut world, 1, |_| job(30));
        world.pass(hours(6)).await;
        print(
            "R1",
            &[
                ("done", &jobs.done_of(&world)),
                ("wait_s", &jobs.waits(&world).longest()),
                ("delivery_lists", &world.calls(Method::Deliveries)),
                ("queued_jobs_lists", &world.calls(Method::QueuedJobs)),
            ],
        );
        world.assert_nothing_doubled();
    });
}
