//! Creates a deployment in ministack like Terraform's on AWS.

use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine};
use ecsrunner_aws::connection::{Connection, Environment};
use ecsrunner_aws::store::{DynamoStore, Tables};
use ecsrunner_core::id::Deployment;
use ecsrunner_demo::github::app_key;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::aws::{ACCESS_KEY, ACCOUNT, Aws, EVENTS, REGION, SECRETS, SQS, SSM};
use crate::traces::{HEADERS, HEADERS_SECRET};

/// The deployment's name. `cargo xtask test chain` makes the template publish to its bus.
pub(crate) const DEPLOYMENT: &str = "chain";
pub(crate) const CLUSTER: &str = "ecsrunner-chain";
pub(crate) const FUNCTION: &str = "ecsrunner-chain-control-plane";
/// The function that answers operators' questions.
pub(crate) const QUESTIONS: &str = "ecsrunner-chain-questions";
/// The rule on the default bus.
pub(crate) const TASK_RULE: &str = "ecsrunner-chain-tasks";
/// Families of task definitions, without and with ECS Exec.
pub(crate) const FAMILIES: [&str; 2] = ["ecsrunner-chain-default-x64", "ecsrunner-chain-default-x64-exec"];
/// Families for GitHub's own image, and for a new build.
pub(crate) const IMAGE_FAMILIES: [&str; 2] = ["ecsrunner-chain-official-x64", "ecsrunner-chain-next-x64"];
/// The project that builds the image.
pub(crate) const PROJECT: &str = "ecsrunner-chain-image-x64";
pub(crate) const SUBNETS: [&str; 2] = ["subnet-0aaaaaaaaaaaaaaaa", "subnet-0bbbbbbbbbbbbbbbb"];
pub(crate) const APP_ID: u64 = 1234;
/// The unique id of the tasks' role.
const BOOT_OWNER: &str = "AROACHAINRUNNEREXAMPLE";
const BOOT_OWNER_EXEC: &str = "AROACHAINEXECEXAMPLE";

const BUS: &str = "ecsrunner-chain";
const WEBHOOK_RULE: &str = "ecsrunner-chain-webhooks";
const WEBHOOK_SECRET: &str = "ecsrunner/chain/webhook";
const GITHUB_SECRET: &str = "ecsrunner/chain/github";

/// The URLs of the queues.
pub(crate) struct Queues {
    pub(crate) kicks: String,
    /// Receives messages that are not kicks.
    pub(crate) kicks_dead: String,
    /// Receives events for which the function failed.
    pub(crate) events_dead: String,
}

/// The URLs at which the function reaches the fakes.
pub(crate) struct Fakes<'a> {
    pub(crate) ecs: &'a str,
    /// CodeBuild and ECR.
    pub(crate) builds: &'a str,
    pub(crate) github: &'a str,
    /// The endpoint of traces.
    pub(crate) collector: &'a str,
}

/// Creates the deployment except its tables and the webhook's secret. On AWS that secret exists without a value until
/// `ecsrunner setup` stores one. AWS answers the same if it does not exist, and ministack knows no secret without a value.
pub(crate) async fn make(aws: &Aws, archive: &Path, fakes: &Fakes<'_>) -> Queues {
    let queues = make_queues(aws).await;
    make_github_secret(aws).await;
    make_parameters(aws, &queues).await;
    let function = make_functions(aws, archive, fakes).await;
    make_rules(aws, &function).await;
    queues
}

/// Creates the two tables, with the store's own code.
pub(crate) async fn make_tables(aws: &Aws) -> DynamoStore {
    let environment = Environment::read(|name| match name {
        "AWS_REGION" => Some(REGION.to_owned()),
        "AWS_ENDPOINT_URL" => Some(aws.url().to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some(ACCESS_KEY.to_owned()),
        _ => None,
    });
    let connection = Connection::new(environment.unwrap()).unwrap();
    let tables = Tables::of(&Deployment::parse(DEPLOYMENT).unwrap(), BOOT_OWNER);
    let store = DynamoStore::new(&connection, tables);
    store.create_tables().await.unwrap();
    store
}

async fn make_queues(aws: &Aws) -> Queues {
    let make = async |name: &str, attributes: Value| -> String {
        let made = aws.call(SQS, "CreateQueue", json!({"QueueName": name, "Attributes": attributes})).await;
        made["QueueUrl"].as_str().unwrap().to_owned()
    };
    let events_dead = make("ecsrunner-chain-events-dead", json!({})).await;
    let kicks_dead = make("ecsrunner-chain-kicks-dead", json!({})).await;
    let redrive =
        json!({"deadLetterTargetArn": queue_arn("ecsrunner-chain-kicks-dead"), "maxReceiveCount": 2});
    // On AWS the visibility timeout must be at least the function's timeout. It is shorter here,
    // because the test waits for two of them.
    let attributes = json!({"VisibilityTimeout": "6", "RedrivePolicy": redrive.to_string()});
    Queues { kicks: make("ecsrunner-chain-kicks", attributes).await, kicks_dead, events_dead }
}

fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}

async fn make_github_secret(aws: &Aws) {
    let github = json!({"app_id": APP_ID, "private_key": app_key().private_pem.expose_secret()});
    make_secret(aws, GITHUB_SECRET, &github).await;
    let headers = json!({"Name": HEADERS_SECRET, "SecretString": HEADERS});
    aws.call(SECRETS, "CreateSecret", headers).await;
}

/// Stores the webhook's secrets, as `ecsrunner setup` does after an apply.
pub(crate) async fn make_webhook_secret(aws: &Aws, webhook_secrets: [&str; 2]) {
    // The list holds the older secret too, as during a rotation.
    make_secret(aws, WEBHOOK_SECRET, &json!({"secrets": webhook_secrets})).await;
}

async fn make_secret(aws: &Aws, name: &str, value: &Value) {
    let input = json!({"Name": name, "SecretString": value.to_string()});
    aws.call(SECRETS, "CreateSecret", input).await;
}

async fn make_parameters(aws: &Aws, queues: &Queues) {
    let deployment = json!({
        "version": 1,
        "state_table": "ecsrunner-chain-state",
        "boot_table": "ecsrunner-chain-boot",
        "boot_owner": BOOT_OWNER,
        "boot_owner_exec": BOOT_OWNER_EXEC,
        "cluster": format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{CLUSTER}"),
        "subnets": SUBNETS,
        "security_groups": ["sg-0cccccccccccccccc"],
        "assign_public_ip": true,
        "task_definitions": {
            "default/x64": format!("{}:1", FAMILIES[0]),
            "default/x64/exec": format!("{}:1", FAMILIES[1]),
        },
        "queue_url": queues.kicks,
        "webhook_secret": WEBHOOK_SECRET,
        "github_secret": GITHUB_SECRET,
        "log_group": "/ecsrunner/chain/runners",
        "questions_function": QUESTIONS,
        // A range of GitHub's that this deployment does not accept webhooks from.
        "webhook_sources": {"cidrs": ["192.30.252.0/22"], "github_as_of": "2026-08-29"},
        "paused": false,
    });
    let settings = json!({
        "version": 1,
        "deployment": DEPLOYMENT,
        "repositories": ["acme/*"],
        // A short value, so that the test need not wait for half a minute.
        "limits": {"surplus_grace_secs": 1},
    });
    let classes = json!({"small": {"cpu": 512, "memory": 1024, "exec": true}});
    for (name, value) in [("deployment", deployment), ("settings", settings), ("classes", classes)] {
        let name = format!("/ecsrunner/{DEPLOYMENT}/{name}");
        aws.call(SSM, "PutParameter", json!({"Name": name, "Type": "String", "Value": value.to_string()}))
            .await;
    }
}

/// Creates the functions, with the control plane's dead-letter path and queue; returns the control plane's ARN.
async fn make_functions(aws: &Aws, archive: &Path, fakes: &Fakes<'_>) -> Value {
    let control_plane = json!({
        "ECSRUNNER_RECORD_CALLS": "1",
        "AWS_ENDPOINT_URL_ECS": fakes.ecs,
        "AWS_ENDPOINT_URL_CODEBUILD": fakes.builds,
        "AWS_ENDPOINT_URL_ECR": fakes.builds,
        "OTEL_EXPORTER_OTLP_ENDPOINT": fakes.collector,
        "ECSRUNNER_OTLP_HEADERS_SECRET": HEADERS_SECRET,
    });
    let made = make_function(aws, archive, FUNCTION, control_plane, fakes).await;
    let questions = json!({"ECSRUNNER_ANSWERS_QUESTIONS": "1"});
    make_function(aws, archive, QUESTIONS, questions, fakes).await;
    let failed = json!({
        "MaximumRetryAttempts": 2,
        "DestinationConfig": {"OnFailure": {"Destination": queue_arn("ecsrunner-chain-events-dead")}},
    });
    let path = format!("/2019-09-25/functions/{FUNCTION}/event-invoke-config");
    aws.lambda(Method::PUT, &path, failed).await;
    let mapping = json!({
        "FunctionName": FUNCTION,
        "EventSourceArn": queue_arn("ecsrunner-chain-kicks"),
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "BatchSize": 10,
    });
    aws.lambda(Method::POST, "/2015-03-31/event-source-mappings", mapping).await;
    made["FunctionArn"].clone()
}

async fn make_function(aws: &Aws, archive: &Path, name: &str, own: Value, fakes: &Fakes<'_>) -> Value {
    let mut variables = json!({"ECSRUNNER_DEPLOYMENT": DEPLOYMENT, "GITHUB_API_URL": fakes.github});
    variables.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    let function = json!({
        "FunctionName": name,
        "Runtime": "provided.al2023",
        "Handler": "bootstrap",
        "Role": format!("arn:aws:iam::{ACCOUNT}:role/{name}"),
        "MemorySize": 128,
        "Timeout": 60,
        "Environment": {"Variables": variables},
        "Code": {"ZipFile": BASE64_STANDARD.encode(std::fs::read(archive).unwrap())},
    });
    aws.lambda(Method::POST, "/2015-03-31/functions", function).await
}

async fn make_rules(aws: &Aws, function: &Value) {
    aws.call(EVENTS, "CreateEventBus", json!({"Name": BUS})).await;
    let webhooks = json!({"source": ["ecsrunner.webhook"]});
    let tasks = json!({
        "source": ["aws.ecs"],
        "detail-type": ["ECS Task State Change"],
        "detail": {"lastStatus": ["RUNNING", "STOPPED"]},
    });
    for (bus, rule, pattern) in [(BUS, WEBHOOK_RULE, webhooks), ("default", TASK_RULE, tasks)] {
        let input = json!({"Name": rule, "EventBusName": bus, "EventPattern": pattern.to_string()});
        aws.call(EVENTS, "PutRule", input).await;
        let targets = json!([{"Id": "control-plane", "Arn": function}]);
        aws.call(EVENTS, "PutTargets", json!({"Rule": rule, "EventBusName": bus, "Targets": targets})).await;
    }
}
