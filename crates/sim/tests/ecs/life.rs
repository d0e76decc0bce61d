//! From RunTask to STOPPED.

use ecsrunner_world::ecs::{ControlError, StartFault, Status, StopCode};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Cloud, SECOND, by_seconds, options, spot};

fn by_the_second() -> Cloud {
    let mut options = options();
    options.durations = by_seconds();
    Cloud::with(options)
}

fn stop(cloud: &mut Cloud, id: &str, reason: &str) -> Value {
    let request = json!({"cluster": "runners", "task": id, "reason": reason});
    cloud.answer("StopTask", &request)["task"].clone()
}

fn start_fault(reason: &str, status: Status) -> StartFault {
    StartFault { times: Some(1), subnet: None, reason: reason.to_owned(), status }
}

#[test]
fn a_task_goes_from_provisioning_to_running_and_stays_there() {
    let mut cloud = by_the_second();
    let id = cloud.run(json!({}));
    cloud.pass(SignedDuration::from_hours(100));
    let expected = ["PROVISIONING RUNNING", "PENDING RUNNING", "ACTIVATING RUNNING", "RUNNING RUNNING"];
    assert_eq!(cloud.seen(&id), expected);
    let task = cloud.task(&id);
    assert_eq!(task.started_at.unwrap().duration_since(task.created_at), SECOND * 3);
    assert_eq!(cloud.ecs.next_at(), None);
}

#[test]
fn a_start_fault_of_a_subnet_spares_the_tasks_of_other_subnets() {
    let mut cloud = by_the_second();
    let subnet = Some("subnet-sick".to_owned());
    cloud.ecs.faults_mut().start.push(StartFault {
        times: None,
        subnet,
        ..start_fault("sick", Status::Pending)
    });
    let mut started = Vec::new();
    for subnet in ["subnet-sick", "subnet-well", "subnet-sick"] {
        let network = json!({"awsvpcConfiguration": {"subnets": [subnet]}});
        let id = cloud.run(json!({"networkConfiguration": network}));
        cloud.pass(SECOND * 60);
        started.push(cloud.task(&id).started_at.is_some());
    }
    assert_eq!(started, [false, true, false]);
}

#[test]
fn a_stopped_task_goes_all_the_way_down() {
    let mut cloud = by_the_second();
    let id = cloud.running(json!({}));
    cloud.events.clear();
    let answer = stop(&mut cloud, &id, "ecsrunner: surplus");
    assert_eq!((&answer["lastStatus"], &answer["desiredStatus"]), (&json!("RUNNING"), &json!("STOPPED")));
    cloud.stopped(&id);
    let expected = [
        "RUNNING STOPPED",
        "DEACTIVATING STOPPED",
        "STOPPING STOPPED",
        "DEPROVISIONING STOPPED",
        "STOPPED STOPPED",
    ];
    assert_eq!(cloud.seen(&id), expected);
    let task = cloud.describe(&id);
    assert_eq!(task["stopCode"], "UserInitiated");
    assert_eq!(task["stoppedReason"], "ecsrunner: surplus");
    assert_eq!(task["containers"][0]["exitCode"], 143);
    assert_eq!(cloud.ecs.alive(), 0);
}

#[test]
fn a_task_that_does_not_run_yet_stops_without_running() {
    let mut cloud = by_the_second();
    let id = cloud.run(json!({}));
    stop(&mut cloud, &id, "surplus");
    cloud.stopped(&id);
    let expected =
        ["PROVISIONING RUNNING", "PROVISIONING STOPPED", "DEPROVISIONING STOPPED", "STOPPED STOPPED"];
    assert_eq!(cloud.seen(&id), expected);
    let task = cloud.describe(&id);
    assert_eq!(task["containers"][0]["exitCode"], Value::Null);
    assert_eq!(task["startedAt"], Value::Null);
}

#[test]
fn stopping_again_changes_nothing_and_an_unknown_task_is_not_found() {
    let mut cloud = by_the_second();
    let id = cloud.running(json!({}));
    stop(&mut cloud, &id, "first");
    stop(&mut cloud, &id, "second");
    cloud.stopped(&id);
    let version = cloud.task(&id).version;
    assert_eq!(stop(&mut cloud, &id, "third")["stoppedReason"], "first");
    assert_eq!(cloud.task(&id).version, version);
    let not_found = "InvalidParameterException: The referenced task was not found.";
    let unknown = json!({"cluster": "runners", "task": "0".repeat(32)});
    assert_eq!(cloud.refusal("StopTask", &unknown), not_found);
    let elsewhere = json!({"cluster": "default", "task": id});
    assert_eq!(cloud.refusal("StopTask", &elsewhere), not_found);
    cloud.pass(SignedDuration::from_hours(1));
    assert_eq!(cloud.refusal("StopTask", &json!({"cluster": "runners", "task": id})), not_found);
}

#[test]
fn a_container_that_ends_by_itself_ends_its_task() {
    let mut cloud = by_the_second();
    let id = cloud.running(json!({}));
    cloud.events.clear();
    cloud.ecs.exit(&id, 7, cloud.now).unwrap();
    cloud.stopped(&id);
    assert_eq!(cloud.seen(&id), ["RUNNING STOPPED", "DEPROVISIONING STOPPED", "STOPPED STOPPED"]);
    let task = cloud.describe(&id);
    assert_eq!(task["stopCode"], "EssentialContainerExited");
    assert_eq!(task["stoppedReason"], "Essential container in task exited");
    assert_eq!(task["containers"][0]["exitCode"], 7);
    assert_eq!(task["containers"][0]["lastStatus"], "STOPPED");
}

#[test]
fn a_container_that_is_told_to_stop_may_end_with_its_own_code() {
    let mut cloud = by_the_second();
    let id = cloud.running(json!({}));
    stop(&mut cloud, &id, "surplus");
    cloud.pass(SECOND);
    assert_eq!(cloud.task(&id).last_status, Status::Stopping);
    cloud.ecs.exit(&id, 0, cloud.now).unwrap();
    cloud.stopped(&id);
    let task = cloud.task(&id);
    assert_eq!((task.stop_code, task.exit_code), (Some(StopCode::UserInitiated), Some(0)));
}

#[test]
fn a_container_that_does_not_stop_in_time_is_killed() {
    let mut options = options();
    options.durations = by_seconds();
    options.durations.stopping = std::time::Duration::from_secs(600);
    let mut cloud = Cloud::with(options);
    let id = cloud.running(json!({}));
    stop(&mut cloud, &id, "surplus");
    assert_eq!(cloud.stopped(&id), 1 + 30 + 1, "30 s are the stop timeout");
    assert_eq!(cloud.task(&id).exit_code, Some(137));
}

#[test]
fn a_container_ends_only_while_it_runs() {
    let mut cloud = by_the_second();
    let id = cloud.run(json!({}));
    let refused = |status| Err(ControlError::Status { task: id.clone(), status });
    assert_eq!(cloud.ecs.exit(&id, 0, cloud.now), refused(Status::Provisioning));
    cloud.pass(SECOND * 3);
    cloud.ecs.exit(&id, 0, cloud.now).unwrap();
    assert_eq!(cloud.ecs.exit(&id, 1, cloud.now), refused(Status::Deprovisioning));
    assert_eq!(cloud.ecs.exit("x", 0, cloud.now), Err(ControlError::Unknown("x".to_owned())));
}

#[test]
fn a_spot_task_has_two_minutes_notice() {
    let mut cloud = Cloud::new();
    let id = cloud.running(spot());
    cloud.events.clear();
    cloud.ecs.interrupt(&id, cloud.now).unwrap();
    cloud.pass(SignedDuration::ZERO);
    assert_eq!(cloud.seen(&id), ["RUNNING STOPPED"]);
    let notice = &cloud.events[0]["detail"];
    assert_eq!(notice["stopCode"], "SpotInterruption");
    assert_eq!(notice["stoppedReason"], "Your Spot Task was interrupted.");
    assert!(cloud.task(&id).has_container);
    assert_eq!(cloud.stopped(&id), 120);
    assert_eq!(cloud.task(&id).stop_code, Some(StopCode::SpotInterruption));
}

#[test]
fn a_spot_task_may_use_its_notice_to_end() {
    let mut cloud = by_the_second();
    let id = cloud.running(spot());
    cloud.ecs.interrupt(&id, cloud.now).unwrap();
    cloud.ecs.exit(&id, 3, cloud.now).unwrap();
    assert_eq!(cloud.stopped(&id), 1);
    let task = cloud.task(&id);
    assert_eq!((task.stop_code, task.exit_code), (Some(StopCode::SpotInterruption), Some(3)));
}

#[test]
fn on_demand_capacity_is_never_interrupted() {
    let mut cloud = by_the_second();
    let id = cloud.running(json!({}));
    assert_eq!(cloud.ecs.interrupt(&id, cloud.now), Err(ControlError::NotSpot(id)));
}

#[test]
fn a_task_can_fail_to_start_after_it_was_accepted() {
    let mut cloud = by_the_second();
    let pull = "CannotPullContainerError: pull image manifest has been retried 5 time(s)";
    let init = "ResourceInitializationError: unable to pull secrets or registry auth";
    let faults = [start_fault(pull, Status::Pending), start_fault(init, Status::Provisioning)];
    cloud.ecs.faults_mut().start.extend(faults);
    let (first, second, third) = (cloud.run(json!({})), cloud.run(json!({})), cloud.run(json!({})));
    cloud.stopped(&first);
    let task = cloud.describe(&first);
    assert_eq!(task["stopCode"], "TaskFailedToStart");
    assert_eq!(task["stoppedReason"], pull);
    assert_eq!(task["containers"][0]["reason"], pull);
    assert_eq!(task["containers"][0]["exitCode"], Value::Null);
    let expected = [
        "PROVISIONING RUNNING",
        "PENDING RUNNING",
        "PENDING STOPPED",
        "DEPROVISIONING STOPPED",
        "STOPPED STOPPED",
    ];
    assert_eq!(cloud.seen(&first), expected);
    assert_eq!(cloud.task(&second).stopped_reason.as_deref(), Some(init));
    assert_eq!(cloud.task(&third).last_status, Status::Running);
}

#[test]
fn a_task_can_be_made_to_fail_while_it_starts() {
    let mut cloud = by_the_second();
    let id = cloud.run(json!({}));
    cloud.ecs.fail_to_start(&id, "AGENT", cloud.now).unwrap();
    cloud.stopped(&id);
    assert_eq!(cloud.task(&id).stop_code, Some(StopCode::TaskFailedToStart));
    let running = cloud.running(json!({}));
    assert!(cloud.ecs.fail_to_start(&running, "AGENT", cloud.now).is_err());
}

#[test]
fn the_environment_of_a_task_is_there_for_its_player() {
    let mut cloud = by_the_second();
    let environment = json!([{"name": "BOOT_TABLE", "value": "boot"}]);
    cloud.running(json!({
        "tags": [{"key": "runner", "value": "one"}],
        "overrides": {"containerOverrides": [{"name": "runner", "environment": environment}]},
    }));
    let task = cloud.ecs.tasks().find(|task| task.has_container).unwrap();
    assert_eq!(task.environment["BOOT_TABLE"], "boot");
    assert_eq!(task.tags["runner"], "one");
    assert_eq!(task.started_by.as_deref(), Some("ecsrunner/demo"));
}

#[test]
fn a_long_leap_in_time_is_the_same_as_many_short_ones() {
    let story = |leaps: i32| {
        let mut cloud = by_the_second();
        let id = cloud.run(spot());
        cloud.pass(SECOND * 5);
        cloud.ecs.interrupt(&id, cloud.now).unwrap();
        let until = cloud.now + SECOND * 60;
        for _ in 0..leaps {
            cloud.now += SECOND * 60 / leaps;
            cloud.events.extend(cloud.ecs.advance(cloud.now));
        }
        assert_eq!(cloud.now, until);
        cloud.events
    };
    assert_eq!(story(1), story(60));
}
