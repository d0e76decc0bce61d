//! Limits on the number of runners at one time.

use std::fs;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::testbed::{Setup, Testbed, at, bounded};

const SMALL: [&str; 2] = ["self-hosted", "class:small"];

/// Returns the times of the first and last log line of each task's agent.
fn lives(testbed: &Testbed) -> Vec<(Timestamp, Timestamp)> {
    let tasks = fs::read_dir(testbed.state().join("tasks")).unwrap();
    tasks
        .map(|task| {
            let log = fs::read_to_string(task.unwrap().path().join("agent.log")).unwrap();
            let mut times = log.lines().filter_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                line["time"].as_str()?.parse().ok()
            });
            let first: Timestamp = times.next().unwrap();
            (first, times.next_back().unwrap_or(first))
        })
        .collect()
}

/// Returns the most agents that ran at one time, by their logs.
fn most_at_once(lives: &[(Timestamp, Timestamp)]) -> usize {
    let alive_at = |at: &Timestamp| lives.iter().filter(|(first, last)| first <= at && at <= last).count();
    lives.iter().map(|(first, _)| alive_at(first)).max().unwrap_or(0)
}

#[tokio::test]
async fn no_more_runners_live_at_once_than_the_deployments_limit_and_the_oldest_job_goes_first() {
    bounded(async {
        let testbed = Testbed::set_up(Setup { limits: "max_runners = 2", ..Setup::default() }).await;
        let server = testbed.serve().await;
        let mut events = server.api().events().await;
        testbed.github.faults(json!({"assignment_paused": true})).await;
        let jobs = testbed.github.submit(&SMALL, 6, 300, Value::Null).await;
        let api = server
            .api()
            .until("four jobs to wait for a slot", |api| {
                jobs.iter().filter(|job| api.reason(**job) == Some("limit_deployment")).count() == 4
            })
            .await;
        let text = |job: &Value| job["reason"]["text"].as_str().unwrap_or_default().to_owned();
        assert!(api.jobs.iter().any(|job| text(job) == "the deployment's limit of 2 runners is reached"));
        testbed.github.faults(json!({"assignment_paused": false})).await;
        let api = server.api().until("6 jobs to be done", |api| api.is_done(6)).await;
        assert_eq!(api.runners.len(), 6);

        // By the server's events.
        let mut alive = Vec::new();
        let mut gone = 0;
        while gone < 6 {
            let event = events.next().await;
            if event["type"] != "runner" {
                continue;
            }
            let name = event["runner"]["name"].as_str().unwrap().to_owned();
            alive.retain(|known| *known != name);
            match event["runner"]["state"].as_str().unwrap() {
                "gone" => gone += 1,
                "ending" => {}
                _ => alive.push(name),
            }
            assert!(alive.len() <= 2, "{alive:?}");
        }
        // By the agents' logs.
        let lives = lives(&testbed);
        assert_eq!((lives.len(), most_at_once(&lives)), (6, 2));

        let mut launched: Vec<_> = api
            .runners
            .iter()
            .map(|runner| (at(runner, "reserved"), runner["launched_for"].as_u64().unwrap()))
            .collect();
        launched.sort_unstable();
        // The first two runners were launched for the jobs whose webhooks came first.
        // GitHub gave them the oldest jobs. The other runners were launched in order.
        let launched: Vec<u64> = launched.into_iter().map(|(_, job)| job).collect();
        assert_eq!(launched[2..], jobs[2..]);
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_repositorys_limit_holds_back_that_repository_alone() {
    bounded(async {
        let setup = Setup { limits: "max_runners_per_repository = 1", ..Setup::default() };
        let testbed = Testbed::set_up(setup).await;
        let server = testbed.serve().await;
        testbed.github.faults(json!({"assignment_paused": true})).await;
        // One job first: the order in which several webhooks arrive is not determined.
        let first = testbed.github.submit_one(&SMALL, 100).await;
        server.api().until("the first job to have a runner", |api| api.runners.len() == 1).await;
        let more = testbed.github.submit(&SMALL, 2, 100, Value::Null).await;
        let other = testbed.github.submit(&SMALL, 1, 100, json!({"repository": "acme/lib"})).await[0];
        let api = server
            .api()
            .until("both repositories to have a runner", |api| {
                api.runners_in("booted").len() == 2
                    && more.iter().all(|job| api.reason(*job) == Some("limit_repository"))
            })
            .await;
        let mut served: Vec<_> =
            api.runners.iter().map(|runner| runner["launched_for"].as_u64().unwrap()).collect();
        served.sort_unstable();
        assert_eq!(served, [first, other]);
        testbed.github.faults(json!({"assignment_paused": false})).await;
        server.api().until("4 jobs to be done", |api| api.is_done(4)).await;
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_classs_limit_holds_back_that_class_alone() {
    bounded(async {
        let classes = "[classes.small]\ncpu = 512\nmemory = 1024\n[classes.large]\ncpu = 4096\nmemory = 8192\nmax_runners = 1\n";
        let testbed = Testbed::set_up(Setup { classes, ..Setup::default() }).await;
        let server = testbed.serve().await;
        testbed.github.faults(json!({"assignment_paused": true})).await;
        let large = testbed.github.submit(&["self-hosted", "class:large"], 2, 100, Value::Null).await;
        testbed.github.submit(&SMALL, 2, 100, Value::Null).await;
        let api = server
            .api()
            .until("all but one to have a runner", |api| {
                api.runners_in("booted").len() == 3 && api.reason(large[1]) == Some("limit_class")
            })
            .await;
        assert_eq!(api.runners.len(), 3);
        testbed.github.faults(json!({"assignment_paused": false})).await;
        server.api().until("4 jobs to be done", |api| api.is_done(4)).await;
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}
