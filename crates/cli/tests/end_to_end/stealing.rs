//! GitHub gives any job to any idle runner that fits.

use serde_json::{Value, json};

use crate::testbed::{Setup, Testbed, bounded};

/// A runner for the second kind of job fits the first kind too.
const PLAIN: [&str; 2] = ["self-hosted", "class:tooled"];
const SPECIAL: [&str; 3] = ["self-hosted", "class:tooled", "extra"];

const CLASSES: &str = "[classes.tooled]\ncpu = 512\nmemory = 1024\nlabels = [\"extra\"]\n";

#[tokio::test]
async fn stolen_runners_are_replaced_and_the_surplus_is_retired() {
    bounded(async {
        let testbed = Testbed::set_up(Setup { classes: CLASSES, ..Setup::default() }).await;
        let server = testbed.serve().await;
        testbed.github.faults(json!({"steal": true, "assignment_paused": true})).await;
        testbed.github.submit(&PLAIN, 8, 100, Value::Null).await;
        testbed.github.submit(&SPECIAL, 8, 100, Value::Null).await;
        testbed.github.wait("online=16").await;
        assert_eq!(server.api().listed().await.runners.len(), 16);
        testbed.github.faults(json!({"assignment_paused": false})).await;
        let api = server.api().until("16 jobs to be done", |api| api.is_done(16)).await;
        let ended = |ending: &str| api.runners.iter().filter(|runner| runner["ending"] == ending).count();
        assert_eq!(ended("completed"), 16);
        // The stolen special runner was replaced. The plain runner that was not needed had no job.
        assert!(ended("surplus") > 0, "nothing was stolen: {:#?}", api.runners);
        assert_eq!(ended("completed") + ended("surplus"), api.runners.len(), "{:#?}", api.runners);
        for runner in api.runners.iter().filter(|runner| runner["ending"] == "surplus") {
            assert_eq!((&runner["reason"]["code"], &runner["job"]), (&json!("surplus"), &Value::Null));
        }
        assert!(testbed.github.jobs().await.iter().all(|job| job["starts"] == 1));
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_stolen_runner_is_booked_for_the_job_that_it_took() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        testbed.github.faults(json!({"steal": true, "assignment_paused": true})).await;
        let labels = ["self-hosted", "class:small"];
        let jobs = testbed.github.submit(&labels, 6, 200, Value::Null).await;
        testbed.github.wait("online=6").await;
        testbed.github.faults(json!({"assignment_paused": false})).await;
        let api = server.api().until("6 jobs to be done", |api| api.is_done(6)).await;
        // Runners of one pool are interchangeable: no further one is launched, whichever takes which job.
        assert_eq!(api.runners.len(), 6);
        for job in &jobs {
            let taker = &api.job(*job).unwrap()["runner"];
            let runner = api.runners.iter().find(|runner| runner["name"] == *taker).unwrap();
            assert_eq!(runner["job"], *job);
        }
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}
