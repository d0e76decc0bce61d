//! The agent in an ECS task: how it gets its task id and its credentials.

use std::net::TcpListener;

use serde_json::json;

use crate::ecs::{Ecs, Told};
use crate::harness::{Agent, COMPLETE, CONNECT, Ended, RUN};
use crate::table::SECRET_ACCESS_KEY;

const JOB: [&str; 3] = [CONNECT, RUN, COMPLETE];

fn run(ecs: Ecs) -> Ended {
    Agent::with_listener(&JOB).in_task(ecs).run()
}

#[test]
fn a_task_learns_its_id_and_its_credentials_from_ecs_and_completes_its_job_in_two_lives() {
    let ended = run(Ecs::start()).ended_with(0, "completed");
    assert_eq!(
        ended.messages(),
        [
            "agent started",
            "task known",
            "boot item taken",
            "executing again without AWS",
            "listener started",
            "listening for jobs",
            "job running",
            "job ended",
            "listener ended",
            "agent ended",
        ]
    );
}

#[test]
fn ecs_may_need_a_moment() {
    let moment = [Told::Status(500), Told::Status(429)];
    run(Ecs::start().metadata_first(&moment).credentials_first(&moment)).ended_with(0, "completed");
}

#[test]
fn metadata_that_never_come_are_an_ending_of_their_own_within_the_boot_limit() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    Agent::with_listener(&JOB)
        .in_task(Ecs::start())
        .env("ECS_CONTAINER_METADATA_URI_V4", format!("http://{closed}/v4/x"))
        .env("ECSRUNNER_BOOT_LIMIT_SECS", 1)
        .run()
        .ended_with(23, "task_unknown");
}

#[test]
fn metadata_that_cannot_be_right_are_told_in_one_line() {
    for (metadata, words) in [
        (Told::Status(404), "the endpoint of the task metadata answers with HTTP status 404"),
        (Told::Json(json!({"Cluster": "c"})), "missing field `TaskARN`"),
        (
            Told::Json(json!({"TaskARN": "arn:aws:ecs:r:1:cluster/c"})),
            "`arn:aws:ecs:r:1:cluster/c` is not a task's ARN",
        ),
        (Told::Json(json!("lies")), "cannot be used: invalid type"),
    ] {
        let ended = run(Ecs::start().metadata_first(&[metadata])).ended_with(23, "task_unknown");
        assert!(ended.lines.last().unwrap().contains(words), "{words}: {}", ended.text());
    }
}

#[test]
fn credentials_that_cannot_be_right_are_told_without_what_they_hold() {
    let broken = Told::Json(json!({"SecretAccessKey": SECRET_ACCESS_KEY, "AccessKeyId": 1}));
    for credentials in [Told::Status(403), broken] {
        let ended = run(Ecs::start().credentials_first(&[credentials])).ended_with(23, "task_unknown");
        assert!(ended.text().contains("task credentials"), "{}", ended.text());
        assert!(!ended.text().contains(SECRET_ACCESS_KEY), "{}", ended.text());
        assert!(!ended.text().contains("/v2/credentials"), "{}", ended.text());
    }
}
