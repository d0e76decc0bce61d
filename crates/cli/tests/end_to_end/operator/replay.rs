//! `ecsrunner replay`: decisions for recorded events, without a deployment or network.

use std::process::Stdio;

use serde_json::{Value, json};

use super::fields;
use crate::command_line::{ecsrunner, told};

const RULES: &str = "version = 1\ndeployment = \"test\"\nrepositories = [\"acme/*\"]\n\
                     [classes.small]\ncpu = 512\nmemory = 1024\ndefault = true\n";
const RUNNER: &str = "ecsr-test-zvwt7jkrb7-01m8bdwpz8ektsv4rrffq69g5f";

fn payload(action: &str, id: u64, labels: &[&str], more: &Value) -> Value {
    let mut job = json!({
        "id": id, "run_id": 7, "run_attempt": 1, "name": "build", "workflow_name": "CI", "labels": labels,
        "status": action, "created_at": "2026-11-26T08:00:00Z", "started_at": "2026-11-26T08:01:00Z",
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        job[key] = value.clone();
    }
    json!({"action": action, "workflow_job": job, "repository": {"id": 1, "full_name": "acme/app", "private": true}})
}

fn replay(text: &str, arguments: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.toml"), RULES).unwrap();
    std::fs::write(dir.path().join("events.json"), text).unwrap();
    let output = ecsrunner(dir.path())
        .args(["replay", "events.json", "--config", "rules.toml"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    told(&output, dir.path())
}

fn lines(events: &[Value]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect()
}

#[test]
fn a_jobs_webhooks_and_its_tasks_changes_come_to_what_they_came_to() {
    let taken = json!({"runner_name": RUNNER, "runner_id": 5});
    let ended = json!({"runner_name": RUNNER, "runner_id": 5, "conclusion": "success", "completed_at": "2026-11-26T08:05:00Z"});
    let task = |status: &str, version: u64, at: &str| {
        json!({"source": "aws.ecs", "detail-type": "ECS Task State Change", "time": at, "detail": {
            "clusterArn": "arn:aws:ecs:eu-west-1:1:cluster/test", "startedBy": "ecsrunner/test",
            "taskArn": "arn:aws:ecs:eu-west-1:1:task/test/0123456789abcdef0123456789abcdef",
            "lastStatus": status, "desiredStatus": status, "version": version,
            "stopCode": "EssentialContainerExited", "containers": [{"name": "runner", "exitCode": 0}],
            "overrides": {"containerOverrides": [{"name": "runner",
                "environment": [{"name": "ECSRUNNER_RUNNER", "value": RUNNER}]}]},
        }})
    };
    let queued = payload("queued", 42, &["self-hosted"], &json!({}));
    let events = [
        queued.clone(),
        queued,
        task("RUNNING", 3, "2026-11-26T08:00:40Z"),
        payload("in_progress", 42, &["self-hosted"], &taken),
        payload("queued", 43, &["self-hosted", "class:gpu"], &json!({})),
        payload("completed", 42, &["self-hosted"], &ended),
        task("STOPPED", 5, "2026-11-26T08:05:10Z"),
    ];
    insta::assert_snapshot!(replay(&lines(&events), &[]), @r"
    exit code 0
    --- stdout
    2026-11-26T08:00:00.000Z  job 42 queued: accepted, recorded
        launch small runner for job 42 (demand 1, supply 0)
    2026-11-26T08:00:00.000Z  job 42 queued: ignored, this was known already
    2026-11-26T08:00:40.000Z  task 0123456789abcdef0123456789abcdef RUNNING, runner ecsr-test-zvwt7jkrb7-01m8bdwpz8ektsv4rrffq69g5f: accepted, recorded
    2026-11-26T08:01:00.000Z  job 42 in_progress on ecsr-test-zvwt7jkrb7-01m8bdwpz8ektsv4rrffq69g5f: accepted, recorded
    2026-11-26T08:01:00.000Z  job 43 queued: refused, runner class `gpu` does not exist: the catalogue has small
    2026-11-26T08:05:00.000Z  job 42 completed with success on ecsr-test-zvwt7jkrb7-01m8bdwpz8ektsv4rrffq69g5f: accepted, recorded
    2026-11-26T08:05:10.000Z  task 0123456789abcdef0123456789abcdef STOPPED, runner ecsr-test-zvwt7jkrb7-01m8bdwpz8ektsv4rrffq69g5f: accepted, recorded
    events: 7, launches: 1, retirements: 0, jobs refused: 1, set aside: 0
    --- stderr
    ");
    let document = replay(&json!(events).to_string(), &["--json"]);
    let document: Value = serde_json::from_str(
        document.split("--- stdout\n").nth(1).unwrap().split("--- stderr").next().unwrap(),
    )
    .unwrap();
    assert_eq!(
        document["summary"],
        json!({"events": 7, "launches": 1, "retirements": 0, "jobs_refused": 1, "set_aside": 0})
    );
    let first = &document["events"][0];
    assert_eq!(fields(first), "at decisions event job outcome reason runner");
    assert_eq!(fields(&first["decisions"][0]), "class decision job reason runner");
    assert_eq!(first["decisions"][0]["decision"], "launch");
}

#[test]
fn what_cannot_be_read_is_set_aside_and_the_rest_goes_on() {
    let events = format!(
        "{}\nnot JSON\n{}\n{}\n",
        payload("queued", 42, &["self-hosted"], &json!({})),
        json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {}}),
        payload("queued", 43, &["self-hosted"], &json!({})),
    );
    insta::assert_snapshot!(replay(&events, &[]), @r"
    exit code 1
    --- stdout
    2026-11-26T08:00:00.000Z  job 42 queued: accepted, recorded
        launch small runner for job 42 (demand 1, supply 0)
    2026-11-26T08:00:00.000Z  job 43 queued: accepted, recorded
        launch small runner for job 43 (demand 2, supply 1)
    events: 2, launches: 2, retirements: 0, jobs refused: 0, set aside: 2
    --- stderr
    events.json, document 2: the document that starts in line 2 is not JSON: expected ident
    events.json, document 3: the event has source `aws.s3` and detail type `Object Created`: expected source `ecsrunner.webhook`, or `aws.ecs` with `ECS Task State Change`
    ");
    insta::assert_snapshot!(replay("", &[]), @r"
    exit code 2
    --- stdout
    --- stderr
    error: events.json contains no event

    hint: expected EventBridge events or `workflow_job` payloads, in JSON
    ");
}

#[test]
fn a_surplus_is_retired_when_its_grace_is_over() {
    let cancelled =
        json!({"conclusion": "cancelled", "runner_name": null, "completed_at": "2026-11-26T08:00:20Z"});
    let events = [
        payload("queued", 42, &["self-hosted"], &json!({})),
        payload("completed", 42, &["self-hosted"], &cancelled),
        payload("queued", 43, &["self-hosted"], &json!({"created_at": "2026-11-26T09:00:00Z"})),
    ];
    insta::assert_snapshot!(replay(&lines(&events), &[]), @r"
    exit code 0
    --- stdout
    2026-11-26T08:00:00.000Z  job 42 queued: accepted, recorded
        launch small runner for job 42 (demand 1, supply 0)
    2026-11-26T08:00:20.000Z  job 42 completed with cancelled: accepted, recorded
    2026-11-26T08:00:50.000Z  time passes
        retire runner ecsr-test-zvwt7jkrb7-00000000000000000000000001 (supply 1, demand 0)
    2026-11-26T09:00:00.000Z  job 43 queued: accepted, recorded
        launch small runner for job 43 (demand 1, supply 0)
    events: 3, launches: 2, retirements: 1, jobs refused: 0, set aside: 0
    --- stderr
    ");
}

#[test]
fn mistakes_in_the_rules_are_told() {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in [
        ("events.json", "{}"),
        ("settings.json", r#"{"version": 1, "deployment": "T!", "repositories": []}"#),
        ("classes.json", r#"{"small": {"cpu": 512, "memory": 1024}}"#),
    ] {
        std::fs::write(dir.path().join(file), text).unwrap();
    }
    let run = |arguments: &[&str]| {
        let output = ecsrunner(dir.path()).arg("replay").args(arguments).output().unwrap();
        told(&output, dir.path())
    };
    insta::assert_snapshot!(run(&["events.json", "--settings", "settings.json", "--classes", "classes.json"]), @r"
    exit code 2
    --- stdout
    --- stderr
    error: settings.json has 2 mistakes:
      deployment: deployment `T!` is not valid: 1 to 20 characters of a-z, 0-9 and -, beginning and ending with a letter or digit
      repositories is empty: at least one is needed
    ");
    insta::assert_snapshot!(run(&["none.json", "--config", "none.toml"]), @r"
    exit code 2
    --- stdout
    --- stderr
    error: none.json cannot be read
      caused by: No such file or directory (os error 2)
    ");
}
