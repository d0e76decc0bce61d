//! Validates RunTask requests.

use std::collections::BTreeMap;

use ecsrunner_core::rules::class::size::Size;
use serde_json::{Value, json};

use super::options::{Options, TaskDefinition};
use super::reply::Refusal;
use super::request::{NetworkConfiguration, RunTask, StrategyItem, Tag, TaskOverride};
use super::task::Provider;

/// "A total of 8192 characters are allowed for overrides", its JSON included (RunTask's reference).
const MAX_OVERRIDES: usize = 8192;
const MAX_TAGS: usize = 50;
const MAX_STARTED_BY: usize = 128;
const MAX_TOKEN: usize = 64;
const MAX_SUBNETS: usize = 16;
const MAX_SECURITY_GROUPS: usize = 5;

/// A valid request of RunTask.
#[derive(Debug)]
pub(super) struct Launch {
    pub cluster: String,
    pub definition: TaskDefinition,
    pub count: u32,
    pub token: Option<String>,
    pub started_by: Option<String>,
    pub group: String,
    pub tags: BTreeMap<String, String>,
    /// The overrides as they were sent.
    pub overrides: Value,
    /// The environment from the overrides, of all containers together.
    pub environment: BTreeMap<String, String>,
    pub size: Size,
    pub subnets: Vec<String>,
    pub capacity: Capacity,
    pub execute_command: bool,
}

/// The requested capacity.
#[derive(Debug)]
pub(super) enum Capacity {
    /// The launch type FARGATE.
    LaunchType,
    Strategy(Vec<Share>),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    provider: Provider,
    weight: u32,
    base: u32,
}

impl Capacity {
    /// Whether all of it are Managed Instances.
    fn is_managed(&self) -> bool {
        matches!(self, Self::Strategy(shares) if shares.iter().all(|share| share.provider.is_managed()))
    }

    /// Returns the provider of each of `count` tasks: bases first, then by weight.
    pub(super) fn allot(&self, count: u32) -> Vec<Provider> {
        let Self::Strategy(shares) = self else {
            return (0..count).map(|_| Provider::Fargate).collect();
        };
        let count = count as usize;
        let based = shares.iter().flat_map(|share| (0..share.base).map(|_| share.provider));
        let mut allotted: Vec<Provider> = based.take(count).collect();
        let mut given = vec![0_u32; shares.len()];
        while allotted.len() < count {
            // The share that is furthest behind its weight, or the first of equal ones.
            let next = (0..shares.len()).filter(|&i| shares[i].weight > 0).min_by(|&a, &b| {
                let cost = |i: usize, other: usize| u64::from(given[i] + 1) * u64::from(shares[other].weight);
                cost(a, b).cmp(&cost(b, a))
            });
            let Some(next) = next else { break };
            given[next] += 1;
            allotted.push(shares[next].provider);
        }
        allotted
    }
}

impl Launch {
    /// Checks a request as ECS does before it looks for capacity.
    pub(super) fn check(request: RunTask, overrides: &Value, options: &Options) -> Result<Self, Refusal> {
        let cluster = cluster_name(request.cluster.as_deref(), options)?;
        let count = u32::try_from(request.count.unwrap_or(1)).unwrap_or(0);
        if !(1..=10).contains(&count) {
            return Err(Refusal::invalid("Count must be between 1 and 10."));
        }
        check_token(request.client_token.as_deref())?;
        check_started_by(request.started_by.as_deref())?;
        check_words(&request)?;
        let definition = find_definition(&request.task_definition, options)?;
        let task_override = request.overrides.unwrap_or_default();
        if !overrides.is_null() && overrides.to_string().chars().count() > MAX_OVERRIDES {
            return Err(Refusal::invalid("Container Overrides length must be at most 8192"));
        }
        if request.enable_execute_command
            && definition.task_role_arn.is_none()
            && task_override.task_role_arn.is_none()
        {
            return Err(Refusal::invalid(
                "The task couldn't be started because a valid taskRoleArn is not being used. \
                 Specify a valid task role in your task definition and try again.",
            ));
        }
        let capacity =
            check_capacity(request.launch_type.as_deref(), &request.capacity_provider_strategy, options)?;
        Ok(Self {
            cluster,
            count,
            subnets: check_network(request.network_configuration, capacity.is_managed(), options)?,
            tags: check_tags(request.tags)?,
            size: check_size(&task_override, &definition, capacity.is_managed())?,
            capacity,
            environment: check_environment(task_override, &definition)?,
            token: request.client_token,
            started_by: request.started_by,
            group: request.group.unwrap_or_else(|| format!("family:{}", definition.family)),
            overrides: if overrides.is_null() {
                json!({"containerOverrides": []})
            } else {
                overrides.clone()
            },
            execute_command: request.enable_execute_command,
            definition,
        })
    }
}

/// Returns the name of an existing cluster.
pub(super) fn cluster_name(asked: Option<&str>, options: &Options) -> Result<String, Refusal> {
    let asked = asked.unwrap_or("default");
    let prefix = format!("arn:aws:ecs:{}:{}:cluster/", options.region, options.account);
    let name = asked.strip_prefix(&prefix).unwrap_or(asked);
    let known = options.clusters.iter().find(|cluster| *cluster == name);
    known.cloned().ok_or_else(Refusal::cluster_not_found)
}

fn check_token(token: Option<&str>) -> Result<(), Refusal> {
    let Some(token) = token else { return Ok(()) };
    let valid = (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    if valid {
        Ok(())
    } else {
        Err(Refusal::invalid("clientToken must be 1 to 64 characters in the range 33-126."))
    }
}

fn check_started_by(started_by: Option<&str>) -> Result<(), Refusal> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-/_".contains(&byte);
    match started_by {
        Some(text) if text.len() > MAX_STARTED_BY || !text.bytes().all(allowed) => Err(Refusal::invalid(
            "startedBy must be up to 128 letters, numbers, hyphens, forward slashes and underscores.",
        )),
        _ => Ok(()),
    }
}

/// Checks members with a fixed set of values.
fn check_words(request: &RunTask) -> Result<(), Refusal> {
    match request.platform_version.as_deref() {
        None | Some("LATEST" | "1.4.0") => {}
        Some(_) => {
            return Err(Refusal::new("PlatformUnknownException", "The specified platform does not exist."));
        }
    }
    match request.propagate_tags.as_deref() {
        None | Some("NONE" | "TASK_DEFINITION") => Ok(()),
        Some(other) => Err(Refusal::invalid(format!("propagateTags {other} is not supported by RunTask."))),
    }
}

/// Finds a task definition by family, by family and revision, or by ARN. Without a revision,
/// the latest is used.
pub(super) fn find_definition(asked: &str, options: &Options) -> Result<TaskDefinition, Refusal> {
    let prefix = format!("arn:aws:ecs:{}:{}:task-definition/", options.region, options.account);
    let name = asked.strip_prefix(&prefix).unwrap_or(asked);
    let (family, revision) = match name.rsplit_once(':') {
        Some((family, revision)) => (family, Some(revision)),
        None => (name, None),
    };
    let fits = |definition: &&TaskDefinition| {
        definition.family == family
            && revision.is_none_or(|revision| revision == definition.revision.to_string())
    };
    let found = options.task_definitions.iter().filter(fits).max_by_key(|definition| definition.revision);
    found.cloned().ok_or_else(|| Refusal::invalid("TaskDefinition not found."))
}

fn check_capacity(
    launch_type: Option<&str>,
    strategy: &[StrategyItem],
    options: &Options,
) -> Result<Capacity, Refusal> {
    match (launch_type, strategy) {
        (Some(_), [_, ..]) => Err(Refusal::invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. \
             Remove one and try again.",
        )),
        (Some("FARGATE"), []) => Ok(Capacity::LaunchType),
        // The default launch type of ECS is EC2.
        (Some("EC2" | "EXTERNAL") | None, []) => {
            Err(Refusal::invalid("No Container Instances were found in your cluster."))
        }
        (Some(other), []) => Err(Refusal::invalid(format!("Unknown launch type: {other}"))),
        (None, items) => {
            let shares =
                items.iter().map(|item| share(item, options)).collect::<Result<Vec<Share>, Refusal>>()?;
            let managed = shares.iter().filter(|share| share.provider.is_managed()).count();
            if managed != 0 && managed != shares.len() {
                return Err(Refusal::invalid(
                    "A capacity provider strategy cannot contain a mix of capacity providers of different types.",
                ));
            }
            if shares.iter().all(|share| share.weight == 0) {
                return Err(Refusal::invalid(
                    "The capacity provider strategy needs a capacity provider with a weight greater than 0.",
                ));
            }
            Ok(Capacity::Strategy(shares))
        }
    }
}

fn share(item: &StrategyItem, options: &Options) -> Result<Share, Refusal> {
    let provider = match item.capacity_provider.as_str() {
        "FARGATE" => Provider::Fargate,
        "FARGATE_SPOT" => Provider::FargateSpot,
        "runners-managed" if options.managed => Provider::Managed,
        "runners-managed-spot" if options.managed => Provider::ManagedSpot,
        other => {
            return Err(Refusal::invalid(format!(
                "The specified capacity provider '{other}' was not found. Specify a valid name or ARN and try again."
            )));
        }
    };
    Ok(Share { provider, weight: item.weight, base: item.base })
}

fn check_network(
    network: Option<NetworkConfiguration>,
    is_managed: bool,
    options: &Options,
) -> Result<Vec<String>, Refusal> {
    let Some(vpc) = network.and_then(|network| network.awsvpc_configuration) else {
        return Err(Refusal::invalid(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        ));
    };
    if !(1..=MAX_SUBNETS).contains(&vpc.subnets.len()) {
        return Err(Refusal::invalid("subnets must have 1 to 16 items."));
    }
    if vpc.security_groups.len() > MAX_SECURITY_GROUPS {
        return Err(Refusal::invalid("securityGroups can have at most 5 items."));
    }
    if !matches!(vpc.assign_public_ip.as_deref(), None | Some("ENABLED" | "DISABLED")) {
        return Err(Refusal::invalid("assignPublicIp must be ENABLED or DISABLED."));
    }
    if is_managed && vpc.assign_public_ip.as_deref() == Some("ENABLED") {
        return Err(Refusal::invalid("Assign public IP is not supported for this launch type."));
    }
    let unknown = |subnet: &&String| !options.subnets.is_empty() && !options.subnets.contains_key(*subnet);
    match vpc.subnets.iter().find(unknown) {
        None => Ok(vpc.subnets),
        Some(subnet) => Err(Refusal::invalid(format!(
            "Error retrieving subnet information for [{subnet}]: The subnet ID '{subnet}' does not exist"
        ))),
    }
}

fn check_tags(tags: Vec<Tag>) -> Result<BTreeMap<String, String>, Refusal> {
    if tags.len() > MAX_TAGS {
        return Err(Refusal::invalid("Tags can not have more than 50 elements."));
    }
    let mut all = BTreeMap::new();
    for Tag { key, value } in tags {
        let (key_chars, value_chars) = (key.chars().count(), value.chars().count());
        if !(1..=128).contains(&key_chars)
            || value_chars > 256
            || key.to_ascii_lowercase().starts_with("aws:")
        {
            return Err(Refusal::invalid(format!("The tag {key} is not valid.")));
        }
        if all.insert(key.clone(), value).is_some() {
            return Err(Refusal::invalid(format!("Duplicate tag keys found: {key}.")));
        }
    }
    Ok(all)
}

fn check_size(
    task_override: &TaskOverride,
    definition: &TaskDefinition,
    is_managed: bool,
) -> Result<Size, Refusal> {
    let cpu = task_override.cpu.as_deref().map_or(Some(definition.cpu), |text| units(text, "VCPU"));
    let memory = task_override.memory.as_deref().map_or(Some(definition.memory), |text| units(text, "GB"));
    let storage = task_override.ephemeral_storage.as_ref().map(|storage| storage.size_in_gib);
    if storage.is_some_and(|gib| !(21..=200).contains(&gib)) {
        return Err(Refusal::invalid("Ephemeral storage sizeInGiB must be between 21 and 200."));
    }
    if is_managed {
        if storage.is_some() {
            return Err(Refusal::invalid("Ephemeral storage is only supported for tasks on Fargate."));
        }
        let size = cpu.zip(memory).map(|(cpu, memory)| Size::stored(cpu, memory, 20, definition.arch));
        return size.ok_or_else(|| Refusal::client("Invalid setting for container."));
    }
    let size =
        cpu.zip(memory).and_then(|(cpu, memory)| Size::new(cpu, memory, storage, definition.arch).ok());
    size.ok_or_else(|| Refusal::client("No Fargate configuration exists for given values."))
}

/// Parses CPU units or MiB: a number, or a decimal with `suffix`, which multiplies it by 1024.
fn units(text: &str, suffix: &str) -> Option<u32> {
    let text = text.trim().to_ascii_uppercase();
    let Some(decimal) = text.strip_suffix(suffix) else { return text.parse().ok() };
    let units = decimal.trim().parse::<f64>().ok()? * 1024.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and in range")]
    let whole = (units.fract() == 0.0 && (0.0..=1e9).contains(&units)).then_some(units as u32);
    whole
}

fn check_environment(
    task_override: TaskOverride,
    definition: &TaskDefinition,
) -> Result<BTreeMap<String, String>, Refusal> {
    let mut environment = BTreeMap::new();
    for container in task_override.container_overrides {
        let name = container.name.unwrap_or_default();
        if !definition.containers.contains(&name) {
            return Err(Refusal::invalid(format!(
                "Override for container named {name} is not a container in the TaskDefinition."
            )));
        }
        environment.extend(container.environment.into_iter().map(|variable| (variable.name, variable.value)));
    }
    Ok(environment)
}
