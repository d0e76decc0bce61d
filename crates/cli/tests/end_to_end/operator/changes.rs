//! Commands that change a local server, with the token of its state directory.

use std::process::Output;

use serde_json::{Value, json};

use super::{CLASSES, fields, json_told, output_with};
use crate::testbed::{Server, Setup, TOKEN, Testbed, bounded};

/// Runs a command with access to the state directory.
async fn run(testbed: &Testbed, arguments: &[&str]) -> Output {
    let state = testbed.state().display().to_string();
    output_with(&[("ECSRUNNER_LOCAL", &state), ("GITHUB_API_URL", testbed.github_url())], arguments).await
}

pub(crate) async fn told_by(testbed: &Testbed, arguments: &[&str]) -> String {
    let output = run(testbed, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the exit code and stderr of a command that prints nothing to stdout.
async fn refused(testbed: &Testbed, arguments: &[&str]) -> (i32, String) {
    let output = run(testbed, arguments).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

async fn served() -> (Testbed, Server) {
    let testbed = Testbed::set_up(Setup { classes: CLASSES, ..Setup::default() }).await;
    let server = testbed.serve().await;
    (testbed, server)
}

#[tokio::test]
async fn launches_are_paused_and_let_go_on_and_a_restart_changes_nothing() {
    bounded(async {
        let (testbed, server) = served().await;
        let told = told_by(&testbed, &["pause"]).await;
        assert!(told.contains("stops launching runners"), "{told}");
        assert_eq!(json_told(&run(&testbed, &["pause", "--json"]).await), json!({"paused": true}));
        // The pause outlasts the server.
        server.terminate().await;
        let server = testbed.serve().await;
        let job = testbed.github.submit_one(&["self-hosted"], 100).await;
        server.api().until("a job to wait", |api| api.reason(job) == Some("paused")).await;
        let why = json_told(&run(&testbed, &["why", &job.to_string(), "--json"]).await);
        assert_eq!(why["because"]["code"], "paused");
        assert_eq!(why["github"]["status"], "queued", "GitHub is asked about what is open");
        assert_eq!(why["next"], "run `ecsrunner resume` to resume launches");
        let status = json_told(&run(&testbed, &["cluster", "status", "--json"]).await);
        assert_eq!((&status["paused"], &status["deployment"]), (&json!(true), &json!("test")));

        let told = told_by(&testbed, &["resume"]).await;
        assert!(told.contains("resumes launching runners"), "{told}");
        assert_eq!(json_told(&run(&testbed, &["resume", "--json"]).await), json!({"paused": false}));
        server.api().until("the job to be done", |api| api.is_done(1)).await;
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_runner_that_executes_a_job_is_stopped_by_force_alone_and_with_a_word_of_consent() {
    bounded(async {
        let (testbed, server) = served().await;
        let job = testbed.github.submit_one(&["self-hosted"], 60_000).await;
        let listed = server.api().until("a busy runner", |api| !api.runners_in("busy").is_empty()).await;
        let name = listed.runners_in("busy")[0]["name"].as_str().unwrap().to_owned();

        let status = json_told(&run(&testbed, &["cluster", "status", "--json"]).await);
        assert_eq!(fields(&status), "cluster deployment limits paused runners");
        assert_eq!(fields(&status["runners"][0]), "capacity_provider class runners state task_status vcpus");
        assert_eq!(fields(&status["limits"][0]), "in_use limit name set_by unit");
        assert_eq!(status["runners"][0]["state"], "busy");
        assert_eq!(status["limits"][0]["in_use"], 1.0);
        let logs = told_by(&testbed, &["runners", "logs", &name[name.len() - 8..]]).await;
        assert!(logs.contains("Running job: "), "{logs}");

        let (code, words) = refused(&testbed, &["runners", "stop", &name]).await;
        assert_eq!(code, 1);
        assert!(words.contains(&format!("{name} runs job {job} and was not stopped")), "{words}");
        let (code, words) = refused(&testbed, &["runners", "stop", &name, "--force"]).await;
        assert_eq!(code, 2);
        assert!(words.contains(&format!("its job {job} fails")), "{words}");
        assert!(words.contains("add --yes to confirm"), "{words}");
        assert_eq!(testbed.github.jobs().await[0]["state"], "in_progress", "it was not confirmed");

        let told = told_by(&testbed, &["drain"]).await;
        assert!(told.contains("retired runners: 0; busy runners, which end after their jobs: 1"), "{told}");
        let drained = json_told(&run(&testbed, &["drain", "--json"]).await);
        assert_eq!(drained, json!({"paused": true, "retired": [], "busy": [name]}));
        let forced = ["runners", "stop", &name, "--force", "--yes", "--json"];
        let stopped = json_told(&run(&testbed, &forced).await);
        assert_eq!(stopped, json!({"runner": name, "stopped": "stopped"}));
        let listed = server
            .api()
            .until("the runner to be gone", |api| api.runners.iter().all(|it| it["state"] == "gone"))
            .await;
        assert_eq!(listed.runners[0]["ending"], "stopped_by_operator");
        let told = told_by(&testbed, &["runners", "stop", &name]).await;
        assert_eq!(told, format!("{name} is already gone\n"));
        let stopped = json_told(&run(&testbed, &["runners", "stop", &name, "--json"]).await);
        assert_eq!(stopped, json!({"runner": name, "stopped": "already_gone"}));
    })
    .await;
}

#[tokio::test]
async fn the_url_alone_changes_nothing() {
    bounded(async {
        let (_scene, server) = served().await;
        let url = server.url("");
        let denied = output_with(&[("ECSRUNNER_LOCAL", &url)], &["pause"]).await;
        let words = String::from_utf8(denied.stderr).unwrap();
        assert_eq!(denied.status.code(), Some(3), "{words}");
        assert!(
            words.contains("pausing needs the state directory") && words.contains("--local DIR"),
            "{words}"
        );
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for (path, body) in [
            ("pause", json!({"paused": true})),
            ("runners/ecsr-test-abcdefghij-01arz3ndektsv4rrffq69g5fav/stop", json!({"force": true})),
            ("jobs/7/retry", json!({})),
        ] {
            for token in [None, Some(""), Some("another")] {
                let mut asked = client.post(server.url(&format!("/api/v1/{path}"))).json(&body);
                if let Some(token) = token {
                    asked = asked.bearer_auth(token);
                }
                assert_eq!(asked.send().await.unwrap().status().as_u16(), 401, "{path} with {token:?}");
            }
        }
        let (_, status) = server.api().get("/api/v1/status").await;
        assert_eq!(status["paused"], false);
        let nowhere = output_with(&[("ECSRUNNER_LOCAL", "/nowhere")], &["jobs", "list"]).await;
        let words = String::from_utf8(nowhere.stderr).unwrap();
        assert_eq!(nowhere.status.code(), Some(2), "{words}");
        assert!(words.contains("/nowhere is not a state directory"), "{words}");
    })
    .await;
}

#[tokio::test]
async fn a_refused_job_is_served_once_its_class_is_there_and_one_of_others_labels_once_it_is_tried_again() {
    bounded(async {
        let (mut testbed, server) = served().await;
        let of_class = testbed.github.submit_one(&["self-hosted", "class:gpu"], 100).await;
        // It names no class, so it may be meant for others' runners.
        let of_label = testbed.github.submit_one(&["self-hosted", "cuda"], 100).await;
        server.api().until("a refusal", |api| api.reason(of_class) == Some("class_unknown")).await;
        server.api().until("a refusal", |api| api.reason(of_label) == Some("label_not_offered")).await;
        let (code, words) = refused(&testbed, &["jobs", "retry", &of_class.to_string()]).await;
        assert_eq!(code, 1);
        assert!(words.contains("refused again: runner class `gpu` does not exist"), "{words}");

        server.terminate().await;
        testbed.reconfigure(
            "[classes.small]\ncpu = 512\nmemory = 1024\ndefault = true\nlabels = [\"cuda\"]\n\
             [classes.gpu]\ncpu = 1024\nmemory = 2048\n",
        );
        let server = testbed.serve().await;
        server.api().until("the job of the class to be done", |api| api.is_done(1)).await;
        let told = told_by(&testbed, &["jobs", "retry", &of_label.to_string()]).await;
        assert!(told.contains("gets a runner if GitHub confirms that it is still queued"), "{told}");
        let listed = server.api().until("both to be done", |api| api.is_done(2)).await;
        for job in [of_class, of_label] {
            let stages = crate::testbed::states(listed.job(job).unwrap());
            assert_eq!(stages, ["refused", "queued", "in_progress", "completed"]);
        }
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_job_that_has_ended_is_run_again_by_a_user_who_may() {
    bounded(async {
        let (testbed, server) = served().await;
        let job = testbed.github.submit_one(&["self-hosted"], 50).await;
        server.api().until("the job to be done", |api| api.is_done(1)).await;
        let text = job.to_string();
        let (code, words) = refused(&testbed, &["jobs", "retry", &text]).await;
        assert_eq!(code, 3);
        assert!(words.contains("GH_TOKEN") && words.contains(&format!("/job/{job}")), "{words}");

        let state = testbed.state().display().to_string();
        let variables = [
            ("ECSRUNNER_LOCAL", state.as_str()),
            ("GITHUB_API_URL", testbed.github_url()),
            ("GH_TOKEN", TOKEN),
        ];
        let retried: Value = json_told(&output_with(&variables, &["jobs", "retry", &text, "--json"]).await);
        assert_eq!(retried, json!({"job": job, "retried": "run_again"}));
        server.api().until("both to be done", |api| api.is_done(2)).await;
        let (code, words) = refused(&testbed, &["jobs", "retry", "4711"]).await;
        assert_eq!(code, 4, "{words}");
    })
    .await;
}
