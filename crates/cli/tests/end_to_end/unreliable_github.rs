//! Failures of GitHub's API: errors, throttling, refusals and lost answers.

use serde_json::{Value, json};

use crate::testbed::{Setup, Testbed, bounded};

const SMALL: [&str; 2] = ["self-hosted", "class:small"];
const JIT: &str = "POST /repos/{owner}/{repo}/actions/runners/generate-jitconfig";
const DELETE: &str = "DELETE /repos/{owner}/{repo}/actions/runners/{runner_id}";

/// A fault of the request for a JIT configuration.
fn jit_fault(more: Value) -> Value {
    let mut fault = json!({"method": "POST", "path_end": "/generate-jitconfig"});
    for (key, value) in more.as_object().into_iter().flatten() {
        fault[key] = value.clone();
    }
    json!({"rest": [fault]})
}

#[tokio::test]
async fn a_configuration_is_asked_for_again_until_github_gives_it() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        testbed.github.faults(jit_fault(json!({"status": 500, "times": 2}))).await;
        testbed.github.submit_one(&SMALL, 10).await;
        let api = server.api().until("the job to be done", |api| api.is_done(1)).await;
        assert_eq!((api.runners.len(), testbed.github.calls(JIT).await), (1, 3));
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_throttled_configuration_is_asked_for_when_github_says() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        testbed.github.faults(jit_fault(json!({"status": 403, "retry_after_secs": 2, "times": 1}))).await;
        let asked = jiff::Timestamp::now();
        testbed.github.submit_one(&SMALL, 10).await;
        let api = server.api().until("the job to be done", |api| api.is_done(1)).await;
        assert_eq!((api.runners.len(), testbed.github.calls(JIT).await), (1, 2));
        assert!(jiff::Timestamp::now().duration_since(asked).as_secs() >= 2, "earlier than GitHub said");
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_lost_answer_to_a_configuration_leaves_no_registration() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        testbed.github.faults(jit_fault(json!({"status": 500, "times": 1, "after_effect": true}))).await;
        testbed.github.submit_one(&SMALL, 10).await;
        let api = server.api().until("the job to be done", |api| api.is_done(1)).await;
        assert_eq!(api.runners.len(), 1);
        // Request, refusal because the name exists, deletion, request.
        assert_eq!((testbed.github.calls(JIT).await, testbed.github.calls(DELETE).await), (3, 1));
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_repository_in_which_github_refuses_runners_is_held_and_the_others_go_on() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        let refusal =
            json!({"status": 403, "path": "/repos/acme/closed/", "message": "Resource not accessible"});
        testbed.github.faults(jit_fault(refusal)).await;
        let held = testbed.github.submit(&SMALL, 2, 10, json!({"repository": "acme/closed"})).await;
        let api = server
            .api()
            .until("the scope to be held", |api| {
                held.iter().all(|job| api.reason(*job) == Some("scope_held"))
                    && api.runners.iter().all(|runner| runner["state"] == "gone")
            })
            .await;
        let text = api.job(held[0]).unwrap()["reason"]["text"].as_str().unwrap();
        assert!(text.contains("Resource not accessible"), "{text}");
        assert!(api.runners.len() <= 2, "{:#?}", api.runners);
        // A runner whose turn came after the first refusal was not launched.
        let has_failed =
            |runner: &Value| runner["ending"] == "boot_failed" || runner["ending"] == "withdrawn";
        assert!(api.runners.iter().all(has_failed), "{:#?}", api.runners);
        // Their tasks were stopped.
        assert!(testbed.agents().is_empty());
        let other = testbed.github.submit_one(&SMALL, 10).await;
        let api = server
            .api()
            .until("the other repository's job", |api| !api.jobs_in("completed").is_empty())
            .await;
        assert_eq!(api.job(other).unwrap()["conclusion"], "success");
        assert!(held.iter().all(|job| api.reason(*job) == Some("scope_held")));
        for job in held {
            testbed.github.cancel(job).await;
        }
        server.api().until("the cancellations", |api| api.jobs_in("completed").len() == 3).await;
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_github_that_hangs_for_one_repository_delays_no_other() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        testbed
            .github
            .faults(jit_fault(json!({"hang_secs": 3, "path": "/repos/acme/slow/", "times": 1})))
            .await;
        let slow = testbed.github.submit(&SMALL, 1, 10, json!({"repository": "acme/slow"})).await[0];
        server.api().until("the slow one's task to run", |api| api.runners_in("booted").len() == 1).await;
        let quick = testbed.github.submit_one(&SMALL, 10).await;
        testbed.github.wait_for(quick, "completed").await;
        assert_eq!(
            testbed.github.jobs().await.iter().find(|job| job["id"] == slow).unwrap()["state"],
            "queued"
        );
        server.api().until("2 jobs to be done", |api| api.is_done(2)).await;
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}
