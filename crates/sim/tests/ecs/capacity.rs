//! Rates, quotas, shortages and calls that fail.

use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_world::ecs::{
    CAPACITY_UNAVAILABLE, CallFault, FaultAnswer, Provider, Rate, Reply, Shortage, StopCode, ThrottleForm,
    VCPU_LIMIT_REACHED,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Cloud, SECOND, options, request, spot};

/// Returns a cloud without API rate limits, so that only Fargate's launch rate applies.
fn unhurried() -> Cloud {
    let mut options = options();
    options.rates.run_task = Rate { burst: 10_000, per_second: 10_000 };
    Cloud::with(options)
}

/// Starts ten tasks at a time until it is throttled. Returns how many were started.
fn burst(cloud: &mut Cloud, changes: &Value) -> usize {
    let mut request = request(json!({"count": 10}));
    super::merge(&mut request, changes.clone());
    let mut started = 0;
    while let Reply::Answer(_) = cloud.call("RunTask", &request) {
        started += 10;
    }
    started
}

fn error(code: &str) -> FaultAnswer {
    FaultAnswer::Error { code: code.to_owned(), message: "Server Exception".to_owned() }
}

#[test]
fn each_provider_launches_a_hundred_at_once_and_twenty_a_second() {
    let mut cloud = unhurried();
    assert_eq!(burst(&mut cloud, &json!({})), 100);
    assert_eq!(burst(&mut cloud, &spot()), 100, "Spot has a bucket of its own");
    assert_eq!(cloud.refusal("RunTask", &request(json!({}))), "ThrottlingException: Rate exceeded");
    cloud.pass(SECOND);
    assert_eq!(burst(&mut cloud, &json!({})), 20);
    cloud.pass(SECOND * 3600);
    assert_eq!(burst(&mut cloud, &json!({})), 100);
}

#[test]
fn throttling_can_hide_in_another_exception_or_in_failures() {
    let mut cloud = unhurried();
    burst(&mut cloud, &json!({}));
    for (form, code) in [
        (ThrottleForm::ClientException, "ClientException"),
        (ThrottleForm::InvalidParameterException, "InvalidParameterException"),
    ] {
        cloud.ecs.faults_mut().throttle = form;
        let refusal = cloud.refusal("RunTask", &request(json!({})));
        assert!(refusal.starts_with(code) && refusal.contains("Rate exceeded"), "{refusal}");
    }
    cloud.ecs.faults_mut().throttle = ThrottleForm::Failure;
    assert_eq!(cloud.launched(json!({})), (0, vec!["Rate exceeded".to_owned()]));
}

#[test]
fn run_task_has_a_rate_of_its_own_that_replays_count_against() {
    let mut options = options();
    options.rates.run_task = Rate { burst: 2, per_second: 1 };
    let mut cloud = Cloud::with(options);
    let once = request(json!({"clientToken": "a"}));
    cloud.answer("RunTask", &once);
    cloud.answer("RunTask", &once);
    assert_eq!(cloud.refusal("RunTask", &once), "ThrottlingException: Rate exceeded");
    cloud.pass(SECOND);
    cloud.answer("RunTask", &once);
}

#[test]
fn a_short_subnet_answers_200_with_a_failure() {
    let mut cloud = Cloud::new();
    let shortage = Shortage { subnet: Some("subnet-a".to_owned()), ..Shortage::default() };
    cloud.ecs.faults_mut().short.push(shortage);
    assert_eq!(cloud.launched(json!({})), (0, vec![CAPACITY_UNAVAILABLE.to_owned()]));
    let subnets =
        |subnets: Value| json!({"networkConfiguration": {"awsvpcConfiguration": {"subnets": subnets}}});
    let id = cloud.run(subnets(json!(["subnet-a", "subnet-b"])));
    assert_eq!(cloud.task(&id).subnet, "subnet-b");
    assert_eq!(cloud.ecs.alive(), 1);
    cloud.ecs.faults_mut().short.clear();
    assert_eq!(cloud.launched(json!({})).0, 1);
}

#[test]
fn a_shortage_can_be_of_one_provider_and_one_architecture() {
    let mut cloud = Cloud::new();
    cloud.ecs.faults_mut().short.push(Shortage {
        provider: Some(Provider::FargateSpot),
        arch: Some(Arch::Arm64),
        ..Shortage::default()
    });
    let mut arm_spot = spot();
    arm_spot["taskDefinition"] = json!("runner-arm64");
    assert_eq!(cloud.launched(arm_spot).0, 0);
    assert_eq!(cloud.launched(spot()).0, 1);
    assert_eq!(cloud.launched(json!({"taskDefinition": "runner-arm64"})).0, 1);
}

#[test]
fn a_late_shortage_stops_a_task_that_was_accepted() {
    let mut cloud = Cloud::new();
    cloud.ecs.faults_mut().short.push(Shortage { late: true, ..Shortage::default() });
    let id = cloud.run(json!({}));
    cloud.stopped(&id);
    let task = cloud.task(&id);
    assert_eq!(task.stop_code, Some(StopCode::TaskFailedToStart));
    assert_eq!(task.stopped_reason.as_deref(), Some(CAPACITY_UNAVAILABLE));
    assert_eq!((task.started_at, task.exit_code), (None, None));
}

#[test]
fn the_vcpu_quota_counts_what_is_alive() {
    let mut cloud = Cloud::new();
    cloud.ecs.faults_mut().vcpu_quotas.insert(Provider::Fargate, 6);
    let two = || json!({"count": 2, "overrides": {"cpu": "2048", "memory": "4096"}});
    assert_eq!(cloud.launched(two()), (2, Vec::new()));
    assert_eq!(cloud.launched(two()), (1, vec![VCPU_LIMIT_REACHED.to_owned()]));
    assert!(VCPU_LIMIT_REACHED.starts_with("You\u{2019}ve reached the limit on the number of vCPUs"));
    assert_eq!(cloud.launched(spot()).0, 1, "Spot has a quota of its own");
    let id = cloud.ecs.tasks().next().unwrap().id;
    cloud.answer("StopTask", &json!({"cluster": "runners", "task": id}));
    assert_eq!(cloud.launched(two()).0, 0, "it is not gone yet");
    cloud.stopped(&id);
    assert_eq!(cloud.launched(two()).0, 1);
}

#[test]
fn a_failure_that_is_asked_for_comes_once() {
    let mut cloud = Cloud::new();
    for reason in ["RESOURCE:CPU", "AGENT"] {
        let failure = FaultAnswer::Failure { reason: reason.to_owned(), detail: None };
        cloud.ecs.faults_mut().calls.push(CallFault::once("RunTask", failure));
    }
    assert_eq!(cloud.launched(json!({})), (0, vec!["RESOURCE:CPU".to_owned()]));
    assert_eq!(cloud.launched(json!({})), (0, vec!["AGENT".to_owned()]));
    assert_eq!(cloud.launched(json!({})), (1, Vec::new()));
}

#[test]
fn an_exception_that_is_asked_for_starts_nothing() {
    let mut cloud = Cloud::new();
    cloud.ecs.faults_mut().calls.push(CallFault::once("RunTask", error("ServerException")));
    let Reply::Refusal(refusal) = cloud.call("RunTask", &request(json!({}))) else { panic!() };
    assert_eq!((refusal.status(), cloud.ecs.alive()), (500, 0));
}

#[test]
fn a_lost_answer_leaves_the_task_that_the_same_token_finds_again() {
    for answer in [error("ServerException"), FaultAnswer::Lost] {
        let mut cloud = Cloud::new();
        cloud.ecs.faults_mut().calls.push(CallFault::once_after_effect("RunTask", answer));
        let once = request(json!({"clientToken": "a"}));
        assert!(!matches!(cloud.call("RunTask", &once), Reply::Answer(_)));
        let id = cloud.ecs.tasks().next().unwrap().arn;
        assert_eq!(cloud.answer("RunTask", &once)["tasks"][0]["taskArn"], json!(id));
        assert_eq!(cloud.ecs.alive(), 1);
    }
}

#[test]
fn a_fault_hits_the_operation_that_it_names() {
    let mut cloud = Cloud::new();
    cloud.ecs.faults_mut().calls.push(CallFault::once("StopTask", FaultAnswer::Lost));
    let id = cloud.run(json!({}));
    let stop = json!({"cluster": "runners", "task": id});
    assert_eq!(cloud.call("StopTask", &stop), Reply::Lost);
    assert_eq!(cloud.task(&id).desired_status, "RUNNING");
    cloud.answer("StopTask", &stop);
    assert_eq!(cloud.ecs.calls()["StopTask"], 2);
    assert_eq!(cloud.ecs.calls()["RunTask"], 1);
}

#[test]
fn the_same_seed_gives_the_same_tasks() {
    let ids = || {
        let mut cloud = Cloud::new();
        [cloud.run(json!({})), cloud.run(json!({}))]
    };
    assert_eq!(ids(), ids());
    let mut cloud = Cloud::new();
    assert_eq!(cloud.ecs.next_at(), None, "nothing happens by itself");
    cloud.pass(SignedDuration::from_hours(1));
    assert!(cloud.events.is_empty());
}
