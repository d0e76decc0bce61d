//! Jobs whose agent is killed are run again, where that is asked for.

use std::time::Duration;

use serde_json::{Value, json};

use crate::testbed::{Listed, REPOSITORY, Setup, Testbed, bounded, job_ids};

const WORKFLOW: &str = "
on: push
jobs:
  build:
    runs-on: [self-hosted, 'class:small']
    steps:
      - run: sleep 987654
  after:
    needs: build
    runs-on: [self-hosted, 'class:small']
    steps:
      - run: echo after
";

/// The permissions of an App that runs jobs again.
const WRITES_ACTIONS: &[(&str, &str)] =
    &[("actions", "write"), ("administration", "write"), ("metadata", "read")];

fn setup(top: &'static str) -> Setup {
    Setup {
        session_limit: Duration::from_secs(1),
        listener: &[("ECSRUNNER_SIM_EXECUTOR", "steps")],
        top,
        app: WRITES_ACTIONS,
        ..Setup::default()
    }
}

async fn submit(testbed: &Testbed) -> u64 {
    let workflow = json!({"repository": REPOSITORY, "file": ".github/workflows/ci.yml", "text": WORKFLOW});
    job_ids(&testbed.github.submit_workflow(&workflow).await)[0]
}

/// Counts the jobs that are killed. Those that need them are skipped.
fn builds(jobs: &[&Value]) -> usize {
    jobs.iter().filter(|job| job["name"] == "build").count()
}

/// Whether the first lines of the job's log say that its runner was lost before.
async fn says_whether_it_is_a_rerun(testbed: &Testbed, job: u64, attempt: usize) {
    // The log of the hook's step is uploaded at its end, before the first step begins.
    let log = loop {
        let log = testbed.github.log(job).await;
        if log.contains("A job started hook has been configured") {
            break log;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let line = format!("ecsrunner: this is attempt {attempt}, because the job's runner was lost before: ");
    assert_eq!(log.contains(&line), attempt > 1, "attempt {attempt}: {log}");
}

const RERUN: &str = "POST /repos/{owner}/{repo}/actions/jobs/{job_id}/rerun";

#[tokio::test]
async fn a_job_whose_agent_is_killed_is_run_again_at_most_twice_and_its_record_says_so() {
    bounded(async {
        let testbed = Testbed::set_up(setup("rerun = true")).await;
        let server = testbed.serve().await;
        let first = submit(&testbed).await;
        for attempt in 1..=3 {
            let is_running = |api: &Listed| {
                api.runners_in("busy").len() == 1
                    && builds(&api.jobs.iter().collect::<Vec<_>>()) == attempt
                    && builds(&api.jobs_in("in_progress")) == 1
            };
            let api = server.api().until(&format!("attempt {attempt} to run"), is_running).await;
            let running = api.jobs_in("in_progress");
            let build = running.iter().find(|job| job["name"] == "build").unwrap();
            says_whether_it_is_a_rerun(&testbed, build["id"].as_u64().unwrap(), attempt).await;
            testbed.kill_agents();
            server.api().until("the job to fail", |api| builds(&api.jobs_in("completed")) == attempt).await;
        }
        let over = |api: &Listed| {
            let texts = api.jobs.iter().filter_map(|job| job["reason"]["text"].as_str());
            texts.filter(|text| text.contains("not run again: it was run again 2 times")).count() == 1
        };
        let api = server.api().until("the rerun to be over", over).await;
        let text = api.job(first).unwrap()["reason"]["text"].as_str().unwrap();
        assert!(text.ends_with("; run again as attempt 2"), "{text}");
        assert_eq!(testbed.github.calls(RERUN).await, 2);
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn without_the_setting_a_job_whose_agent_is_killed_is_not_run_again() {
    bounded(async {
        let testbed = Testbed::set_up(setup("")).await;
        let server = testbed.serve().await;
        submit(&testbed).await;
        server.api().until("the job to run", |api| api.runners_in("busy").len() == 1).await;
        testbed.kill_agents();
        server.api().until("the runner to be gone", |api| api.runners_in("gone").len() == 1).await;
        let api = server.api().until("the job to fail", |api| builds(&api.jobs_in("completed")) == 1).await;
        let texts: Vec<&str> = api.jobs.iter().filter_map(|job| job["reason"]["text"].as_str()).collect();
        assert!(!texts.is_empty() && texts.iter().all(|text| !text.contains("run again")), "{texts:?}");
        assert_eq!(testbed.github.calls(RERUN).await, 0);
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}
