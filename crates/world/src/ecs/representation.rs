//! JSON of tasks in the API and in events.

use ecsrunner_core::rules::class::size::Arch;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::launch::Capacity;
use super::options::Options;
use super::task::{Status, Task};

/// The format of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// For callers: times are seconds since 1970.
    Api { tags: bool },
    /// For EventBridge: times are RFC 3339, and there are no tags.
    Event,
}

impl Form {
    fn time(self, at: Timestamp) -> Value {
        match self {
            Self::Api { .. } => {
                #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit a double")]
                let secs = at.as_millisecond() as f64 / 1000.0;
                json!(secs)
            }
            Self::Event => json!(format!("{at:.3}")),
        }
    }
}

pub(super) fn task_json(task: &Task, options: &Options, form: Form) -> Value {
    let launch = &task.launch;
    let definition = &launch.definition;
    let arn =
        |kind: &str, name: &str| format!("arn:aws:ecs:{}:{}:{kind}/{name}", options.region, options.account);
    let zone = options.subnets.get(&task.subnet).cloned().unwrap_or_else(|| format!("{}a", options.region));
    let architecture = match definition.arch {
        Arch::X64 => "x86_64",
        Arch::Arm64 => "arm64",
    };
    let mut shown = json!({
        "attachments": [attachment(task, form)],
        "attributes": [{"name": "ecs.cpu-architecture", "value": architecture}],
        "availabilityZone": zone,
        "clusterArn": arn("cluster", &launch.cluster),
        "containers": containers(task, options),
        "cpu": launch.size.cpu().to_string(),
        "memory": launch.size.memory().to_string(),
        "desiredStatus": task.desired_status(),
        "enableExecuteCommand": launch.execute_command,
        "ephemeralStorage": {"sizeInGiB": launch.size.ephemeral_storage_gib()},
        "group": launch.group,
        "lastStatus": task.status().as_str(),
        "launchType": if task.provider.is_managed() { "MANAGED_INSTANCES" } else { "FARGATE" },
        "overrides": launch.overrides,
        "platformFamily": "Linux",
        "platformVersion": "1.4.0",
        "taskArn": task.arn,
        "taskDefinitionArn": arn("task-definition", &format!("{}:{}", definition.family, definition.revision)),
        "version": task.version,
    });
    if let Some(instance) = &task.instance {
        shown["containerInstanceArn"] = json!(options.instance_arn(&launch.cluster, instance));
    }
    if let Value::Object(shown) = &mut shown {
        add_optional(shown, task, form);
        add_times(shown, task, form);
    }
    shown
}

fn add_optional(shown: &mut Map<String, Value>, task: &Task, form: Form) {
    let mut add = |name: &str, value: Value| {
        shown.insert(name.to_owned(), value);
    };
    if matches!(task.launch.capacity, Capacity::Strategy(_)) {
        add("capacityProviderName", json!(task.provider.as_str()));
    }
    if let Some(started_by) = &task.launch.started_by {
        add("startedBy", json!(started_by));
    }
    if let Some(stop) = &task.stop {
        add("stopCode", json!(stop.code));
        add("stoppedReason", json!(stop.reason));
    }
    if let Form::Api { tags } = form {
        add("healthStatus", json!("UNKNOWN"));
        let tags = task.tags.iter().filter(|_| tags);
        add("tags", tags.map(|(key, value)| json!({"key": key, "value": value})).collect());
    }
    if task.at(Status::Pending).is_some() {
        add("connectivity", json!("CONNECTED"));
    }
}

fn add_times(shown: &mut Map<String, Value>, task: &Task, form: Form) {
    let pending = task.at(Status::Pending);
    let mut times = vec![
        ("createdAt", Some(task.created_at())),
        ("connectivityAt", pending),
        ("pullStartedAt", pending),
        ("pullStoppedAt", task.at(Status::Activating)),
        ("startedAt", task.at(Status::Running)),
        ("stoppingAt", task.stop.as_ref().map(|stop| stop.at)),
        ("executionStoppedAt", task.exit.as_ref().filter(|exit| exit.code.is_some()).map(|exit| exit.at)),
        ("stoppedAt", task.at(Status::Stopped)),
    ];
    if form == Form::Event {
        times.push(("updatedAt", Some(task.updated_at)));
    }
    let known = times.into_iter().filter_map(|(name, at)| Some((name.to_owned(), form.time(at?))));
    shown.extend(known);
}

/// Returns the network interface, whose type has another name in events.
fn attachment(task: &Task, form: Form) -> Value {
    let status = match task.status() {
        Status::Provisioning => "PRECREATED",
        Status::Stopped => "DELETED",
        Status::Deprovisioning => "DETACHING",
        _ => "ATTACHED",
    };
    let mut details = vec![json!({"name": "subnetId", "value": task.subnet})];
    if task.at(Status::Pending).is_some() {
        let id = format!("eni-0{}", &task.id[..16]);
        details.push(json!({"name": "networkInterfaceId", "value": id}));
    }
    json!({
        "id": guid_of(&task.id),
        "type": if form == Form::Event { "eni" } else { "ElasticNetworkInterface" },
        "status": status,
        "details": details,
    })
}

fn containers(task: &Task, options: &Options) -> Value {
    let definition = &task.launch.definition;
    let last_status = match task.status() {
        _ if task.exit.is_some() => "STOPPED",
        Status::Deprovisioning | Status::Stopped => "STOPPED",
        Status::Running | Status::Deactivating | Status::Stopping => "RUNNING",
        Status::Provisioning | Status::Pending | Status::Activating => "PENDING",
    };
    let container = |name: &String| {
        let mut shown = json!({
            "containerArn": format!(
                "arn:aws:ecs:{}:{}:container/{}/{}/{name}",
                options.region, options.account, task.launch.cluster, task.id
            ),
            "taskArn": task.arn,
            "name": name,
            "image": definition.image,
            "lastStatus": last_status,
            "networkInterfaces": [],
            "cpu": "0",
        });
        if task.at(Status::Running).is_some() {
            shown["runtimeId"] = json!(format!("{}-{name}", task.id));
        }
        if let Some(exit) = &task.exit {
            if let Some(code) = exit.code {
                shown["exitCode"] = json!(code);
            }
            if let Some(reason) = &exit.reason {
                shown["reason"] = json!(reason);
            }
        }
        shown
    };
    definition.containers.iter().map(container).collect()
}

fn guid_of(hex: &str) -> String {
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32])
}
