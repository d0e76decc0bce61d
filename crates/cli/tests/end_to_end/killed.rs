//! The server is killed, or ended, and started again on the same state.

use std::fs;

use serde_json::{Value, json};

use crate::testbed::{Server, Setup, Testbed, bounded};

const SMALL: [&str; 2] = ["self-hosted", "class:small"];

/// Kills the server while GitHub holds back its webhooks, and starts it again.
async fn kill_and_start_again(testbed: &Testbed, server: Server) -> Server {
    // Webhooks in flight are answered before the kill. Later ones wait.
    testbed.github.faults(json!({"webhooks": {"hold": true}})).await;
    testbed.github.wait("webhooks_idle=true").await;
    server.kill().await;
    let server = testbed.serve().await;
    testbed.github.faults(json!({"webhooks": {}})).await;
    testbed.github.release().await;
    server
}

/// Asserts that every job succeeded once, each on its own runner. A kill may take the answer that hands an agent its boot
/// item; that agent starts nothing, and its job gets another runner.
async fn each_ran_once(testbed: &Testbed, server: &Server, jobs: usize) {
    let api = server.api().until("every job to be done", |api| api.is_done(jobs)).await;
    let is_unanswered = |runner: &&Value| {
        runner["reason"]["text"]
            .as_str()
            .is_some_and(|text| text.ends_with("taking its boot item got no answer"))
    };
    let unanswered = api.runners.iter().filter(is_unanswered).count();
    assert_eq!(api.runners.len() - unanswered, jobs, "{:#?}", api.runners);
    for job in testbed.github.jobs().await {
        assert_eq!((&job["starts"], &job["conclusion"]), (&json!(1), &json!("success")), "{job}");
    }
}

#[tokio::test]
async fn killed_before_the_hand_over_the_next_server_hands_over_to_the_same_task() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        let refusal = json!({"method": "POST", "path_end": "/generate-jitconfig", "status": 500});
        testbed.github.faults(json!({"rest": [refusal]})).await;
        testbed.github.submit_one(&SMALL, 100).await;
        let api = server.api().until("the task to run", |api| api.runners_in("booted").len() == 1).await;
        let task = api.runners[0]["task"].clone();
        let port = fs::read_to_string(testbed.state().join("boot-port")).unwrap();
        let server = kill_and_start_again(&testbed, server).await;
        // Where the waiting agent asks for its boot item.
        assert_eq!(fs::read_to_string(testbed.state().join("boot-port")).unwrap(), port);
        testbed.github.faults(json!({"rest": []})).await;
        each_ran_once(&testbed, &server, 1).await;
        assert_eq!(server.api().listed().await.runners[0]["task"], task);
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn killed_while_jobs_run_the_next_server_adopts_their_tasks() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        // A task that ended earlier: another task has its user id now.
        testbed.github.submit_one(&SMALL, 10).await;
        server.api().until("the first job to be done", |api| api.is_done(1)).await;
        testbed.github.submit(&SMALL, 4, 2_500, Value::Null).await;
        server.api().until("4 jobs to run", |api| api.runners_in("busy").len() == 4).await;
        let agents = testbed.agents();
        assert_eq!(agents.len(), 4);
        let server = kill_and_start_again(&testbed, server).await;
        assert_eq!(testbed.agents(), agents);
        each_ran_once(&testbed, &server, 5).await;
        let log = fs::read_to_string(testbed.path("server.log")).unwrap();
        assert_eq!(log.matches("adopted task").count(), 4);
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn killed_while_jobs_end_the_next_server_cleans_up_after_them() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        // Long enough for the third to begin before the first ends, on a busy machine too.
        testbed.github.submit(&SMALL, 3, 4_000, Value::Null).await;
        server.api().until("3 jobs to run", |api| api.runners_in("busy").len() == 3).await;
        testbed.github.faults(json!({"webhooks": {"hold": true}})).await;
        testbed.github.wait("webhooks_idle=true").await;
        server.kill().await;
        // The ends of jobs and tasks are not observed.
        testbed.github.wait("completed=3").await;
        let server = testbed.serve().await;
        testbed.github.faults(json!({"webhooks": {}})).await;
        testbed.github.release().await;
        each_ran_once(&testbed, &server, 3).await;
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn killed_again_and_again_under_load_every_job_runs_once() {
    bounded(async {
        let testbed = Testbed::set_up(Setup { limits: "max_runners = 4", ..Setup::default() }).await;
        let mut server = testbed.serve().await;
        testbed.github.submit(&SMALL, 12, 200, Value::Null).await;
        for changes in [3, 11, 23, 31] {
            let mut events = server.api().events().await;
            for _ in 0..changes {
                if server.api().listed().await.is_done(12) {
                    break;
                }
                events.next().await;
            }
            server = kill_and_start_again(&testbed, server).await;
        }
        each_ran_once(&testbed, &server, 12).await;
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn sigterm_leaves_the_runners_running() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        let job = testbed.github.submit_one(&SMALL, 2_000).await;
        server.api().until("the job to run", |api| api.runners_in("busy").len() == 1).await;
        testbed.github.faults(json!({"webhooks": {"hold": true}})).await;
        server.terminate().await;
        assert_eq!(testbed.agents().len(), 1);
        assert_eq!(testbed.github.wait_for(job, "completed").await["conclusion"], "success");
        let server = testbed.serve().await;
        testbed.github.faults(json!({"webhooks": {}})).await;
        testbed.github.release().await;
        each_ran_once(&testbed, &server, 1).await;
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_second_server_on_the_same_state_is_refused_and_the_first_goes_on() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        let second = testbed.command().output().await.unwrap();
        let told = String::from_utf8(second.stderr).unwrap();
        let state = testbed.state().canonicalize().unwrap();
        assert_eq!(second.status.code(), Some(1), "{told}");
        assert!(second.stdout.is_empty());
        // Without root, a line of the log warns of less isolation first.
        let told: Vec<&str> = told.lines().filter(|line| !line.starts_with('{')).collect();
        let told = told.join("\n").replace(state.to_str().unwrap(), "[state]");
        insta::assert_snapshot!(told, @r#"
        error: the state directory [state] is in use by another server: stop that server, or use another `--state`
        "#);
        testbed.github.submit_one(&SMALL, 10).await;
        each_ran_once(&testbed, &server, 1).await;
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}
