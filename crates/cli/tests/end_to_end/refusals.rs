//! Jobs that may not run here: they are refused when their webhook arrives, and
//! in the runner if GitHub gives them to one anyway.

use std::fs;

use serde_json::{Value, json};

use crate::testbed::{Payload, REPOSITORY, Setup, Testbed, bounded, job_ids, states};

#[tokio::test]
async fn what_may_not_run_is_refused_with_its_reason_and_launches_nothing() {
    bounded(async {
        let classes = "[classes.small]\ncpu = 512\nmemory = 1024\n\
                       [classes.private]\ncpu = 512\nmemory = 1024\nrepositories = [\"acme/other\"]\n";
        let testbed = Testbed::set_up(Setup { classes, ..Setup::default() }).await;
        let server = testbed.serve_unheard().await;
        let small = ["self-hosted", "class:small"];
        let cases = [
            (Payload::queued(1, &["self-hosted", "class:gpu"]), "class_unknown"),
            (Payload::queued(2, &["ubuntu-latest"]), "labels_not_ours"),
            (Payload::queued(3, &[]), "labels_empty"),
            (Payload::queued(4, &["self-hosted", "class:small", "gpu"]), "label_not_offered"),
            (Payload::queued(5, &["self-hosted"]), "class_missing"),
            (Payload::queued(6, &["self-hosted", "class:private"]), "class_not_allowed"),
            (Payload::queued(7, &small).repository("other/app", true), "repository_not_allowed"),
            (Payload::queued(8, &small).repository("acme/open", false), "repository_public"),
        ];
        for (i, (payload, code)) in (1..).zip(cases) {
            let (status, answer) = server.deliver("workflow_job", payload).await;
            assert_eq!(
                (status, &answer["outcome"], &answer["reason"]["code"]),
                (202, &json!("refused"), &json!(code)),
                "{answer}"
            );
            let api = server.api().listed().await;
            let job = api.job(i).unwrap();
            assert_eq!((&job["state"], &job["reason"]), (&json!("refused"), &answer["reason"]));
            assert_eq!(states(job), ["refused"]);
        }
        let api = server.api().listed().await;
        let texts: Vec<String> =
            api.jobs.iter().rev().map(|job| format!("{} {}", job["id"], job["reason"]["text"])).collect();
        insta::assert_snapshot!(texts.join("\n"), @r#"
        1 "runner class `gpu` does not exist: the catalogue has private, small"
        2 "the job lacks the label this deployment requires: self-hosted"
        3 "the job names no label"
        4 "class `small` does not offer the label `gpu`: it offers class:small,linux,self-hosted,x64"
        5 "the job names no class, and no class is the default: add one of class:private, class:small"
        6 "runner class `private` does not serve repository `acme/app`"
        7 "repository `other/app` is not allowed on this deployment"
        8 "repository `acme/open` is public, and this deployment refuses public repositories"
        "#);
        assert!(api.runners.is_empty());
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

/// Submits a job that reports in its log what ran, with any executor.
async fn submit_telling_workflow(testbed: &Testbed, more: Value) -> u64 {
    let files = [
        ("action.yml", "name: tell\nruns: {using: node20, pre: pre.js, main: main.js, post: post.js}\n"),
        ("pre.js", "console.log('a pre script ran')"),
        ("main.js", "console.log('a main script ran')"),
        ("post.js", "console.log('a post script ran')"),
    ];
    testbed.github.put_action("acme/tell@v1", &files).await;
    let text = "
name: ci
on: [push, pull_request, workflow_dispatch]
jobs:
  build:
    runs-on: [self-hosted, 'class:small']
    steps:
      - name: first
        run: echo a step ran
      - uses: acme/tell@v1
      - name: last
        if: always()
        run: echo an always step ran
";
    let mut body = json!({
        "repository": REPOSITORY,
        "file": ".github/workflows/ci.yml",
        "text": text,
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    job_ids(&testbed.github.submit_workflow(&body).await)[0]
}

const EXECUTED: [&str; 5] =
    ["a step ran", "an always step ran", "a pre script ran", "a main script ran", "a post script ran"];

const STEPS: &[(&str, &str)] = &[("ECSRUNNER_SIM_EXECUTOR", "steps")];

/// Returns the exit codes of all agents.
fn exits(testbed: &Testbed) -> Vec<String> {
    let tasks = fs::read_dir(testbed.state().join("tasks")).unwrap();
    tasks.map(|task| fs::read_to_string(task.unwrap().path().join("exit")).unwrap()).collect()
}

/// Asserts that the job ended at GitHub without a step, and that its runner is gone.
async fn was_refused_by_the_hook(testbed: &Testbed, job: u64, why: &str) {
    let ended = testbed.github.wait_for(job, "completed").await;
    assert_eq!(ended["starts"], 1);
    assert_ne!(ended["conclusion"], "success");
    let log = testbed.github.log(job).await;
    assert!(log.contains("ecsrunner refuses this job: ") && log.contains(why), "{log}");
    for sign in EXECUTED {
        assert!(!log.contains(sign), "{sign}: {log}");
    }
}

#[tokio::test]
async fn a_job_that_policy_allows_executes_its_steps_pre_and_always_ones_too() {
    bounded(async {
        let testbed = Testbed::set_up(Setup { listener: STEPS, ..Setup::default() }).await;
        let server = testbed.serve().await;
        let job = submit_telling_workflow(&testbed, json!({})).await;
        let ended = testbed.github.wait_for(job, "completed").await;
        let log = testbed.github.log(job).await;
        assert_eq!(ended["conclusion"], "success", "{log}");
        for sign in EXECUTED {
            assert!(log.contains(sign), "{sign}: {log}");
        }
        assert!(!log.contains("ecsrunner refuses"), "{log}");
        testbed.ends_with_nothing_left(server).await;
        assert_eq!(exits(&testbed), ["0"]);
    })
    .await;
}

#[tokio::test]
async fn a_forks_job_executes_no_step_not_even_pre_and_always_ones() {
    bounded(async {
        let testbed = Testbed::set_up(Setup { listener: STEPS, ..Setup::default() }).await;
        let server = testbed.serve().await;
        let fork = json!({"event": "pull_request", "head_repository": "stranger/app"});
        let job = submit_telling_workflow(&testbed, fork).await;
        was_refused_by_the_hook(&testbed, job, "the run's head is in the fork `stranger/app`").await;
        let api = server.api().until("the runner to be gone", |api| api.runners_in("gone").len() == 1).await;
        assert_eq!((&api.runners[0]["ending"], &api.runners[0]["job"]), (&json!("completed"), &json!(job)));
        // GitHub says that the job failed. Our record says why.
        let told = api.job(job).unwrap();
        assert_eq!((&told["conclusion"], api.reason(job)), (&json!("failure"), Some("job_refused")));
        testbed.ends_with_nothing_left(server).await;
        assert_eq!(exits(&testbed), ["20"]);
    })
    .await;
}

#[tokio::test]
async fn a_job_of_an_event_that_is_not_allowed_executes_no_step() {
    bounded(async {
        let setup = Setup { listener: STEPS, top: "events = [\"push\"]", ..Setup::default() };
        let testbed = Testbed::set_up(setup).await;
        let server = testbed.serve().await;
        let event = json!({"event": "workflow_dispatch"});
        let job = submit_telling_workflow(&testbed, event).await;
        was_refused_by_the_hook(&testbed, job, "event `workflow_dispatch` is not allowed").await;
        testbed.ends_with_nothing_left(server).await;
        assert_eq!(exits(&testbed), ["20"]);
    })
    .await;
}

#[tokio::test]
async fn another_repositorys_job_that_github_gives_to_our_runner_executes_no_step() {
    bounded(async {
        let setup = Setup {
            listener: STEPS,
            repositories: r#"["acme/app"]"#,
            top: r#"registration = { organization = { name = "acme", group = 1 } }"#,
            limits: "surplus_grace_secs = 300",
            ..Setup::default()
        };
        let testbed = Testbed::set_up(setup).await;
        let server = testbed.serve().await;
        testbed.github.faults(json!({"assignment_paused": true})).await;
        let ours = testbed.github.submit_one(&["self-hosted", "class:small"], 10).await;
        testbed.github.wait("online=1").await;
        testbed.github.cancel(ours).await;
        let stranger = json!({"repository": "acme/other"});
        let job = submit_telling_workflow(&testbed, stranger).await;
        server.api().until("it to be refused", |api| api.reason(job) == Some("repository_not_allowed")).await;
        testbed.github.faults(json!({"assignment_paused": false})).await;
        was_refused_by_the_hook(&testbed, job, "repository `acme/other` is not allowed").await;
        let api = server.api().until("the runner to be gone", |api| api.runners_in("gone").len() == 1).await;
        // The end of the refused job is recorded too.
        let told = api.job(job).unwrap();
        assert_eq!((&told["state"], &told["runner"]), (&json!("refused"), &api.runners[0]["name"]));
        testbed.ends_with_nothing_left(server).await;
        assert_eq!(exits(&testbed), ["20"]);
    })
    .await;
}
