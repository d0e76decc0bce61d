//! Task state changes, as EventBridge delivers them.

use ecsrunner_world::ecs::EventFaults;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Cloud, SECOND, by_seconds, options};

fn with_faults(seed: u64, events: EventFaults) -> Cloud {
    let mut options = options();
    options.seed = Some(seed);
    options.durations = by_seconds();
    options.faults.events = events;
    Cloud::with(options)
}

/// Returns the versions of one task's delivered events, from RunTask to STOPPED.
fn versions(cloud: &mut Cloud) -> Vec<u64> {
    let id = cloud.running(json!({}));
    cloud.ecs.exit(&id, 0, cloud.now).unwrap();
    cloud.pass(SignedDuration::from_mins(5));
    cloud.events.iter().map(|event| event["detail"]["version"].as_u64().unwrap()).collect()
}

#[test]
fn an_event_has_the_whole_envelope() {
    let mut cloud = with_faults(7, EventFaults::default());
    let id = cloud.run(json!({
        "tags": [{"key": "a", "value": "b"}],
        "overrides": {"containerOverrides": [{"name": "runner", "environment": [{"name": "A", "value": "1"}]}]},
    }));
    cloud.pass(SECOND * 3);
    cloud.ecs.exit(&id, 7, cloud.now).unwrap();
    cloud.pass(SECOND);
    let arn = cloud.task(&id).arn;
    let event = cloud.events.last().unwrap();
    for (name, value) in [
        ("version", json!("0")),
        ("source", json!("aws.ecs")),
        ("detail-type", json!("ECS Task State Change")),
        ("account", json!("123456789012")),
        ("region", json!("eu-central-1")),
        ("time", json!("2026-11-01T00:00:04Z")),
        ("resources", json!([arn])),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
    let detail = &event["detail"];
    for (name, value) in [
        ("taskArn", json!(arn)),
        ("clusterArn", json!("arn:aws:ecs:eu-central-1:123456789012:cluster/runners")),
        ("lastStatus", json!("STOPPED")),
        ("desiredStatus", json!("STOPPED")),
        ("startedBy", json!("ecsrunner/demo")),
        ("group", json!("family:runner-x64")),
        ("launchType", json!("FARGATE")),
        ("capacityProviderName", json!("FARGATE")),
        ("stopCode", json!("EssentialContainerExited")),
        ("stoppedReason", json!("Essential container in task exited")),
        ("attributes", json!([{"name": "ecs.cpu-architecture", "value": "x86_64"}])),
        ("createdAt", json!("2026-11-01T00:00:00.000Z")),
        ("startedAt", json!("2026-11-01T00:00:03.000Z")),
        ("stoppedAt", json!("2026-11-01T00:00:04.000Z")),
    ] {
        assert_eq!(detail[name], value, "{name}");
    }
    assert_eq!(detail["containers"][0]["exitCode"], 7);
    assert_eq!(detail["overrides"]["containerOverrides"][0]["environment"][0]["name"], "A");
    assert_eq!(detail.get("tags"), None, "events have no tags");
}

#[test]
fn each_change_has_a_version_of_its_own_that_only_grows() {
    let mut cloud = with_faults(7, EventFaults::default());
    assert_eq!(versions(&mut cloud), [1, 2, 3, 4, 5, 6, 7]);
    let id = cloud.ecs.tasks().next().unwrap().id;
    assert_eq!(cloud.describe(&id)["version"], 7, "reads return the same version");
}

/// The times of a task in an event, in the order in which they are reached.
fn times(event: &Value) -> [Option<String>; 4] {
    let time = |name: &str| event["detail"][name].as_str().map(str::to_owned);
    ["createdAt", "pullStartedAt", "pullStoppedAt", "startedAt"].map(time)
}

#[test]
fn an_event_has_the_times_that_its_task_has_reached_in_order() {
    let mut cloud = with_faults(7, EventFaults::default());
    versions(&mut cloud);
    for event in &cloud.events {
        let known: Vec<String> = times(event).into_iter().flatten().collect();
        assert!(known.is_sorted() && !known.is_empty(), "{event}");
    }
    let of = |status: &str| {
        let event = cloud.events.iter().find(|event| event["detail"]["lastStatus"] == status).unwrap();
        times(event).map(|time| time.is_some())
    };
    assert_eq!(of("PROVISIONING"), [true, false, false, false]);
    assert_eq!(of("PENDING"), [true, true, false, false]);
    assert_eq!(of("RUNNING"), [true; 4]);
    assert_eq!(of("STOPPED"), [true; 4]);
}

#[test]
fn events_can_lack_the_times_of_the_pull_that_reads_have() {
    let mut cloud = with_faults(7, EventFaults { omit_pull_times: 1.0, ..EventFaults::default() });
    versions(&mut cloud);
    let last = times(cloud.events.last().unwrap()).map(|time| time.is_some());
    assert_eq!(last, [true, false, false, true]);
    let id = cloud.ecs.tasks().next().unwrap().id;
    assert!(cloud.describe(&id)["pullStoppedAt"].is_number());
}

#[test]
fn events_can_be_lost() {
    let mut cloud = with_faults(7, EventFaults { lose: 1.0, ..EventFaults::default() });
    assert!(versions(&mut cloud).is_empty());
}

#[test]
fn events_can_come_twice_and_are_then_the_same() {
    let mut cloud = with_faults(7, EventFaults { duplicate: 1.0, ..EventFaults::default() });
    assert_eq!(versions(&mut cloud), [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]);
    assert_eq!(cloud.events[0], cloud.events[1]);
}

#[test]
fn events_can_come_late_and_out_of_order_and_repeat_with_the_seed() {
    let faults = EventFaults { delay_ms: 30_000, ..EventFaults::default() };
    let come = |seed: u64| versions(&mut with_faults(seed, faults));
    let disordered = come(7);
    let mut sorted = disordered.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [1, 2, 3, 4, 5, 6, 7]);
    assert_ne!(disordered, sorted);
    assert_eq!(come(7), disordered);
    assert_ne!(come(8), disordered);
}

#[test]
fn an_event_waits_until_its_delivery_is_due() {
    let mut cloud = with_faults(7, EventFaults { delay_ms: 30_000, ..EventFaults::default() });
    cloud.run(json!({}));
    assert_eq!(cloud.ecs.advance(cloud.now), Vec::<Value>::new());
    assert!(cloud.ecs.next_at().is_some_and(|at| at > cloud.now));
}
