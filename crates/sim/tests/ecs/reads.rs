//! DescribeTasks and ListTasks.

use std::collections::BTreeSet;
use std::time::Duration;

use ecsrunner_world::ecs::Lags;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Cloud, SECOND, by_seconds, options};

fn lagging() -> Cloud {
    let mut options = options();
    let lag = Duration::from_secs(5);
    options.lags = Lags { describe: lag, list: lag, stop: lag };
    Cloud::with(options)
}

fn list(cloud: &mut Cloud, changes: Value) -> Vec<String> {
    let mut request = json!({"cluster": "runners"});
    super::merge(&mut request, changes);
    let answer = cloud.answer("ListTasks", &request);
    let id = |arn: &Value| arn.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    answer["taskArns"].as_array().unwrap().iter().map(id).collect()
}

#[test]
fn tasks_are_described_by_id_or_arn_and_the_rest_is_missing() {
    let mut cloud = Cloud::new();
    let (first, second) = (cloud.run(json!({})), cloud.run(json!({})));
    let arn = cloud.task(&second).arn;
    let unknown = "0".repeat(32);
    let request = json!({"cluster": "runners", "tasks": [first, arn, unknown]});
    let answer = cloud.answer("DescribeTasks", &request);
    assert_eq!(answer["tasks"].as_array().unwrap().len(), 2);
    let missing = format!("arn:aws:ecs:eu-central-1:123456789012:task/runners/{unknown}");
    assert_eq!(answer["failures"], json!([{"arn": missing, "reason": "MISSING"}]));
    let elsewhere = json!({"cluster": "default", "tasks": [first]});
    assert_eq!(cloud.answer("DescribeTasks", &elsewhere)["failures"][0]["reason"], "MISSING");
}

#[test]
fn tags_are_described_where_they_are_asked_for() {
    let mut cloud = Cloud::new();
    let tags = json!([{"key": "runner", "value": "one"}]);
    let id = cloud.run(json!({"tags": tags}));
    let plain = cloud.answer("DescribeTasks", &json!({"cluster": "runners", "tasks": [id]}));
    assert_eq!(plain["tasks"][0]["tags"], json!([]));
    assert_eq!(cloud.describe(&id)["tags"], tags);
    cloud.answer("StopTask", &json!({"cluster": "runners", "task": id}));
    assert_eq!(cloud.describe(&id)["tags"], json!([]), "StopTask deletes them");
}

#[test]
fn at_most_100_tasks_are_described_at_once() {
    let mut cloud = Cloud::new();
    let of = |count: usize| json!({"cluster": "runners", "tasks": vec!["0".repeat(32); count]});
    assert!(cloud.refusal("DescribeTasks", &of(0)).contains("Tasks cannot be empty."));
    assert!(cloud.refusal("DescribeTasks", &of(101)).starts_with("InvalidParameterException"));
    cloud.answer("DescribeTasks", &of(100));
    let short = json!({"cluster": "runners", "tasks": ["abc"]});
    assert!(cloud.refusal("DescribeTasks", &short).contains("taskId length should be one of [32,36]"));
}

#[test]
fn a_fresh_task_is_unknown_for_a_while() {
    let mut cloud = lagging();
    let id = cloud.run(json!({}));
    cloud.pass(SECOND * 4);
    assert_eq!(cloud.describe(&id), Value::Null);
    assert!(list(&mut cloud, json!({})).is_empty());
    let stop = json!({"cluster": "runners", "task": id});
    assert!(cloud.refusal("StopTask", &stop).contains("The referenced task was not found."));
    cloud.pass(SECOND);
    assert_eq!(cloud.describe(&id)["lastStatus"], "PROVISIONING");
    assert_eq!(list(&mut cloud, json!({})), [id]);
    cloud.answer("StopTask", &stop);
}

#[test]
fn a_stopped_task_is_described_for_an_hour() {
    let mut options = options();
    options.durations = by_seconds();
    let mut cloud = Cloud::with(options);
    let id = cloud.running(json!({}));
    cloud.ecs.exit(&id, 0, cloud.now).unwrap();
    cloud.stopped(&id);
    assert_eq!(cloud.ecs.next_at(), None);
    cloud.pass(SignedDuration::from_mins(60) - SECOND);
    assert_eq!(cloud.describe(&id)["lastStatus"], "STOPPED");
    cloud.pass(SECOND);
    assert_eq!(cloud.describe(&id), Value::Null);
    assert!(list(&mut cloud, json!({"desiredStatus": "STOPPED"})).is_empty());
}

#[test]
fn tasks_are_listed_by_the_status_that_is_desired_of_them() {
    let mut cloud = Cloud::new();
    let (first, second) = (cloud.run(json!({})), cloud.run(json!({"startedBy": "other"})));
    let (first, second) = (first.as_str(), second.as_str());
    assert_eq!(list(&mut cloud, json!({})), [first, second]);
    assert_eq!(list(&mut cloud, json!({"cluster": "default"})), [""; 0]);
    cloud.answer("StopTask", &json!({"cluster": "runners", "task": first}));
    assert_eq!(list(&mut cloud, json!({})), [second]);
    assert_eq!(list(&mut cloud, json!({"desiredStatus": "STOPPED"})), [first]);
    assert_eq!(list(&mut cloud, json!({"desiredStatus": "PENDING"})), [""; 0]);
    assert_eq!(list(&mut cloud, json!({"startedBy": "other"})), [second]);
    let both = json!({"startedBy": "ecsrunner/demo", "desiredStatus": "STOPPED"});
    assert_eq!(list(&mut cloud, both), [first]);
}

#[test]
fn started_by_goes_with_no_other_filter_but_the_status() {
    let mut cloud = Cloud::new();
    for filter in ["family", "serviceName", "containerInstance", "launchType"] {
        let request = json!({"cluster": "runners", "startedBy": "a", filter: "FARGATE"});
        assert!(cloud.refusal("ListTasks", &request).starts_with("InvalidParameterException"), "{filter}");
    }
    let id = cloud.run(json!({}));
    assert_eq!(list(&mut cloud, json!({"family": "runner-x64", "launchType": "FARGATE"})), [id]);
    assert_eq!(list(&mut cloud, json!({"family": "runner-arm64"})), [""; 0]);
    assert_eq!(list(&mut cloud, json!({"launchType": "EC2"})), [""; 0]);
}

#[test]
fn a_long_list_comes_in_pages_that_repeat_and_miss_nothing() {
    let mut cloud = Cloud::new();
    let started: BTreeSet<String> = (0..7).map(|_| cloud.run(json!({}))).collect();
    let (mut listed, mut pages, mut next) = (Vec::new(), 0, Value::Null);
    loop {
        let request = json!({"cluster": "runners", "maxResults": 3, "nextToken": next});
        listed.extend(list(&mut cloud, request.clone()));
        pages += 1;
        next = cloud.answer("ListTasks", &request)["nextToken"].clone();
        if next.is_null() {
            break;
        }
    }
    assert_eq!((pages, listed.len()), (3, 7));
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), started);
    for bad in [json!({"maxResults": 0}), json!({"maxResults": 101}), json!({"nextToken": "x"})] {
        assert!(cloud.refusal("ListTasks", &bad).starts_with("InvalidParameterException"), "{bad}");
    }
}

#[test]
fn reads_need_a_cluster_that_exists() {
    let mut cloud = Cloud::new();
    for (operation, request) in [
        ("ListTasks", json!({"cluster": "other"})),
        ("DescribeTasks", json!({"cluster": "other", "tasks": ["a"]})),
        ("StopTask", json!({"cluster": "other", "task": "a"})),
    ] {
        assert_eq!(cloud.refusal(operation, &request), "ClusterNotFoundException: Cluster not found.");
    }
}
