//! A class that serves only some repositories.

use std::time::Duration;

use ecsrunner_core::rules::policy::Subject;
use serde_json::json;

use crate::harness::jobs::{job_in, repository};
use crate::harness::{Deployment, Jobs, in_virtual_time, minutes, print, secs};

const JOB_SECS: u64 = 30;

/// P: the class `deploy` is for `acme/infra`, runners are registered with the organization, and `acme/web`
/// asks for the class too. Its job is refused and stays queued at GitHub, so GitHub may give it to the
/// runner of `acme/infra`.
///
/// Must be: `hook_refuses_web=true`, so that web's job fails in the hook.
#[test]
fn p_a_job_of_another_repository_is_refused_at_admission_and_by_the_hook() {
    in_virtual_time(async {
        let class = json!({"cpu": 512, "memory": 1024, "repositories": ["acme/infra"]});
        let mut world = Deployment::seeded(4).organization_runners().class("deploy", class).start();
        let web = Jobs::queue(&mut world, 1, |_| job_in("deploy", "web", JOB_SECS));
        world.pass(secs(5)).await;
        assert!(world.is_refused(web.ids()[0]), "web's job was admitted");
        let infra = Jobs::queue(&mut world, 1, |_| job_in("deploy", "infra", JOB_SECS));
        let web_repository = repository("web");
        let of_web = Subject {
            repository: &web_repository,
            private: Some(true),
            event: Some("push"),
            head_repository: Some(&web_repository),
        };
        let mut hook_refuses = None;
        for _ in 0..600 {
            world.pass(Duration::from_millis(100)).await;
            hook_refuses = world.hook_refuses(&of_web).or(hook_refuses);
        }
        world.pass(minutes(5)).await;
        print(
            "P",
            &[
                ("hook_refuses_web", &hook_refuses.unwrap()),
                ("web_done", &web.done_of(&world)),
                ("infra_done", &infra.done_of(&world)),
            ],
        );
        assert_eq!(hook_refuses, Some(true), "the hook of infra's runner lets web's job run");
        world.assert_nothing_lost_or_doubled();
    });
}
