use std::collections::HashSet;
use std::sync::Arc;

use ecsrunner_aws::ecs::agent::AgentObject;
use ecsrunner_aws::ecs::definition::{TaskDefinitions, Variant};
use ecsrunner_aws::ecs::{CapacityProvider, EcsTasks, Fleet, Network};
use ecsrunner_core::id::{ClassName, Deployment, JobId, PoolId, Repository, RunnerName, SubnetId, TaskId};
use ecsrunner_core::records::runner::RunnerFacts;
use ecsrunner_core::rules::class::size::{Arch, Size};
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::image::OFFICIAL;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::rules::placement::Placement;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_engine::ports::compute::{ClientToken, Compute, ComputeError, TaskOrder};
use serde_json::{Value, json};

use crate::aws::{Aws, connection};

const RUNNER: &str = "ecsr-ci-abcdefghij-01arz3ndektsv4rrffq69g5fav";

pub(crate) fn fleet() -> Arc<Fleet> {
    let variant = |image| Variant::new(image, Arch::X64, false);
    let agent = AgentObject {
        bucket: "agents".to_owned(),
        key: "agent/x64/ecsrunner-agent".to_owned(),
        version: "v7".to_owned(),
    };
    Arc::new(Fleet {
        deployment: Deployment::parse("ci").unwrap(),
        cluster: "ci".to_owned(),
        network: Network {
            subnets: vec![SubnetId::parse("subnet-aaaa1111").unwrap()],
            security_groups: vec!["sg-1".to_owned()],
            assign_public_ip: false,
        },
        service_definitions: [(
            ClassName::parse("images").unwrap(),
            [("default".to_owned(), "runner:1".to_owned())].into(),
        )]
        .into(),
        capacity_providers: [(
            ClassName::parse("images").unwrap(),
            CapacityProvider {
                on_demand: Some("runners-managed".to_owned()),
                spot: Some("runners-managed-spot".to_owned()),
            },
        )]
        .into(),
        task_definitions: TaskDefinitions::from([
            (variant(None), "runner:1".to_owned()),
            (variant(Some(OFFICIAL)), "official:1".to_owned()),
        ]),
        agents: [(Arch::X64, agent)].into(),
        environment: Arc::new(|_| Vec::new()),
    })
}

pub(crate) fn runner() -> RunnerFacts {
    let repository = Repository::parse("acme/app").unwrap();
    RunnerFacts {
        name: RunnerName::parse(RUNNER).unwrap(),
        class: ClassName::parse("small").unwrap(),
        size: Size::new(512, 1024, None, Arch::X64).unwrap(),
        pool: PoolId::parse("abcdefghij").unwrap(),
        scope: Scope::Repository(repository.clone()),
        labels: Labels::new(["self-hosted"]),
        repository,
        launched_for: JobId::new(1),
        max_job_minutes: 60,
        wait_limits: None,
        image: None,
        exec: false,
        fails: false,
        warm: None,
    }
}

async fn run(aws: &Aws) -> Result<TaskId, ComputeError> {
    run_from(aws, runner()).await
}

async fn run_from(aws: &Aws, runner: RunnerFacts) -> Result<TaskId, ComputeError> {
    let tasks = EcsTasks::new(&aws.connection().await, fleet());
    let (facts, placement) = (runner.task(), Placement::fargate(Market::OnDemand, None));
    let order = TaskOrder { task: &facts, placement: &placement, token: ClientToken::new(&facts.name, 1) };
    tasks.run_task(&order).await
}

fn arn(id: &str) -> String {
    format!("arn:aws:ecs:eu-west-1:123456789012:task/ci/{id}")
}

fn refusal(code: &str, message: &str) -> (u16, Value) {
    (400, json!({"__type": code, "message": message}))
}

#[tokio::test]
async fn a_task_is_asked_for_as_it_was_ordered() {
    let aws = Aws::answering([(200, json!({"tasks": [{"taskArn": arn("0a")}], "failures": []}))]);
    assert_eq!(run(&aws).await.unwrap().as_str(), "0a");
    let tags = json!([
        {"key": "ecsrunner:deployment", "value": "ci"},
        {"key": "ecsrunner:runner", "value": RUNNER},
        {"key": "ecsrunner:pool", "value": "abcdefghij"},
        {"key": "ecsrunner:repository", "value": "acme/app"},
        {"key": "ecsrunner:class", "value": "small"},
    ]);
    let request = json!({
        "cluster": "ci", "taskDefinition": "runner:1", "count": 1,
        "capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1, "base": 0}],
        "networkConfiguration": {"awsvpcConfiguration": {
            "subnets": ["subnet-aaaa1111"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED"
        }},
        "overrides": {"cpu": "512", "memory": "1024", "containerOverrides": [
            {"name": "runner", "environment": [
                {"name": "ECSRUNNER_RUNNER", "value": RUNNER},
                {"name": "ECSRUNNER_CAPACITY_PROVIDER", "value": "FARGATE"},
            ]}
        ]},
        "enableExecuteCommand": false, "enableECSManagedTags": false,
        "startedBy": "ecsrunner/ci", "clientToken": "01arz3ndektsv4rrffq69g5fav-1", "tags": tags,
    });
    assert_eq!(aws.requests(), [("RunTask".to_owned(), request)]);
}

#[tokio::test]
async fn only_githubs_own_image_gets_a_link_to_the_agent() {
    let aws = Aws::answering([(200, json!({"tasks": [{"taskArn": arn("0a")}], "failures": []}))]);
    let official = RunnerFacts { image: Some(OFFICIAL.to_owned()), ..runner() };
    run_from(&aws, official.clone()).await.unwrap();
    let (_, request) = aws.requests().remove(0);
    assert_eq!(request["taskDefinition"], "official:1");
    let environment = &request["overrides"]["containerOverrides"][0]["environment"];
    let link = environment.as_array().unwrap().last().unwrap();
    assert_eq!(link["name"], "ECSRUNNER_AGENT_URL");
    let url = link["value"].as_str().unwrap();
    assert!(url.contains("/agents/agent/x64/ecsrunner-agent?versionId=v7&"), "{url}");
    assert!(url.contains("X-Amz-Expires=900") && url.contains("X-Amz-Signature="), "{url}");
    // Without an agent there is nothing to start.
    let arm = RunnerFacts { size: Size::new(512, 1024, None, Arch::Arm64).unwrap(), ..official };
    let error = run_from(&Aws::answering([]), arm).await.unwrap_err();
    assert!(
        matches!(&error, ComputeError::Refused { message } if message.contains("no agent for arm64")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_task_that_the_token_has_started_before_is_adopted() {
    let conflict = json!({"__type": "ConflictException", "message": "in use", "resourceIds": [arn("0b")]});
    assert_eq!(run(&Aws::answering([(400, conflict)])).await.unwrap().as_str(), "0b");
    let unnamed = json!({"__type": "ConflictException", "message": "in use"});
    let error = run(&Aws::answering([(400, unnamed)])).await.unwrap_err();
    assert!(matches!(error, ComputeError::TokenSpent { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_without_a_task_is_told_by_its_words() {
    let failure = |reason: &str| (200, json!({"tasks": [], "failures": [{"reason": reason}]}));
    let error = run(&Aws::answering([failure("Capacity is unavailable at this time.")])).await.unwrap_err();
    assert!(matches!(&error, ComputeError::NoCapacity { .. }), "{error:?}");
    let error = run(&Aws::answering([failure("AGENT")])).await.unwrap_err();
    assert!(matches!(&error, ComputeError::Refused { message } if message == "AGENT"), "{error:?}");
    let error = run(&Aws::answering([(200, json!({"tasks": [], "failures": []}))])).await.unwrap_err();
    assert!(matches!(error, ComputeError::Unanswered { .. }), "{error:?}");
}

#[tokio::test]
async fn a_throttled_request_is_tried_again_and_then_told() {
    let throttled = || refusal("ThrottlingException", "Rate exceeded");
    let aws = Aws::answering([throttled(), throttled(), throttled()]);
    let error = run(&aws).await.unwrap_err();
    assert!(matches!(&error, ComputeError::Throttled { .. }), "{error:?}");
    assert_eq!(aws.requests().len(), 3);
    assert_eq!(aws.requests()[0], aws.requests()[2], "the same request each time");
}

#[tokio::test]
async fn a_refusal_is_told_with_its_code_and_a_fault_of_awss_is_no_answer() {
    let aws = Aws::answering([refusal("ClusterNotFoundException", "Cluster not found.")]);
    let error = run(&aws).await.unwrap_err();
    assert!(matches!(error, ComputeError::Refused { .. }), "{error:?}");
    assert_eq!(error.to_string(), "ClusterNotFoundException: Cluster not found.");
    let fault = || (500, json!({"__type": "ServerException", "message": "try again"}));
    let error = run(&Aws::answering([fault(), fault(), fault()])).await.unwrap_err();
    assert!(matches!(error, ComputeError::Unanswered { .. }), "{error:?}");
}

#[tokio::test]
async fn where_nobody_listens_there_is_no_answer() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let connection = connection(&[("AWS_ENDPOINT_URL_ECS", &format!("http://127.0.0.1:{port}"))]);
    let error = EcsTasks::new(&connection, fleet()).tasks().await.unwrap_err();
    assert!(matches!(error, ComputeError::Unanswered { operation: "ListTasks", .. }), "{error:?}");
    assert_eq!(connection.calls().named()["ecs:ListTasks"], 3, "as often as is tried");
}

#[tokio::test]
async fn a_task_that_nobody_knows_has_stopped() {
    let aws = Aws::answering([
        (200, json!({"task": {"taskArn": arn("0a")}})),
        refusal("InvalidParameterException", "The referenced task was not found."),
        refusal("ClusterNotFoundException", "Cluster not found."),
    ]);
    let tasks = EcsTasks::new(&aws.connection().await, fleet());
    let task = TaskId::parse("0a").unwrap();
    tasks.stop_task(&task, "surplus").await.unwrap();
    tasks.stop_task(&task, "surplus").await.unwrap();
    assert!(matches!(tasks.stop_task(&task, "surplus").await, Err(ComputeError::Refused { .. })));
    let request = json!({"cluster": "ci", "task": "0a", "reason": "surplus"});
    assert_eq!(aws.requests()[0], ("StopTask".to_owned(), request));
}

#[tokio::test]
async fn tasks_are_listed_page_by_page_and_described_by_the_hundred() {
    let task = |id: &str, status: &str| {
        json!({"taskArn": arn(id), "lastStatus": status,
            "tags": [{"key": "ecsrunner:runner", "value": RUNNER}]})
    };
    let many: Vec<String> = (0..100).map(|i| arn(&format!("a{i:03}"))).collect();
    let described = json!({"tasks": [task("a000", "RUNNING"), {"taskArn": arn("a001"), "lastStatus": "RUNNING"}],
        "failures": [{"arn": arn("a002"), "reason": "MISSING"}]});
    let aws = Aws::answering([
        (200, json!({"taskArns": many, "nextToken": "more"})),
        (200, json!({"taskArns": [arn("b")]})),
        (200, json!({"taskArns": [arn("b"), arn("c")]})),
        (200, described),
        (200, json!({"tasks": [task("b", "STOPPED"), task("c", "STOPPED")]})),
    ]);
    let seen = EcsTasks::new(&aws.connection().await, fleet()).tasks().await.unwrap();
    let ids: HashSet<&str> = seen.iter().map(|task| task.task.as_str()).collect();
    assert_eq!(ids, HashSet::from(["a000", "b", "c"]), "one has no tag of ours, one is missing");
    let requests = aws.requests();
    assert_eq!(
        requests[1].1,
        json!({"cluster": "ci", "startedBy": "ecsrunner/ci", "desiredStatus": "RUNNING", "nextToken": "more"})
    );
    assert_eq!(requests[2].1["desiredStatus"], "STOPPED");
    assert_eq!(requests[3].1["tasks"].as_array().unwrap().len(), 100);
    assert_eq!(requests[4].1, json!({"cluster": "ci", "tasks": [arn("b"), arn("c")], "include": ["TAGS"]}));
}
