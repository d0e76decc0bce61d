//! The types of requests, with AWS's names. A member that the fake does not know is refused.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::reply::Refusal;

/// Removes the null members of a request, which AWS's SDKs omit.
pub(super) fn without_nulls(request: &Value) -> Value {
    match request {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), without_nulls(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

pub(super) fn parse<T: DeserializeOwned>(request: &Value) -> Result<T, Refusal> {
    T::deserialize(request).map_err(|error| Refusal::new("SerializationException", error.to_string()))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RunTask {
    pub cluster: Option<String>,
    pub task_definition: String,
    pub count: Option<i64>,
    pub client_token: Option<String>,
    pub started_by: Option<String>,
    pub group: Option<String>,
    #[serde(default)]
    pub tags: Vec<Tag>,
    pub overrides: Option<TaskOverride>,
    pub network_configuration: Option<NetworkConfiguration>,
    pub launch_type: Option<String>,
    #[serde(default)]
    pub capacity_provider_strategy: Vec<StrategyItem>,
    #[serde(default)]
    pub enable_execute_command: bool,
    #[expect(dead_code, reason = "accepted, without effect here")]
    #[serde(rename = "enableECSManagedTags")]
    pub enable_managed_tags: Option<bool>,
    pub platform_version: Option<String>,
    pub propagate_tags: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ExecuteCommand {
    pub cluster: Option<String>,
    pub container: Option<String>,
    pub command: String,
    pub interactive: bool,
    pub task: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tag {
    pub key: String,
    #[serde(default)]
    pub value: String,
}

/// The overrides of a task. Image, architecture and secrets cannot be overridden.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TaskOverride {
    #[serde(default)]
    pub container_overrides: Vec<ContainerOverride>,
    pub cpu: Option<String>,
    pub memory: Option<String>,
    pub ephemeral_storage: Option<EphemeralStorage>,
    pub task_role_arn: Option<String>,
    #[expect(dead_code, reason = "accepted, without effect here")]
    pub execution_role_arn: Option<String>,
    #[expect(dead_code, reason = "accepted, without effect here")]
    pub inference_accelerator_overrides: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ContainerOverride {
    pub name: Option<String>,
    #[serde(default)]
    pub environment: Vec<Variable>,
    #[expect(dead_code, reason = "accepted, without effect here")]
    pub command: Option<Vec<String>>,
    #[expect(dead_code, reason = "accepted, without effect here")]
    pub environment_files: Option<Value>,
    #[expect(dead_code, reason = "accepted, without effect here")]
    pub cpu: Option<u32>,
    #[expect(dead_code, reason = "accepted, without effect here")]
    pub memory: Option<u32>,
    #[expect(dead_code, reason = "accepted, without effect here")]
    pub memory_reservation: Option<u32>,
    #[expect(dead_code, reason = "accepted, without effect here")]
    pub resource_requirements: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Variable {
    pub name: String,
    pub value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EphemeralStorage {
    #[serde(rename = "sizeInGiB")]
    pub size_in_gib: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NetworkConfiguration {
    pub awsvpc_configuration: Option<AwsVpcConfiguration>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AwsVpcConfiguration {
    pub subnets: Vec<String>,
    #[serde(default)]
    pub security_groups: Vec<String>,
    pub assign_public_ip: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StrategyItem {
    pub capacity_provider: String,
    #[serde(default)]
    pub weight: u32,
    #[serde(default)]
    pub base: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StopTask {
    pub cluster: Option<String>,
    pub task: String,
    pub reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DescribeTasks {
    pub cluster: Option<String>,
    pub tasks: Vec<String>,
    #[serde(default)]
    pub include: Vec<String>,
}

/// DescribeContainerInstances, and UpdateContainerInstancesState with a status.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ContainerInstances {
    pub cluster: Option<String>,
    pub container_instances: Vec<String>,
    pub status: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListTasks {
    pub cluster: Option<String>,
    pub container_instance: Option<String>,
    pub family: Option<String>,
    pub service_name: Option<String>,
    pub launch_type: Option<String>,
    pub started_by: Option<String>,
    pub desired_status: Option<String>,
    pub max_results: Option<i64>,
    pub next_token: Option<String>,
}
