//! One job, from its webhook until its runner and registration are gone.

use serde_json::json;

use crate::testbed::{Setup, Testbed, at, bounded, states};

#[tokio::test]
async fn one_job_runs_on_one_runner_which_is_gone_afterwards() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        let id = testbed.github.submit_one(&["self-hosted", "class:small"], 500).await;
        let api = server.api().until("the job to be done", |api| api.is_done(1)).await;
        let (job, runner) = (api.job(id).unwrap(), &api.runners[0]);

        assert_eq!(states(job), ["queued", "in_progress", "completed"]);
        assert_eq!(job["runner"], runner["name"]);
        assert_eq!(job["class"], "small");
        assert_eq!(job["pool"], runner["pool"]);

        assert_eq!(api.runners.len(), 1);
        assert_eq!((runner["job"].as_u64(), runner["launched_for"].as_u64()), (Some(id), Some(id)));
        assert_eq!(runner["ending"], "completed");
        let stages = states(runner);
        assert_eq!((stages[0], stages[stages.len() - 1]), ("reserved", "gone"), "{stages:?}");
        for stage in ["booted", "busy", "ending"] {
            assert!(stages.contains(&stage), "{stages:?}");
        }
        // Times in the fake's webhooks are whole seconds. The server's own times are finer.
        let order = ["reserved", "booted", "gone"].map(|stage| at(runner, stage).unwrap());
        assert!(order.is_sorted(), "{runner:#}");

        let seen = testbed.github.wait_for(id, "completed").await;
        assert_eq!((&seen["conclusion"], &seen["starts"]), (&json!("success"), &json!(1)));
        assert_eq!(seen["runner"], runner["name"]);
        assert_eq!(
            testbed.github.calls("POST /repos/{owner}/{repo}/actions/runners/generate-jitconfig").await,
            1
        );
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_job_that_fails_is_told_as_failed_and_its_runner_as_completed() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        testbed.github.submit(&["self-hosted", "class:large"], 1, 0, json!({"work": {"exit": 3}})).await;
        let api = server.api().until("the runner to be gone", |api| api.runners_in("gone").len() == 1).await;
        assert_eq!(
            (&api.jobs[0]["state"], &api.jobs[0]["conclusion"]),
            (&json!("completed"), &json!("failure"))
        );
        assert_eq!(api.runners[0]["ending"], "completed");
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_job_that_waits_for_an_approval_gets_its_runner_once_it_is_approved() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        let id =
            testbed.github.submit(&["self-hosted", "class:small"], 1, 10, json!({"waiting": true})).await[0];
        let api = server.api().until("the job to wait", |api| api.jobs_in("waiting").len() == 1).await;
        assert!(api.runners.is_empty(), "a runner before the approval");
        testbed.github.approve(id).await;
        let api = server.api().until("the job to be done", |api| api.is_done(1)).await;
        assert_eq!(states(api.job(id).unwrap()), ["waiting", "queued", "in_progress", "completed"]);
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}
