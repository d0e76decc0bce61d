//! Replays of whole recordings. `tests/end_to_end` covers the output of the command.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine};
use ecsrunner_core::rules::class::{Catalogue, ClassEntry};
use ecsrunner_core::rules::settings::{Settings, SettingsEntry};
use jiff::SignedDuration;
use serde_json::json;

use super::*;

/// A runner of the recorded deployment, named 1 second after [`at`] zero.
const RUNNER: &str = "ecsr-ci-o55gcjbgta-01m3rw3f780000000000000001";
/// A runner that was named 1 hour earlier.
const OLDER: &str = "ecsr-ci-o55gcjbgta-01m3rrnjm00000000000000001";

fn rules() -> Ruleset {
    let entry: SettingsEntry = serde_json::from_value(json!({
        "version": 1, "deployment": "ci", "repositories": ["acme/*"], "limits": {"max_runners": 2},
    }))
    .unwrap();
    let classes: BTreeMap<String, ClassEntry> =
        serde_json::from_value(json!({"small": {"cpu": 512, "memory": 1024}})).unwrap();
    let (catalogue, _) = Catalogue::read(&classes);
    Ruleset { settings: Settings::read(&entry).unwrap(), catalogue, subnets: Vec::new(), images: None }
}

fn at(secs: i64) -> String {
    let zero: Timestamp = "2026-09-30T10:00:00Z".parse().unwrap();
    (zero + SignedDuration::from_secs(secs)).to_string()
}

fn payload(action: &str, id: u64, time: &str, secs: i64) -> Value {
    let mut payload = json!({
        "action": action,
        "workflow_job": {"id": id, "run_id": 1, "name": "build", "labels": ["self-hosted", "class:small"]},
        "repository": {"full_name": "acme/app", "private": true},
    });
    payload["workflow_job"][time] = at(secs).into();
    payload
}

fn queued(id: u64, secs: i64) -> Value {
    payload("queued", id, "created_at", secs)
}

fn in_progress(id: u64, runner: &str, secs: i64) -> Value {
    let mut payload = payload("in_progress", id, "started_at", secs);
    payload["workflow_job"]["runner_name"] = runner.into();
    payload
}

fn completed(id: u64, runner: Option<&str>, secs: i64) -> Value {
    let mut payload = payload("completed", id, "completed_at", secs);
    let conclusion = if runner.is_some() { "success" } else { "cancelled" };
    payload["workflow_job"]["conclusion"] = conclusion.into();
    payload["workflow_job"]["runner_name"] = runner.into();
    payload
}

fn webhook(event: &str, body: &Value, secs: i64) -> Value {
    let encode = |text: &str| BASE64_STANDARD.encode(text);
    json!({
        "source": "ecsrunner.webhook", "detail-type": event, "time": at(secs),
        "detail": {"v": 1, "action": "other", "event": encode(event), "delivery": "", "signature": "",
                   "content_type": "", "body": encode(&body.to_string())},
    })
}

fn task(status: &str, runner: &str, secs: i64) -> Value {
    json!({
        "source": "aws.ecs", "detail-type": "ECS Task State Change", "time": at(secs),
        "detail": {
            "clusterArn": "arn:aws:ecs:eu-west-1:1:cluster/ci", "startedBy": "ecsrunner/ci",
            "taskArn": "arn:aws:ecs:eu-west-1:1:task/ci/0123456789abcdef", "lastStatus": status,
            "version": secs, "stopCode": "EssentialContainerExited",
            "containers": [{"name": "runner", "exitCode": 0}],
            "overrides": {"containerOverrides": [
                {"name": "runner", "environment": [{"name": "ECSRUNNER_RUNNER", "value": runner}]}
            ]},
        },
    })
}

fn told(documents: &[Value]) -> String {
    let lines: Vec<String> = documents.iter().map(ToString::to_string).collect();
    replay_events(&lines.join("\n"), &rules()).text()
}

#[test]
fn the_three_forms_of_an_event_come_to_the_same() {
    let bare = queued(7, 0);
    let expected = told(std::slice::from_ref(&bare));
    insta::assert_snapshot!(expected, @r"
    2026-09-30T10:00:00.000Z  job 7 queued: accepted, recorded
        launch small runner for job 7 (demand 1, supply 0)
    events: 1, launches: 1, retirements: 0, jobs refused: 0, set aside: 0
    ");
    assert_eq!(told(&[webhook("workflow_job", &bare, 0)]), expected);
    assert_eq!(told(&[json!([bare])]), expected);
    assert_eq!(replay_events(&serde_json::to_string_pretty(&bare).unwrap(), &rules()).text(), expected);
}

#[test]
fn webhooks_alone_free_a_runners_place_when_its_job_ends() {
    let told = told(&[
        queued(7, 0),
        in_progress(7, RUNNER, 5),
        queued(8, 6),
        completed(7, Some(RUNNER), 9),
        queued(9, 10),
    ]);
    insta::assert_snapshot!(told, @r"
    2026-09-30T10:00:00.000Z  job 7 queued: accepted, recorded
        launch small runner for job 7 (demand 1, supply 0)
    2026-09-30T10:00:05.000Z  job 7 in_progress on ecsr-ci-o55gcjbgta-01m3rw3f780000000000000001: accepted, recorded
    2026-09-30T10:00:06.000Z  job 8 queued: accepted, recorded
        launch small runner for job 8 (demand 1, supply 0)
    2026-09-30T10:00:09.000Z  job 7 completed with success on ecsr-ci-o55gcjbgta-01m3rw3f780000000000000001: accepted, recorded
    2026-09-30T10:00:10.000Z  job 9 queued: accepted, recorded
        launch small runner for job 9 (demand 2, supply 1)
    events: 5, launches: 3, retirements: 0, jobs refused: 0, set aside: 0
    ");
}

#[test]
fn a_job_beyond_the_limit_waits_until_another_one_needs_its_runner_no_more() {
    let told = told(&[queued(7, 0), queued(8, 1), queued(9, 2), completed(7, None, 3)]);
    insta::assert_snapshot!(told, @r"
    2026-09-30T10:00:00.000Z  job 7 queued: accepted, recorded
        launch small runner for job 7 (demand 1, supply 0)
    2026-09-30T10:00:01.000Z  job 8 queued: accepted, recorded
        launch small runner for job 8 (demand 2, supply 1)
    2026-09-30T10:00:02.000Z  job 9 queued: accepted, recorded
        job 9 waits: the deployment's limit of 2 runners is reached
    2026-09-30T10:00:03.000Z  job 7 completed with cancelled: accepted, recorded
        job 9 waits: a runner is starting
    events: 4, launches: 2, retirements: 0, jobs refused: 0, set aside: 0
    ");
}

#[test]
fn a_job_whose_queued_came_late_waits_for_a_word_of_githubs() {
    insta::assert_snapshot!(told(&[webhook("workflow_job", &queued(7, 0), 700)]), @r"
    2026-09-30T10:11:40.000Z  job 7 queued: accepted, recorded
        job 7 waits: the event is old: GitHub is asked whether the job is still queued
        asks GitHub about job 7
    events: 1, launches: 0, retirements: 0, jobs refused: 0, set aside: 0
    ");
}

#[test]
fn what_starts_no_runner_is_told_and_changes_nothing() {
    insta::assert_snapshot!(told(&[webhook("ping", &json!({}), 0), task("PENDING", RUNNER, 1)]), @r"
    2026-09-30T10:00:00.000Z  ping: accepted, GitHub's ping was understood
    2026-09-30T10:00:01.000Z  task PENDING: ignored, event `task.PENDING of ecsrunner/ci` is not one that starts runners
    events: 2, launches: 0, retirements: 0, jobs refused: 0, set aside: 0
    ");
}

#[test]
fn a_runner_from_before_the_recording_plays_no_part_in_it() {
    let stopped = told(&[queued(7, 0), task("STOPPED", OLDER, 5), in_progress(7, RUNNER, 6)]);
    assert!(stopped.contains(&format!("STOPPED, runner {OLDER}: ignored, ")), "{stopped}");
    assert!(stopped.contains("events: 3, launches: 1, retirements: 0,"), "{stopped}");
    // A runner that was named later is matched with the one launched here.
    let failed = told(&[queued(7, 0), task("STOPPED", RUNNER, 5)]);
    assert!(failed.contains(&format!("STOPPED, runner {RUNNER}: accepted, ")), "{failed}");
}

#[test]
fn a_runner_that_was_retired_here_is_not_taken_for_a_later_one() {
    let told = told(&[
        queued(7, 0),
        completed(7, None, 10),
        task("RUNNING", RUNNER, 45),
        queued(8, 60),
        task("STOPPED", RUNNER, 70),
        queued(9, 80),
    ]);
    // Job 9 needs a second runner, because the runner of job 8 still exists.
    assert!(told.contains("launch small runner for job 9 (demand 2, supply 1)"), "{told}");
    assert!(told.contains("events: 6, launches: 3, retirements: 1,"), "{told}");
}

#[test]
fn time_never_runs_backwards() {
    let told = told(&[queued(7, 60), queued(8, 30)]);
    assert!(told.contains("2026-09-30T10:01:00.000Z  job 8 queued: accepted, recorded"), "{told}");
}
