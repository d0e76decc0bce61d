//! Webhooks that are duplicated, late, reordered or lost.

use serde_json::{Value, json};

use crate::testbed::{Setup, Testbed, bounded};

const SMALL: [&str; 2] = ["self-hosted", "class:small"];

#[tokio::test]
async fn webhooks_that_come_thrice_in_any_order_start_each_job_once() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        testbed.github.faults(json!({"webhooks": {"duplicates": 2, "delay_ms": 400}})).await;
        let jobs = testbed.github.submit(&SMALL, 12, 300, Value::Null).await;
        testbed.github.wait("completed=12").await;
        // Late duplicates must change nothing either.
        let deliveries = testbed.github.deliveries().await;
        assert_eq!(deliveries.len(), 12 * 3 * 3);
        let api = server.api().until("12 jobs to be done", |api| api.is_done(12)).await;
        assert_eq!(api.jobs.len(), jobs.len());
        for job in testbed.github.jobs().await {
            assert_eq!((&job["starts"], &job["conclusion"]), (&json!(1), &json!("success")), "{job}");
        }
        // A runner may have taken another job before that job's webhook arrived.
        let completed = api.runners.iter().filter(|runner| runner["ending"] == "completed").count();
        let surplus = api.runners.iter().filter(|runner| runner["reason"]["code"] == "surplus").count();
        assert_eq!((completed, completed + surplus), (12, api.runners.len()), "{:#?}", api.runners);
        let (_, counts) = server.api().get("/api/v1/counts").await;
        assert!(counts["webhooks"]["nothing_new"].as_u64() >= Some(12), "{counts}");
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_completed_that_comes_before_its_queued_launches_nothing() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        testbed.github.faults(json!({"webhooks": {"hold": true}})).await;
        let job = testbed.github.submit_one(&SMALL, 10).await;
        testbed.github.cancel(job).await;
        // `queued` and `completed` in random order, 10 times.
        for _ in 0..9 {
            let job = testbed.github.submit_one(&SMALL, 10).await;
            testbed.github.cancel(job).await;
        }
        testbed.github.release().await;
        let deliveries = testbed.github.deliveries().await;
        assert_eq!(deliveries.len(), 20);
        let api = server.api().until("10 jobs to be over", |api| api.jobs_in("completed").len() == 10).await;
        assert!(api.jobs.iter().all(|job| job["conclusion"] == "cancelled"), "{:#?}", api.jobs);
        testbed.github.faults(json!({"webhooks": {}})).await;
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn polling_finds_every_job_though_all_webhooks_are_lost() {
    bounded(async {
        let setup = Setup { repositories: r#"["acme/app"]"#, poll: true, ..Setup::default() };
        let testbed = Testbed::set_up(setup).await;
        testbed.github.faults(json!({"webhooks": {"forget": 1.0}})).await;
        testbed.github.submit(&SMALL, 3, 200, Value::Null).await;
        let server = testbed.serve().await;
        testbed.github.wait("completed=3").await;
        // A later poll finds the job.
        testbed.github.submit_one(&["self-hosted", "class:large"], 200).await;
        testbed.github.wait("completed=4").await;
        let api = server.api().until("4 jobs to be done", |api| api.is_done(4)).await;
        assert_eq!(api.jobs.len(), 4);
        assert!(testbed.github.jobs().await.iter().all(|job| job["starts"] == 1));
        assert!(testbed.github.deliveries().await.is_empty());
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn jobs_run_though_each_in_progress_is_lost() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        let jobs = testbed.github.submit(&SMALL, 3, 800, Value::Null).await;
        server.api().until("3 jobs to be known", |api| api.jobs.len() == 3).await;
        testbed.github.faults(json!({"webhooks": {"drop": 1.0}})).await;
        for job in &jobs {
            testbed.github.wait_for(*job, "in_progress").await;
        }
        testbed.github.faults(json!({"webhooks": {}})).await;
        let api = server.api().until("3 jobs to be done", |api| api.is_done(3)).await;
        assert_eq!(api.runners.len(), 3);
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}
