use ecsrunner_core::wire::event::StopCause;
use ecsrunner_core::wire::exit::AgentExit;
use serde_json::{Value, json};

use super::*;

const CLUSTER: &str = "arn:aws:ecs:eu-west-1:123456789012:cluster/ecsrunner-ci";
const RUNNER: &str = "ecsr-ci-abcdefghij-01arz3ndektsv4rrffq69g5fav";

/// An event as AWS documents it, with fields that are not read here.
fn detail() -> Value {
    json!({
        "attachments": [{"id": "1789bcae", "type": "eni", "status": "ATTACHED", "details": []}],
        "availabilityZone": "eu-west-1a",
        "capacityProviderName": "FARGATE_SPOT",
        "clusterArn": CLUSTER,
        "containers": [
            {"name": "runner", "lastStatus": "RUNNING", "taskArn": "t", "networkInterfaces": [], "cpu": "0"}
        ],
        "connectivity": "CONNECTED",
        "createdAt": "2026-11-23T21:30:20.000Z",
        "desiredStatus": "RUNNING",
        "lastStatus": "RUNNING",
        "overrides": {"containerOverrides": [
            {"name": "runner", "environment": [{"name": "ECSRUNNER_RUNNER", "value": RUNNER}]}
        ]},
        "pullStartedAt": "2026-11-23T21:30:31.000Z",
        "pullStoppedAt": "2026-11-23T21:30:34.250Z",
        "startedAt": "2026-11-23T21:30:35.500Z",
        "startedBy": "ecsrunner/ci",
        "taskArn": "arn:aws:ecs:eu-west-1:123456789012:task/ecsrunner-ci/0123456789abcdef0123456789abcdef",
        "updatedAt": "2026-11-23T21:30:36.000Z",
        "version": 3
    })
}

fn event_of(detail: &Value, cluster: &str) -> Option<TaskEvent> {
    let received_at = "2026-11-23T22:00:00Z".parse().unwrap();
    read(&detail.to_string(), &Deployment::parse("ci").unwrap(), cluster, received_at).unwrap()
}

fn with(changes: &[(&str, Value)]) -> Option<TaskEvent> {
    let mut detail = detail();
    for (key, value) in changes {
        detail[*key] = value.clone();
    }
    event_of(&detail, CLUSTER)
}

#[test]
fn a_running_container_is_told_with_its_runner_and_its_time() {
    let event = event_of(&detail(), CLUSTER).unwrap();
    assert_eq!(event.name.as_str(), RUNNER);
    assert_eq!(event.task.as_str(), "0123456789abcdef0123456789abcdef");
    assert_eq!((event.version, event.change), (3, TaskChange::Running));
    assert_eq!(event.at.to_string(), "2026-11-23T21:30:35.5Z");
    assert!(event_of(&detail(), "ecsrunner-ci").is_some(), "a cluster may be given by its name");
}

#[test]
fn the_times_of_a_task_are_told_as_far_as_an_event_has_them() {
    let told = |event: TaskEvent| event.times.steps().map(|step| step.map(|step| step.to_string()));
    let all = ["21:30:20Z", "21:30:31Z", "21:30:34.25Z", "21:30:35.5Z"];
    let all = all.map(|time| Some(format!("2026-11-23T{time}")));
    assert_eq!(told(event_of(&detail(), CLUSTER).unwrap()), all);
    let lacking = with(&[("pullStartedAt", Value::Null), ("pullStoppedAt", json!("soon"))]).unwrap();
    assert_eq!(told(lacking), [all[0].clone(), None, None, all[3].clone()]);
}

#[test]
fn the_instance_is_told_where_there_is_one() {
    let arn =
        "arn:aws:ecs:eu-west-1:123456789012:container-instance/ecsrunner-ci/0123456789abcdef0123456789abcdef";
    let on_an_instance =
        with(&[("containerInstanceArn", json!(arn)), ("launchType", json!("MANAGED_INSTANCES"))]);
    let told = on_an_instance.unwrap().instance;
    assert_eq!(told.as_ref().map(|id| id.as_str()), Some("0123456789abcdef0123456789abcdef"));
    assert_eq!(event_of(&detail(), CLUSTER).unwrap().instance, None, "Fargate has none");
    assert_eq!(with(&[("containerInstanceArn", json!("a/b c"))]).unwrap().instance, None);
}

#[test]
fn ec2s_words_for_want_of_capacity_are_known() {
    for words in [
        "InsufficientInstanceCapacity: We currently do not have sufficient capacity in the Availability Zone",
        "VcpuLimitExceeded: You have requested more vCPU capacity than your current vCPU limit of 8 allows",
        "MaxSpotInstanceCountExceeded: Max spot instance count exceeded",
        "UnfulfillableCapacity: Unable to fulfill capacity",
        "RESOURCE:CPU",
    ] {
        let event = with(&[
            ("lastStatus", json!("STOPPED")),
            ("stopCode", json!("TaskFailedToStart")),
            ("stoppedReason", json!(words)),
        ]);
        assert_eq!(event.unwrap().change, TaskChange::Stopped(StopCause::NoCapacity(words.into())));
    }
    let denied = "AccessDeniedException: not authorized to perform ecs:Poll on resource: arn:aws:ecs:x";
    let event = with(&[
        ("lastStatus", json!("STOPPED")),
        ("stopCode", json!("TaskFailedToStart")),
        ("stoppedReason", json!(denied)),
    ]);
    assert_eq!(event.unwrap().change, TaskChange::Stopped(StopCause::FailedToStart(denied.into())));
}

#[test]
fn a_stopped_task_is_told_with_the_agents_word() {
    let containers = json!([{"name": "sidecar", "exitCode": 1}, {"name": "runner", "exitCode": 0}]);
    let event = with(&[
        ("lastStatus", json!("STOPPED")),
        ("desiredStatus", json!("STOPPED")),
        ("stopCode", json!("EssentialContainerExited")),
        ("stoppedAt", json!("2026-11-23T21:40:00Z")),
        ("containers", containers),
    ])
    .unwrap();
    assert_eq!(event.change, TaskChange::Stopped(StopCause::Agent(AgentExit::Completed)));
    assert_eq!(event.at.to_string(), "2026-11-23T21:40:00Z");
}

#[test]
fn a_task_that_failed_for_want_of_capacity_says_so() {
    let words = "Capacity is unavailable at this time.";
    let event = with(&[
        ("lastStatus", json!("STOPPED")),
        ("stopCode", json!("TaskFailedToStart")),
        ("stoppedReason", json!(words)),
        ("startedAt", Value::Null),
    ])
    .unwrap();
    assert_eq!(event.change, TaskChange::Stopped(StopCause::NoCapacity(words.into())));
    assert_eq!(event.at.to_string(), "2026-11-23T21:30:36Z", "the event's own time stands in");
}

#[test]
fn changes_on_the_way_up_or_down_are_nothing() {
    for status in
        ["PROVISIONING", "PENDING", "ACTIVATING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "NEWER"]
    {
        assert_eq!(with(&[("lastStatus", json!(status))]), None, "{status}");
    }
    let notice = [("desiredStatus", json!("STOPPED")), ("stopCode", json!("SpotInterruption"))];
    assert_eq!(with(&notice), None, "a notice of Spot's is not the end");
}

#[test]
fn a_task_of_another_owner_is_nothing() {
    for started_by in [json!("ecsrunner/other"), json!("ecsrunner/ci-2"), json!("ecs-svc/1"), Value::Null] {
        assert_eq!(with(&[("startedBy", started_by.clone())]), None, "{started_by}");
    }
    let other = "arn:aws:ecs:eu-west-1:123456789012:cluster/other";
    assert_eq!(with(&[("clusterArn", json!(other))]), None);
    let runner = |value: &str| {
        json!({"containerOverrides": [
            {"name": "runner", "environment": [{"name": "ECSRUNNER_RUNNER", "value": value}]}
        ]})
    };
    assert_eq!(with(&[("overrides", runner("ecsr-other-abcdefghij-01arz3ndektsv4rrffq69g5fav"))]), None);
    assert_eq!(with(&[("overrides", runner("a person's"))]), None);
    assert_eq!(with(&[("overrides", json!({"containerOverrides": []}))]), None);
    assert_eq!(with(&[("overrides", Value::Null)]), None);
}

#[test]
fn what_is_not_of_a_task_is_an_error() {
    let deployment = Deployment::parse("ci").unwrap();
    for detail in ["", "[]", "{}", r#"{"taskArn": "t", "lastStatus": "RUNNING"}"#] {
        assert!(read(detail, &deployment, CLUSTER, Timestamp::UNIX_EPOCH).is_err(), "{detail}");
    }
}
