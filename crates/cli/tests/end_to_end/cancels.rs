//! Jobs that are cancelled at GitHub.

use serde_json::json;

use crate::testbed::{Setup, Testbed, bounded};

const SMALL: [&str; 2] = ["self-hosted", "class:small"];

#[tokio::test]
async fn a_job_cancelled_before_a_runner_took_it_retires_the_runner() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        testbed.github.faults(json!({"assignment_paused": true})).await;
        let job = testbed.github.submit_one(&SMALL, 10).await;
        testbed.github.wait("online=1").await;
        testbed.github.cancel(job).await;
        let api = server.api().until("the runner to be gone", |api| api.runners_in("gone").len() == 1).await;
        assert_eq!(
            (api.runners[0]["ending"].as_str(), &api.runners[0]["job"]),
            (Some("surplus"), &json!(null))
        );
        assert_eq!(
            (api.jobs[0]["state"].as_str(), api.jobs[0]["conclusion"].as_str()),
            (Some("completed"), Some("cancelled"))
        );
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_job_cancelled_before_its_runner_has_a_configuration_leaves_nothing() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        let refusal = json!({"method": "POST", "path_end": "/generate-jitconfig", "status": 500});
        testbed.github.faults(json!({"rest": [refusal]})).await;
        let job = testbed.github.submit_one(&SMALL, 10).await;
        server.api().until("the task to run", |api| api.runners_in("booted").len() == 1).await;
        testbed.github.cancel(job).await;
        let api = server.api().until("the runner to be gone", |api| api.runners_in("gone").len() == 1).await;
        assert_eq!(api.runners[0]["ending"], "surplus");
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_running_job_that_is_cancelled_ends_with_its_runner() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        let job = testbed.github.submit_one(&SMALL, 600_000).await;
        server.api().until("the job to run", |api| api.runners_in("busy").len() == 1).await;
        testbed.github.cancel(job).await;
        let api = server
            .api()
            .until("job and runner to be done", |api| {
                api.runners_in("gone").len() == 1 && api.jobs_in("completed").len() == 1
            })
            .await;
        assert_eq!(api.runners[0]["ending"], "completed");
        assert_eq!(
            (api.jobs[0]["state"].as_str(), api.jobs[0]["conclusion"].as_str()),
            (Some("completed"), Some("cancelled"))
        );
        assert_eq!(testbed.github.wait_for(job, "completed").await["starts"], 1);
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_runner_whose_job_was_cancelled_takes_the_next_one_within_the_grace() {
    bounded(async {
        let testbed = Testbed::set_up(Setup { limits: "surplus_grace_secs = 60", ..Setup::default() }).await;
        let server = testbed.serve().await;
        testbed.github.faults(json!({"assignment_paused": true})).await;
        let first = testbed.github.submit_one(&SMALL, 10).await;
        testbed.github.wait("online=1").await;
        testbed.github.cancel(first).await;
        server.api().until("the cancellation", |api| api.jobs_in("completed").len() == 1).await;
        let second = testbed.github.submit_one(&SMALL, 10).await;
        server.api().until("the second job", |api| api.job(second).is_some()).await;
        testbed.github.faults(json!({"assignment_paused": false})).await;
        let api = server.api().until("the runner to be gone", |api| api.runners_in("gone").len() == 1).await;
        assert_eq!(api.runners.len(), 1);
        assert_eq!(
            (&api.runners[0]["launched_for"], &api.runners[0]["job"]),
            (&json!(first), &json!(second))
        );
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}
