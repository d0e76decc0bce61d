//! The AWS services that answer with data of the benchmark.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Asked, Reply, World};
use crate::lambda::calls::Service;

const ACCOUNT: &str = "us-east-1:123456789012";

/// A task as requested by RunTask.
#[derive(Clone, Debug)]
pub(crate) struct LaunchedTask {
    pub(crate) arn: String,
    pub(crate) request: Value,
}

pub(super) fn answer(service: Service, asked: &Asked, world: &mut World) -> Reply {
    let request = asked.json();
    let answered = match (service, asked.target()) {
        (Service::Ecs, "RunTask") => Ok(run_task(request, world)),
        (Service::Ecs, "DescribeTasks") => Ok(json!({"tasks": [], "failures": []})),
        (Service::Ecs, "ListTasks") => Ok(json!({"taskArns": []})),
        (Service::Ecs, "StopTask") => Ok(json!({"task": {}})),
        (Service::Ssm, "GetParameters") => Ok(parameters(&request, world)),
        (Service::Ssm, "GetParameter") => parameter(&request, world),
        (Service::Ssm, "GetParametersByPath") => Ok(parameters_by_path(&request, world)),
        (Service::SecretsManager, "GetSecretValue") => secret(&request, world),
        (Service::Sqs, "SendMessage") => Ok(json!({"MessageId": unique(world)})),
        (Service::StepFunctions, "StartExecution") => Ok(start_execution(&request, world)),
        // The job has ended when the peer's reaper asks.
        (Service::StepFunctions, "DescribeExecution") => {
            Ok(json!({"status": "SUCCEEDED", "startDate": now()}))
        }
        (service, operation) => {
            Err(("UnknownOperationException", format!("{} has no {operation} here", service.name())))
        }
    };
    match answered {
        Ok(body) => Reply::aws(200, &body),
        Err((code, message)) => Reply::aws(400, &json!({"__type": code, "message": message})),
    }
}

type Refusal = (&'static str, String);

fn text<'a>(request: &'a Value, key: &str) -> &'a str {
    request.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// AWS's JSON protocols write times as seconds.
fn now() -> f64 {
    Timestamp::now().as_duration().as_secs_f64()
}

fn unique(world: &mut World) -> String {
    format!("00000000-0000-4000-8000-{:012x}", world.id())
}

fn run_task(request: Value, world: &mut World) -> Value {
    let cluster = text(&request, "cluster").rsplit('/').next().unwrap_or_default().to_owned();
    let arn = format!("arn:aws:ecs:{ACCOUNT}:task/{cluster}/{:032x}", world.id());
    let task = json!({
        "taskArn": arn,
        "clusterArn": format!("arn:aws:ecs:{ACCOUNT}:cluster/{cluster}"),
        "taskDefinitionArn": request.get("taskDefinition"),
        "availabilityZone": "us-east-1a",
        "launchType": "FARGATE",
        "platformVersion": "1.4.0",
        "lastStatus": "PROVISIONING",
        "desiredStatus": "RUNNING",
        "createdAt": now(),
        "cpu": "512",
        "memory": "1024",
        "startedBy": request.get("startedBy"),
        "tags": request.get("tags"),
        "overrides": request.get("overrides"),
        "containers": [{"name": "runner", "lastStatus": "PENDING", "taskArn": arn}],
        "attachments": [{"id": unique(world), "type": "ElasticNetworkInterface", "status": "PRECREATED", "details": []}],
        "version": 1,
    });
    world.task = Some(LaunchedTask { arn, request });
    json!({"tasks": [task], "failures": []})
}

fn described(name: &str, value: &str) -> Value {
    let arn = format!("arn:aws:ssm:{ACCOUNT}:parameter{name}");
    json!({"Name": name, "Type": "String", "Value": value, "Version": 1, "LastModifiedDate": now(), "ARN": arn, "DataType": "text"})
}

fn parameters(request: &Value, world: &World) -> Value {
    let asked = request.get("Names").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let names = || asked.iter().filter_map(Value::as_str);
    let known: Vec<_> =
        names().filter_map(|name| Some(described(name, world.parameters.get(name)?))).collect();
    let unknown: Vec<_> = names().filter(|name| !world.parameters.contains_key(*name)).collect();
    json!({"Parameters": known, "InvalidParameters": unknown})
}

fn parameter(request: &Value, world: &World) -> Result<Value, Refusal> {
    let name = text(request, "Name");
    let value =
        world.parameters.get(name).ok_or_else(|| ("ParameterNotFound", format!("{name} is not there")))?;
    Ok(json!({"Parameter": described(name, value)}))
}

fn parameters_by_path(request: &Value, world: &World) -> Value {
    let path = text(request, "Path");
    let below = world.parameters.iter().filter(|(name, _)| name.starts_with(path));
    json!({"Parameters": below.map(|(name, value)| described(name, value)).collect::<Vec<_>>()})
}

fn secret(request: &Value, world: &World) -> Result<Value, Refusal> {
    let id = text(request, "SecretId");
    let value =
        world.secrets.get(id).ok_or_else(|| ("ResourceNotFoundException", format!("{id} is not there")))?;
    Ok(json!({
        "ARN": id, "Name": id, "SecretString": value, "VersionStages": ["AWSCURRENT"], "CreatedDate": now(),
        "VersionId": "00000000-0000-4000-8000-000000000000",
    }))
}

fn start_execution(request: &Value, world: &mut World) -> Value {
    world.execution_input = Some(text(request, "input").to_owned());
    let machine = text(request, "stateMachineArn").replace(":stateMachine:", ":execution:");
    json!({"executionArn": format!("{machine}:{}", text(request, "name")), "startDate": now()})
}
