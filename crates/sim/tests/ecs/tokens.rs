//! Client tokens.

use ecsrunner_world::ecs::{CAPACITY_UNAVAILABLE, Reply, Shortage};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Cloud, SECOND, by_seconds, options, request};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn with_token(token: &str) -> Value {
    request(json!({"clientToken": token}))
}

/// Whether the token still returns its first task.
fn is_remembered(cloud: &mut Cloud, token: &str) -> bool {
    let before = cloud.ecs.tasks().count();
    cloud.answer("RunTask", &with_token(token));
    cloud.ecs.tasks().count() == before
}

#[test]
fn the_same_token_and_parameters_get_the_same_answer_and_no_second_task() {
    let mut cloud = Cloud::new();
    let first = cloud.answer("RunTask", &with_token("a"));
    cloud.pass(HOUR);
    assert_eq!(cloud.answer("RunTask", &with_token("a")), first);
    assert_eq!(cloud.ecs.alive(), 1);
}

#[test]
fn the_same_token_with_other_parameters_is_a_conflict_that_names_the_task() {
    let mut cloud = Cloud::new();
    let arn = cloud.answer("RunTask", &with_token("a"))["tasks"][0]["taskArn"].clone();
    let other = request(json!({"clientToken": "a", "startedBy": "other"}));
    let Reply::Refusal(conflict) = cloud.call("RunTask", &other) else { panic!() };
    assert_eq!(conflict.status(), 400);
    let body = conflict.body();
    assert_eq!(body["__type"], "ConflictException");
    assert_eq!(body["resourceIds"], json!([arn]));
    assert_eq!(cloud.ecs.alive(), 1);
}

#[test]
fn failures_are_replayed_although_capacity_is_back() {
    let mut cloud = Cloud::new();
    cloud.ecs.faults_mut().short.push(Shortage::default());
    let first = cloud.answer("RunTask", &with_token("a"));
    assert_eq!(first, json!({"tasks": [], "failures": [{"reason": CAPACITY_UNAVAILABLE}]}));
    cloud.ecs.faults_mut().short.clear();
    assert_eq!(cloud.answer("RunTask", &with_token("a")), first);
    assert_eq!(cloud.answer("RunTask", &with_token("b"))["failures"], json!([]));
    let other = request(json!({"clientToken": "a", "count": 2}));
    let Reply::Refusal(conflict) = cloud.call("RunTask", &other) else { panic!() };
    assert_eq!(conflict.resource_ids, [""; 0]);
}

#[test]
fn an_exception_leaves_the_token_unused() {
    let mut cloud = Cloud::new();
    cloud.refusal("RunTask", &request(json!({"clientToken": "a", "count": 11})));
    assert_eq!(cloud.answer("RunTask", &with_token("a"))["tasks"].as_array().unwrap().len(), 1);
}

#[test]
fn a_token_is_of_one_cluster() {
    let mut cloud = Cloud::new();
    cloud.answer("RunTask", &with_token("a"));
    cloud.answer("RunTask", &request(json!({"clientToken": "a", "cluster": "default"})));
    assert_eq!(cloud.ecs.alive(), 2);
    let by_arn =
        json!({"clientToken": "a", "cluster": "arn:aws:ecs:eu-central-1:123456789012:cluster/runners"});
    cloud.answer("RunTask", &request(by_arn));
    assert_eq!(cloud.ecs.alive(), 2, "the same cluster by its ARN");
}

#[test]
fn a_token_is_remembered_for_24_hours_while_its_task_lives() {
    let mut cloud = Cloud::new();
    cloud.answer("RunTask", &with_token("a"));
    cloud.pass(HOUR * 24 - SECOND);
    assert!(is_remembered(&mut cloud, "a"));
    cloud.pass(SECOND);
    assert!(!is_remembered(&mut cloud, "a"));
}

#[test]
fn a_token_is_remembered_for_an_hour_after_its_task() {
    let mut options = options();
    options.durations = by_seconds();
    let mut cloud = Cloud::with(options);
    let id = cloud.running(json!({"clientToken": "a"}));
    cloud.ecs.exit(&id, 0, cloud.now).unwrap();
    cloud.stopped(&id);
    cloud.pass(HOUR - SECOND);
    assert!(is_remembered(&mut cloud, "a"));
    cloud.pass(SECOND);
    assert!(!is_remembered(&mut cloud, "a"));
}
