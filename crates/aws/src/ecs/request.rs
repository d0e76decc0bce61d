//! Converts an order to RunTask's parameters. The function is pure, so a repeated
//! attempt sends exactly the same request with the same token.

use aws_sdk_ecs::operation::run_task::RunTaskInput;
use aws_sdk_ecs::operation::run_task::builders::RunTaskInputBuilder;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, ContainerOverride, EphemeralStorage,
    KeyValuePair, NetworkConfiguration, Tag, TaskOverride,
};
use ecsrunner_core::id::SubnetId;
use ecsrunner_core::records::task::TaskFacts;
use ecsrunner_core::rules::placement::Placement;
use ecsrunner_core::wire::environment;
use ecsrunner_engine::ports::compute::{ComputeError, TaskOrder};

use super::Fleet;
use super::agent::AGENT_URL;
use super::definition::{DEFAULT_IMAGE, Variant};
use crate::task::CONTAINER;

/// The tag with the name of the runner or of the warm task.
pub(super) const RUNNER_TAG: &str = "ecsrunner:runner";
/// The storage of a Fargate task by default, in GiB. A request needs at least 21.
const FREE_STORAGE_GIB: u32 = 20;
/// AWS's limit for a tag's value.
const TAG_CHARS: usize = 256;
/// StopTask's reference has said 255 and 1024. The lower limit is safe for both.
const REASON_CHARS: usize = 255;

/// `link` is where GitHub's own image finds the agent.
pub(super) fn run_task(
    fleet: &Fleet,
    order: &TaskOrder<'_>,
    link: Option<&str>,
) -> Result<RunTaskInputBuilder, ComputeError> {
    let task = order.task;
    let provider = provider(fleet, order.placement)?;
    let definition = definition(fleet, task, order.placement)?;
    let provider = CapacityProviderStrategyItem::builder()
        .capacity_provider(provider)
        .weight(1)
        .build()
        .map_err(impossible)?;
    Ok(RunTaskInput::builder()
        .cluster(&fleet.cluster)
        .task_definition(definition)
        .count(1)
        .capacity_provider_strategy(provider)
        .network_configuration(network(fleet, order.placement)?)
        .overrides(overrides(fleet, task, order.placement, link))
        .enable_execute_command(task.exec)
        .enable_ecs_managed_tags(false)
        .started_by(fleet.started_by())
        .client_token(order.token.as_str())
        .set_tags(Some(tags(fleet, task))))
}

/// Returns the name of the capacity provider of a placement.
pub(super) fn provider<'a>(fleet: &'a Fleet, placement: &Placement) -> Result<&'a str, ComputeError> {
    let Some(class) = &placement.managed else { return Ok(placement.market.capacity_provider()) };
    let provider = fleet.capacity_providers.get(class).and_then(|of_class| of_class.of(placement.market));
    provider.ok_or_else(|| ComputeError::Unsendable {
        message: format!("the deployment has no capacity provider for `{placement}`"),
    })
}

/// Returns the task definition of a task, of the kind that its placement needs, which was chosen when the runner was reserved. A
/// class with services, or on managed instances, has its own, and no other serves it: the services or the privileges would
/// be missing.
fn definition<'a>(
    fleet: &'a Fleet,
    task: &TaskFacts,
    placement: &Placement,
) -> Result<&'a String, ComputeError> {
    let missing = |name: String| ComputeError::Unsendable {
        message: format!("the deployment has no task definition {name}"),
    };
    let of_class = fleet.service_definitions.get(&task.class);
    let is_managed = fleet.capacity_providers.contains_key(&task.class);
    match (of_class, placement.managed.is_some()) {
        (None, true) => Err(missing(format!("of class `{}`", task.class))),
        // An apply has moved the class to instances since.
        (_, false) if is_managed => Err(missing(format!("of class `{}` for Fargate", task.class))),
        (Some(of_class), _) => {
            let image = task.image.as_deref().unwrap_or(DEFAULT_IMAGE);
            let name = || format!("of class `{}` with the image `{image}`", task.class);
            of_class.get(image).ok_or_else(|| missing(name()))
        }
        (None, false) => {
            let variant = Variant::new(task.image.as_deref(), task.size.arch(), task.exec);
            fleet.task_definitions.get(&variant).ok_or_else(|| missing(format!("`{variant}`")))
        }
    }
}

fn network(fleet: &Fleet, placement: &Placement) -> Result<NetworkConfiguration, ComputeError> {
    // The capacity provider starts an instance in any of the subnets, and the task must be able to follow it.
    let subnets = match &placement.subnet {
        Some(subnet) if placement.managed.is_none() => std::slice::from_ref(subnet),
        _ => &fleet.network.subnets,
    };
    // A task on an instance cannot have a public address: Terraform refuses a network where it would need one.
    let public_ip = if fleet.network.assign_public_ip && placement.managed.is_none() {
        AssignPublicIp::Enabled
    } else {
        AssignPublicIp::Disabled
    };
    let vpc = AwsVpcConfiguration::builder()
        .set_subnets(Some(subnets.iter().map(SubnetId::to_string).collect()))
        .set_security_groups(Some(fleet.network.security_groups.clone()))
        .assign_public_ip(public_ip)
        .build()
        .map_err(impossible)?;
    Ok(NetworkConfiguration::builder().awsvpc_configuration(vpc).build())
}

fn overrides(fleet: &Fleet, task: &TaskFacts, placement: &Placement, link: Option<&str>) -> TaskOverride {
    // On managed instances the task definition has the size, and the capacity provider the storage.
    let is_managed = placement.managed.is_some();
    let storage = if is_managed { 0 } else { task.size.ephemeral_storage_gib() };
    let storage = i32::try_from(storage).ok().filter(|_| storage > FREE_STORAGE_GIB);
    let variable = |name: &str, value: &str| KeyValuePair::builder().name(name).value(value).build();
    let mut container = ContainerOverride::builder()
        .name(CONTAINER)
        .environment(variable(environment::RUNNER, task.name.as_str()))
        .environment(variable(environment::CAPACITY_PROVIDER, &placement.provider()));
    for (name, value) in (fleet.environment)(task) {
        if name != environment::RUNNER {
            container = container.environment(variable(&name, &value));
        }
    }
    if let Some(link) = link {
        container = container.environment(variable(AGENT_URL, link));
    }
    TaskOverride::builder()
        .set_cpu((!is_managed).then(|| task.size.cpu().to_string()))
        .set_memory((!is_managed).then(|| task.size.memory().to_string()))
        .set_ephemeral_storage(storage.map(|gib| EphemeralStorage::builder().size_in_gib(gib).build()))
        .container_overrides(container.build())
        .build()
}

fn tags(fleet: &Fleet, task: &TaskFacts) -> Vec<Tag> {
    // A warm task keeps its tags when a runner takes it over, so it has none of a pool or a repository.
    let pool = task.pool.as_ref().map(|pool| ("ecsrunner:pool", pool.as_str()));
    let repository = task.repository.as_ref().map(|repository| ("ecsrunner:repository", repository.as_str()));
    [
        Some(("ecsrunner:deployment", fleet.deployment.as_str())),
        Some((RUNNER_TAG, task.name.as_str())),
        pool,
        repository,
        Some(("ecsrunner:class", task.class.as_str())),
    ]
    .into_iter()
    .flatten()
    .map(|(key, value)| Tag::builder().key(key).value(tag_value(value)).build())
    .collect()
}

/// AWS allows letters, digits, spaces and `+ - = . _ : / @` in a tag's value.
fn tag_value(text: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || " +-=._:/@".contains(c);
    text.chars().take(TAG_CHARS).map(|c| if allowed(c) { c } else { '_' }).collect()
}

pub(super) fn stop_reason(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_CHARS).collect()
}

/// Converts a builder's error. It cannot occur, since all required fields are set above.
fn impossible(error: aws_sdk_ecs::error::BuildError) -> ComputeError {
    ComputeError::Refused { message: error.to_string() }
}

#[cfg(test)]
mod tests;
