//! Warm tasks of a local server: processes that have booted before a job needs them.

use serde_json::{Value, json};

use crate::operator::changes::told_by;
use crate::testbed::{Listed, Setup, Testbed, at, bounded, states};

const SMALL: [&str; 2] = ["self-hosted", "class:small"];

fn setup() -> Setup {
    Setup {
        limits: "surplus_grace_secs = 1\nmax_warm = 1",
        classes: "[classes.small]\ncpu = 512\nmemory = 1024\nwarm = { count = 1 }\n",
        ..Setup::default()
    }
}

/// Whether the job has ended, and its runner is gone.
fn is_over(listed: &Listed) -> bool {
    let of_job = listed.runners.iter().filter(|runner| !runner["launched_for"].is_null());
    listed.jobs_in("completed").len() == 1 && of_job.clone().all(|runner| runner["state"] == "gone")
}

fn warm(listed: &Listed) -> Vec<&Value> {
    listed.runners.iter().filter(|runner| runner["launched_for"].is_null()).collect()
}

#[tokio::test]
async fn a_job_gets_a_warm_task_and_another_one_takes_its_place() {
    bounded(async {
        let testbed = Testbed::set_up(setup()).await;
        let server = testbed.serve().await;
        let before = server.api().until("a warm task", |api| api.runners_in("warm").len() == 1).await;
        let task = before.runners_in("warm")[0].clone();
        let name = task["name"].as_str().unwrap();
        assert!(name.starts_with("ecsr-test-warm-"), "{name}");
        assert_eq!([&task["repository"], &task["pool"], &task["job"]], [&Value::Null; 3]);

        let job = testbed.github.submit_one(&SMALL, 10).await;
        assert_eq!(testbed.github.wait_for(job, "completed").await["conclusion"], "success");
        let after = server
            .api()
            .until("its end and a successor", |api| is_over(api) && api.runners_in("warm").len() == 1)
            .await;
        let runner = after.runners.iter().find(|runner| !runner["launched_for"].is_null()).unwrap();
        assert_eq!((&runner["warm"], &runner["task"]), (&json!(name), &task["task"]), "one task, two names");
        assert_eq!(states(runner)[..2], ["reserved", "booted"], "it had booted before");
        let used = after.runners.iter().find(|other| other["name"] == name).unwrap();
        assert_eq!((&used["state"], &used["reason"]["code"]), (&json!("gone"), &json!("warm_used")));
        assert_eq!(used["warm"], runner["name"]);
        assert_ne!(after.runners_in("warm")[0]["name"], name);

        // Nothing is kept warm while launches are paused.
        told_by(&testbed, &["pause"]).await;
        server.api().until("no warm task", |api| warm(api).iter().all(|it| it["state"] == "gone")).await;
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_warm_task_outlives_its_server_and_serves_the_next_one() {
    bounded(async {
        let testbed = Testbed::set_up(setup()).await;
        let server = testbed.serve().await;
        let before = server.api().until("a warm task", |api| api.runners_in("warm").len() == 1).await;
        let name = before.runners_in("warm")[0]["name"].clone();
        server.kill().await;
        let server = testbed.serve().await;
        let job = testbed.github.submit_one(&SMALL, 10).await;
        assert_eq!(testbed.github.wait_for(job, "completed").await["starts"], 1);
        let after = server.api().until("the job to be done", is_over).await;
        let runner = after.runners.iter().find(|runner| !runner["launched_for"].is_null()).unwrap();
        assert_eq!(runner["warm"], name);
        assert!(at(runner, "busy").is_some());
        told_by(&testbed, &["pause"]).await;
        server.api().until("no warm task", |api| warm(api).iter().all(|it| it["state"] == "gone")).await;
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}
