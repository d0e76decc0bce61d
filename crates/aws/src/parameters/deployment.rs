//! The resources of a deployment.

use std::collections::{BTreeMap, BTreeSet};

use ecsrunner_core::cidr::Cidr;
use ecsrunner_core::id::SubnetId;
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::class::{Class, ClassError};
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::image::{ImageRules, OFFICIAL, RunnerVersion};
use serde::Deserialize;
use serde_json::Value;

use super::document::{Document, Keys};
use crate::ecs::agent::AgentObject;
use crate::ecs::definition::{DEFAULT_IMAGE, ServiceDefinitions, TaskDefinitions, Variant};
use crate::ecs::{CapacityProviders, Network};
use crate::store::{BootOwners, Tables};

/// The parameter `/ecsrunner/<deployment>/deployment`, as Terraform writes it:
///
/// ```json
/// {
///   "version": 1,
///   "state_table": "ecsrunner-ci-state",
///   "boot_table": "ecsrunner-ci-boot",
///   "boot_owner": "AROAEXAMPLEROLEID",
///   "boot_owner_exec": "AROAEXAMPLEEXECID",
///   "cluster": "arn:aws:ecs:eu-west-1:123456789012:cluster/ecsrunner-ci",
///   "subnets": ["subnet-0123456789abcdef0"],
///   "security_groups": ["sg-0123456789abcdef0"],
///   "assign_public_ip": true,
///   "task_definitions": {
///     "default/x64": "ecsrunner-ci-default-x64:3",
///     "default/x64/exec": "ecsrunner-ci-default-x64-exec:3",
///     "android/arm64": "arn:aws:ecs:eu-west-1:123456789012:task-definition/ecsrunner-ci-android-arm64:1"
///   },
///   "service_definitions": {"with-db": {"default": "ecsrunner-ci-services_with-db_default:2"}},
///   "capacity_providers": {"images": {"on-demand": "runners-ci-images"}},
///   "queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/ecsrunner-ci-kicks",
///   "webhook_url": "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/live/webhook",
///   "webhook_secret": "arn:aws:secretsmanager:…",
///   "github_secret": "arn:aws:secretsmanager:…",
///   "log_group": "/ecsrunner/ci/runners",
///   "questions_function": "ecsrunner-ci-questions",
///   "github_api_url": "https://api.github.com",
///   "agents": {"x64": {"bucket": "…", "key": "agent/x64/ecsrunner-agent", "version": "…"}},
///   "image": {"builder": "codebuild", "repository": "ecsrunner-ci-runner",
///             "projects": {"x64": "ecsrunner-ci-image-x64"}, "sources": "0123456789ab", "tag": "1",
///             "runner_version": null, "plain": true},
///   "webhook_sources": {"cidrs": ["192.30.252.0/22", "2606:50c0::/32"], "github_as_of": "2026-08-29"},
///   "paused": false
/// }
/// ```
///
/// `version`, `assign_public_ip` (false), `service_definitions`, `capacity_providers`, `questions_function`, `github_api_url`,
/// `agents`, `image`, `paused` (false) and `webhook_url` may be missing.
/// A key of `task_definitions` is `<image>/<arch>`, followed by `/exec` if ECS Exec
/// is on. The deployment's own image is called `default`; other images have the
/// name that a class's `image` gives. `<arch>` is `x64` or `arm64`. Other keys of
/// the parameter are ignored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeploymentFacts {
    /// The tables. `boot_owner` and `boot_owner_exec` are the unique ids of the
    /// tasks' roles, without ECS Exec and with it.
    pub tables: Tables,
    /// The cluster, by name or ARN.
    pub cluster: String,
    /// Subnets, security groups and whether tasks get public addresses.
    pub network: Network,
    pub task_definitions: TaskDefinitions,
    /// Those of classes that declare services or run on managed instances, by class and image. The version before had none.
    pub service_definitions: ServiceDefinitions,
    /// Of classes on managed instances. Without such a class, as in the version before, there is no such key.
    pub capacity_providers: CapacityProviders,
    /// The URL of the kicks' queue.
    pub queue_url: String,
    /// Where GitHub sends webhooks. Only `ecsrunner setup` needs it, and the version before wrote none.
    pub webhook_url: Option<String>,
    /// The secret with the webhook secrets, by name or ARN.
    pub webhook_secret: String,
    /// The secret with GitHub's credentials, by name or ARN.
    pub github_secret: String,
    /// The log group of the runners.
    pub log_group: String,
    /// The agents for tasks that start from GitHub's own image. The version before had none.
    pub agents: BTreeMap<Arch, AgentObject>,
    /// The deployment's own image; `None` in parameters of the version before.
    pub image: Option<ImageFacts>,
    /// The function that answers operators' questions; `None` if the deployment has none, as before it did.
    pub questions_function: Option<String>,
    /// GitHub's API, as the control plane calls it. Only `ecsrunner doctor` needs it, and the version before wrote none.
    pub github_api_url: Option<String>,
    /// The addresses that may send webhooks, or why they cannot be read. Only `ecsrunner doctor` needs them, so a
    /// mistake there stops nothing. The version before wrote none.
    pub webhook_sources: Result<WebhookSources, String>,
    /// Whether launches are paused.
    pub paused: bool,
}

/// The addresses from which the webhook accepts requests.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct WebhookSources {
    pub cidrs: Vec<Cidr>,
    /// The date of GitHub's list, such as `2026-08-29`; `None` if the list is the operator's own.
    pub github_as_of: Option<String>,
}

/// What the deployment's own image is made of, and where it is built.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageFacts {
    /// Whether the control plane has it built.
    pub is_built: bool,
    /// The repository in ECR.
    pub repository: Option<String>,
    /// The CodeBuild projects.
    pub projects: BTreeMap<Arch, String>,
    /// A hash of everything that it is made of, except the runner.
    pub sources: String,
    /// The operator's own part of the tag.
    pub tag: String,
    /// The runner's version, if the operator has chosen one.
    pub runner_version: Option<RunnerVersion>,
    /// Whether nothing of the operator's own is in it.
    pub is_plain: bool,
}

impl DeploymentFacts {
    /// The rules by which images are chosen and built.
    #[must_use]
    pub fn image_rules(&self) -> Option<ImageRules> {
        let image = self.image.as_ref()?;
        let has = |name: &str, arch: Arch| {
            self.task_definitions.contains_key(&Variant::new(Some(name), arch, false))
                || self.task_definitions.contains_key(&Variant::new(Some(name), arch, true))
        };
        let with = |name: &'static str| Arch::ALL.into_iter().filter(move |arch| has(name, *arch));
        let built = if image.is_built { image.projects.keys().copied().collect() } else { BTreeSet::new() };
        let given = with(DEFAULT_IMAGE).filter(|arch| !built.contains(arch)).collect();
        let official = with(OFFICIAL).filter(|arch| self.agents.contains_key(arch)).collect();
        Some(ImageRules {
            official,
            given,
            built,
            sources: image.sources.clone(),
            tag: image.tag.clone(),
            pinned: image.runner_version,
            is_plain: image.is_plain,
        })
    }

    /// Returns the fault of a class whose services no task definition has, or that has no managed instances to run on. Without
    /// it, its tasks would start without services, or not at all.
    pub(super) fn undefined(&self, class: &Class) -> Option<ClassError> {
        let image = class.image.as_deref().unwrap_or(DEFAULT_IMAGE);
        let has = || self.service_definitions.get(&class.name).is_some_and(|of| of.contains_key(image));
        if class.is_managed() {
            let unprovided = |what| ClassError::Unprovided { class: class.name.to_string(), what };
            let providers = self.capacity_providers.get(&class.name);
            let lacks = |market: &Market| providers.and_then(|of_class| of_class.of(*market)).is_none();
            // A job that was interrupted twice asks for On-Demand, whatever its class has.
            let needed = Market::all_of(class.capacity).iter().chain([&Market::OnDemand]);
            if let Some(market) = needed.into_iter().find(|market| lacks(market)) {
                return Some(unprovided(format!("{market} capacity provider")));
            }
            if self.network.assign_public_ip {
                return Some(ClassError::PublicAddress { class: class.name.to_string() });
            }
            return (!has()).then(|| unprovided(format!("task definition with the image `{image}`")));
        }
        let is_missing = !class.services.is_empty() && !has();
        is_missing.then(|| ClassError::Undefined { class: class.name.to_string(), image: image.to_owned() })
    }

    pub(super) fn read(document: &Document, mistakes: &mut Vec<String>) -> Option<Self> {
        let mut own = Vec::new();
        let read = Self::read_keys(document, &mut own);
        mistakes.append(&mut own);
        read
    }

    fn read_keys(document: &Document, mistakes: &mut Vec<String>) -> Option<Self> {
        let mut keys = Keys::of(document, mistakes)?;
        if let Some(version) = document.value.get("version").filter(|version| **version != 1) {
            keys.mistake("version", format_args!("is {version}: this release reads 1"));
        }
        let facts = Self {
            tables: Tables {
                state: keys.text("state_table"),
                boot: keys.text("boot_table"),
                boot_owners: BootOwners {
                    plain: keys.text("boot_owner"),
                    exec: keys.text("boot_owner_exec"),
                },
            },
            cluster: keys.text("cluster"),
            network: Network {
                subnets: keys
                    .list("subnets", |text| SubnetId::parse(text).map_err(|error| error.to_string())),
                security_groups: keys.list("security_groups", |text| Ok(text.to_owned())),
                assign_public_ip: keys.flag("assign_public_ip", false),
            },
            task_definitions: task_definitions(&mut keys),
            service_definitions: keys.parsed("service_definitions", &[]).unwrap_or_default(),
            capacity_providers: keys.parsed("capacity_providers", &[]).unwrap_or_default(),
            queue_url: keys.text("queue_url"),
            webhook_url: document.value.get("webhook_url").and_then(Value::as_str).map(str::to_owned),
            webhook_secret: keys.text("webhook_secret"),
            github_secret: keys.text("github_secret"),
            log_group: keys.text("log_group"),
            agents: agents(&mut keys),
            image: image(&mut keys),
            questions_function: keys.optional_text("questions_function"),
            github_api_url: keys.optional_text("github_api_url"),
            webhook_sources: webhook_sources(&document.value),
            paused: keys.flag("paused", false),
        };
        if facts.network.subnets.is_empty() && !keys.has_mistakes() {
            keys.mistake("subnets", "is empty: at least one is needed");
        }
        (!keys.has_mistakes()).then_some(facts)
    }
}

fn task_definitions(keys: &mut Keys<'_>) -> TaskDefinitions {
    const KEY: &str = "task_definitions";
    let mut definitions = TaskDefinitions::new();
    for (name, definition) in keys.map(KEY) {
        match Variant::parse(name) {
            Some(variant) => drop(definitions.insert(variant, definition.to_owned())),
            None => keys.mistake(
                KEY,
                format_args!(
                    "has the key `{name}`: `<image>/<x64 or arm64>`, with or without `/exec`, is expected"
                ),
            ),
        }
    }
    definitions
}

fn agents(keys: &mut Keys<'_>) -> BTreeMap<Arch, AgentObject> {
    #[derive(Deserialize)]
    struct Entry {
        bucket: String,
        key: String,
        version: String,
    }
    let entries: BTreeMap<Arch, Entry> = keys.parsed("agents", &[]).unwrap_or_default();
    let object = |entry: Entry| AgentObject { bucket: entry.bucket, key: entry.key, version: entry.version };
    entries.into_iter().map(|(arch, entry)| (arch, object(entry))).collect()
}

fn image(keys: &mut Keys<'_>) -> Option<ImageFacts> {
    const KEY: &str = "image";
    #[derive(Deserialize)]
    struct Entry {
        builder: String,
        #[serde(default)]
        repository: Option<String>,
        #[serde(default)]
        projects: BTreeMap<Arch, String>,
        sources: String,
        tag: String,
        #[serde(default)]
        runner_version: Option<String>,
        plain: bool,
    }
    let least: [(&str, toml::Value); 4] =
        [("builder", "none".into()), ("sources", "".into()), ("tag", "".into()), ("plain", true.into())];
    let entry: Entry = keys.parsed(KEY, &least)?;
    let is_built = match entry.builder.as_str() {
        "codebuild" => true,
        "docker" | "none" => false,
        other => {
            let expected = "`codebuild`, `docker` or `none` is expected";
            keys.mistake(KEY, format_args!("has the builder `{other}`: {expected}"));
            false
        }
    };
    let runner_version = match entry.runner_version.as_deref().map(RunnerVersion::parse).transpose() {
        Ok(version) => version,
        Err(error) => {
            keys.mistake(KEY, format_args!("has an invalid `runner_version`: {error}"));
            None
        }
    };
    Some(ImageFacts {
        is_built,
        repository: entry.repository,
        projects: entry.projects,
        sources: entry.sources,
        tag: entry.tag,
        runner_version,
        is_plain: entry.plain,
    })
}

fn webhook_sources(document: &Value) -> Result<WebhookSources, String> {
    const KEY: &str = "webhook_sources";
    let value =
        document.get(KEY).ok_or_else(|| format!("`{KEY}` is missing in the parameter `deployment`"))?;
    WebhookSources::deserialize(value)
        .map_err(|error| format!("`{KEY}` in the parameter `deployment` cannot be read: {error}"))
}
