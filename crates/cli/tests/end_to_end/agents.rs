//! Agents that are killed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::testbed::{Listed, REPOSITORY, Setup, Testbed, bounded, job_ids};

const SMALL: [&str; 2] = ["self-hosted", "class:small"];

fn setup() -> Setup {
    Setup {
        session_limit: Duration::from_secs(1),
        listener: &[("ECSRUNNER_SIM_EXECUTOR", "steps")],
        ..Setup::default()
    }
}

#[tokio::test]
async fn an_agent_killed_before_it_got_a_job_is_replaced() {
    bounded(async {
        let testbed = Testbed::set_up(setup()).await;
        let server = testbed.serve().await;
        testbed.github.faults(json!({"assignment_paused": true})).await;
        let job = testbed.github.submit_one(&SMALL, 10).await;
        testbed.github.wait("online=1").await;
        testbed.kill_agents();
        let api = server
            .api()
            .until("a second runner", |api| {
                api.runners_in("gone").len() == 1 && api.runners_in("booted").len() == 1
            })
            .await;
        let dead = api.runners_in("gone")[0];
        assert_eq!((&dead["ending"], &dead["job"]), (&json!("agent_crashed"), &json!(null)));
        testbed.github.faults(json!({"assignment_paused": false})).await;
        let api = server.api().until("the job to be done", |api| api.is_done(1)).await;
        assert_eq!(api.runners.len(), 2);
        assert_eq!(testbed.github.wait_for(job, "completed").await["starts"], 1);
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_job_whose_agent_is_killed_fails_and_its_processes_are_killed_too() {
    bounded(async {
        let testbed = Testbed::set_up(setup()).await;
        let server = testbed.serve().await;
        let text = "
on: push
jobs:
  build:
    runs-on: [self-hosted, 'class:small']
    steps:
      - run: |
          setsid sleep 987654 &
          echo at work
          sleep 987654
";
        let workflow = json!({"repository": REPOSITORY, "file": ".github/workflows/ci.yml", "text": text});
        let job = job_ids(&testbed.github.submit_workflow(&workflow).await)[0];
        server.api().until("the job to run", |api| api.runners_in("busy").len() == 1).await;
        testbed.kill_agents();
        let ended = testbed.github.wait_for(job, "completed").await;
        assert_eq!((&ended["conclusion"], &ended["starts"]), (&json!("failure"), &json!(1)));
        let api = server.api().until("the runner to be gone", |api| api.runners_in("gone").len() == 1).await;
        assert_eq!((&api.runners[0]["job"], &api.jobs[0]["conclusion"]), (&json!(job), &json!("failure")));
        // No further runner is launched for the job.
        assert_eq!(api.runners.len(), 1);
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_listener_that_crashes_before_its_job_is_replaced() {
    bounded(async {
        // The listener has no faults. The test kills it.
        let testbed = Testbed::set_up(setup()).await;
        let server = testbed.serve().await;
        testbed.github.faults(json!({"assignment_paused": true})).await;
        testbed.github.submit_one(&SMALL, 10).await;
        testbed.github.wait("online=1").await;
        testbed.kill_listeners();
        let api = server
            .api()
            .until("a second runner", |api| {
                api.runners_in("gone").len() == 1 && api.runners_in("booted").len() == 1
            })
            .await;
        assert_eq!(api.runners_in("gone")[0]["ending"], "agent_crashed");
        testbed.github.faults(json!({"assignment_paused": false})).await;
        server.api().until("the job to be done", |api| api.is_done(1)).await;
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn two_servers_on_one_machine_leave_each_others_runners_alone() {
    bounded(async {
        let (one, other) = (Testbed::set_up(setup()).await, Testbed::set_up(setup()).await);
        let servers = (one.serve().await, other.serve().await);
        for _ in 0..6 {
            // Runners of one server end while runners of the other start.
            one.github.submit(&SMALL, 2, 150, Value::Null).await;
            other.github.submit(&SMALL, 2, 50, Value::Null).await;
            let is_idle = |api: &Listed| api.runners.iter().all(|runner| runner["state"] == "gone");
            servers.1.api().until("the other's to be gone", is_idle).await;
        }
        servers.0.api().until("12 jobs to be done", |api| api.is_done(12)).await;
        servers.1.api().until("12 jobs to be done", |api| api.is_done(12)).await;
        one.ends_with_nothing_left(servers.0).await;
        other.ends_with_nothing_left(servers.1).await;
    })
    .await;
}
