//! Services that a class declares: containers that stand beside the runner on ECS, processes on one machine.
//!
//! A job asks for services in its workflow. [`demand`] compares what it asks for with what the class declares. How a
//! service is started does not belong here.

pub mod demand;
pub mod image;
pub mod offer;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{ParseIdError, ServiceName};
use image::{ImageName, ImageNameError};

/// One service of a class as it is written, unchecked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceEntry {
    /// The image as workflows write it, such as `postgres:17`.
    pub image: String,
    /// The port on which it listens.
    pub port: u32,
    #[serde(default)]
    pub env: Environment,
    /// Replaces the command of the image.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// How to see that it is ready; default: as soon as it runs.
    #[serde(default)]
    pub health: Option<HealthEntry>,
    /// CPU units, of those of the class; default: what the others leave.
    #[serde(default)]
    pub cpu: Option<u32>,
    /// The most memory in MiB, of that of the class; default: what the others leave.
    #[serde(default)]
    pub memory: Option<u32>,
    /// The program and its arguments, on one machine.
    #[serde(default)]
    pub process: Option<Vec<String>>,
}

/// The key `health` of a service as it is written, unchecked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthEntry {
    /// A command line for a shell, which exits with 0 once the service is ready.
    pub command: String,
    /// Default [`Health::DEFAULT_INTERVAL_SECS`].
    #[serde(default)]
    pub interval_secs: Option<u32>,
    /// Default [`Health::DEFAULT_RETRIES`].
    #[serde(default)]
    pub retries: Option<u32>,
}

/// Variables by name. `Debug` shows the names alone: a value may be a password.
#[derive(Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Environment(pub BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Environment {
    /// An error names the variable. The parser's own would show its value, or all of `env` if that is a text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let serde_json::Value::Object(values) = serde_json::Value::deserialize(deserializer)? else {
            return Err(D::Error::custom("env is not a map of names and texts"));
        };
        let text = |(name, value): (String, serde_json::Value)| match value {
            serde_json::Value::String(value) => Ok((name, value)),
            _ => Err(D::Error::custom(format!("the value of `{}` in env is not a text", shown(&name)))),
        };
        values.into_iter().map(text).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A valid service. Its serialized form is a part of the boot item.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Service {
    pub image: ImageName,
    /// The port on which it listens; of a process, the port that takes the place of this one may differ.
    pub port: u16,
    #[serde(default, skip_serializing_if = "Environment::is_empty")]
    pub env: Environment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// The program and its arguments, on one machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Vec<String>>,
}

/// How to see that a service is ready.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Health {
    /// A command line for a shell.
    pub command: String,
    /// Seconds between two checks.
    pub interval_secs: u32,
    /// How many checks may fail.
    pub retries: u32,
}

/// The services of a class by name.
pub type Services = BTreeMap<ServiceName, Service>;

/// What runs a deployment's tasks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// ECS: a service is a container.
    Ecs,
    /// One machine: a service is a process.
    OneMachine,
}

/// A mistake in a class's services.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("it has {0} services, at most {max} are possible: ECS starts at most 10 containers in a task", max = Service::MAX)]
    TooMany(usize),
    #[error(transparent)]
    Name(#[from] ParseIdError),
    /// The name is that of the agent's container.
    #[error("service `{RUNNER}`: another name is expected, since the runner's own container has this one")]
    OfRunner,
    #[error("service `{service}`: {source}")]
    Image { service: String, source: ImageNameError },
    #[error("service `{service}`: port is {port}, 1 to 65535 is expected")]
    Port { service: String, port: u32 },
    #[error(
        "services `{first}` and `{second}` both have port {port}: different ports are expected, since all services of a task share its network"
    )]
    SamePort { first: ServiceName, second: ServiceName, port: u16 },
    #[error(
        "services `{first}` and `{second}` both have the image `{image}`: different images are expected, since GitHub tells a runner only the image of a service and not its name"
    )]
    SameImage { first: ServiceName, second: ServiceName, image: ImageName },
    /// Shows the name and never the value.
    #[error(
        "service `{service}`: env has the name `{variable}`: letters, digits and _ are expected, and no digit at the start"
    )]
    Variable { service: String, variable: String },
    #[error("service `{service}`: the value of `{variable}` in env has a NUL character")]
    Value { service: String, variable: String },
    #[error("service `{service}`: {key} is empty, a program and its arguments are expected")]
    NoProgram { service: String, key: &'static str },
    /// Two keys that exclude each other.
    #[error("service `{service}`: it has process and {key}: {expected}")]
    WithProcess { service: String, key: &'static str, expected: &'static str },
    #[error("service `{0}`: health.command is empty, a command line is expected, such as `pg_isready`")]
    NoCheck(String),
    #[error("service `{service}`: health.{key} is {value}, 1 to {max} is expected")]
    Health { service: String, key: &'static str, value: u32, max: u32 },
    #[error("service `{service}`: memory is {memory} MiB, at least {min} is expected", min = Service::MIN_MEMORY)]
    Memory { service: String, memory: u32 },
    #[error("service `{0}`: cpu is 0, at least 1 is expected")]
    Cpu(String),
    /// The services leave too little for the runner.
    #[error(
        "the services' {key} is {sum} together, and the class has {of}: at least {rest} must be left for the runner"
    )]
    Sum { key: &'static str, sum: u64, of: u32, rest: u32 },
    #[error(
        "exec is true, and it has services: a job could use the identity of its task through a service, so no class can have both"
    )]
    Exec,
    /// A class is for ECS or for one machine.
    #[error(
        "service `{with}` has a process and service `{without}` has none: on one machine all have one, on ECS none"
    )]
    Mixed { with: ServiceName, without: ServiceName },
    #[error("service `{0}` has no process: on one machine, a program and its arguments are expected")]
    NoProcess(ServiceName),
    #[error("service `{0}` has a process, which is for one machine: on ECS the container of its image runs")]
    Process(ServiceName),
}

/// The name of the agent's container in a task.
pub const RUNNER: &str = "runner";

impl Environment {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Health {
    pub const DEFAULT_INTERVAL_SECS: u32 = 2;
    pub const DEFAULT_RETRIES: u32 = 30;
    /// ECS's maximum.
    pub const MAX_INTERVAL_SECS: u32 = 300;
    pub const MAX_RETRIES: u32 = 100;

    /// The most time that a service may take to be ready, in seconds.
    #[must_use]
    pub fn limit_secs(&self) -> u64 {
        u64::from(self.interval_secs) * u64::from(self.retries)
    }
}

impl Service {
    /// ECS's limit for a task is 10 containers, and one is the runner's.
    pub const MAX: usize = 9;
    /// ECS's minimum for a container, in MiB.
    pub const MIN_MEMORY: u32 = 6;
    /// What the runner itself needs.
    pub const RUNNER_MEMORY: u32 = 512;
    /// CPU units that are left for the runner.
    pub const RUNNER_CPU: u32 = 128;

    /// Checks the services of a class with this cpu, memory and `exec`.
    ///
    /// # Errors
    ///
    /// Lists every mistake.
    pub fn read_all(
        entries: &BTreeMap<String, ServiceEntry>,
        (cpu, memory): (u32, u32),
        exec: bool,
    ) -> Result<Services, Vec<ServiceError>> {
        let (mut services, mut errors) = (Services::new(), Vec::new());
        if entries.len() > Self::MAX {
            errors.push(ServiceError::TooMany(entries.len()));
        }
        for (name, entry) in entries {
            let parsed = match ServiceName::parse(name) {
                Ok(_) if name == RUNNER => Err(ServiceError::OfRunner),
                parsed => parsed.map_err(ServiceError::from),
            };
            match (parsed, Self::read(name, entry)) {
                (Ok(name), Ok(service)) => drop(services.insert(name, service)),
                (parsed, service) => {
                    errors.extend(parsed.err());
                    errors.extend(service.err().unwrap_or_default());
                }
            }
        }
        errors.extend(shared(&services));
        let any =
            |has: bool| services.iter().find(|(_, it)| it.process.is_some() == has).map(|(name, _)| name);
        if let (Some(with), Some(without)) = (any(true), any(false)) {
            errors.push(ServiceError::Mixed { with: with.clone(), without: without.clone() });
        }
        let sum = |of: fn(&ServiceEntry) -> Option<u32>| entries.values().filter_map(of).map(u64::from).sum();
        for (key, sum, of, rest) in [
            ("cpu", sum(|entry| entry.cpu), cpu, Self::RUNNER_CPU),
            ("memory", sum(|entry| entry.memory), memory, Self::RUNNER_MEMORY),
        ] {
            if sum > 0 && sum + u64::from(rest) > u64::from(of) {
                errors.push(ServiceError::Sum { key, sum, of, rest });
            }
        }
        if exec && !entries.is_empty() {
            errors.push(ServiceError::Exec);
        }
        if errors.is_empty() { Ok(services) } else { Err(errors) }
    }

    /// Returns 16 hexadecimal digits that differ as soon as a service differs in anything; `None` without services.
    #[must_use]
    pub fn digest(entries: &BTreeMap<String, ServiceEntry>) -> Option<String> {
        if entries.is_empty() {
            return None;
        }
        let digest = Sha256::digest(serde_json::to_vec(entries).ok()?);
        Some(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }

    fn read(name: &str, entry: &ServiceEntry) -> Result<Self, Vec<ServiceError>> {
        let mut errors = Vec::new();
        let service = || name.to_owned();
        let image = ImageName::parse(&entry.image)
            .map_err(|source| errors.push(ServiceError::Image { service: service(), source }))
            .ok();
        let port = u16::try_from(entry.port).ok().filter(|port| *port > 0);
        if port.is_none() {
            errors.push(ServiceError::Port { service: service(), port: entry.port });
        }
        for (variable, value) in &entry.env.0 {
            if !is_variable(variable) {
                errors.push(ServiceError::Variable { service: service(), variable: shown(variable) });
            } else if value.contains('\0') {
                errors.push(ServiceError::Value { service: service(), variable: variable.clone() });
            }
        }
        for (key, words) in [("command", &entry.command), ("process", &entry.process)] {
            if words.as_ref().is_some_and(|words| words.first().is_none_or(String::is_empty)) {
                errors.push(ServiceError::NoProgram { service: service(), key });
            }
        }
        if entry.process.is_some() {
            let by_task = "the limits of `[runner.tasks]` are those of a process";
            for (key, is_set, expected) in [
                ("command", entry.command.is_some(), "process names the whole command"),
                ("cpu", entry.cpu.is_some(), by_task),
                ("memory", entry.memory.is_some(), by_task),
            ] {
                if is_set {
                    errors.push(ServiceError::WithProcess { service: service(), key, expected });
                }
            }
        }
        if let Some(memory) = entry.memory.filter(|memory| *memory < Self::MIN_MEMORY) {
            errors.push(ServiceError::Memory { service: service(), memory });
        }
        if entry.cpu == Some(0) {
            errors.push(ServiceError::Cpu(service()));
        }
        let health = entry.health.as_ref().map(|health| Health::read(name, health, &mut errors));
        match (image, port) {
            (Some(image), Some(port)) if errors.is_empty() => {
                Ok(Self { image, port, env: entry.env.clone(), health, process: entry.process.clone() })
            }
            _ => Err(errors),
        }
    }

    /// Returns why a valid service cannot run in this place.
    #[must_use]
    pub fn unfit(&self, name: &ServiceName, place: Place) -> Option<ServiceError> {
        match (place, &self.process) {
            (Place::Ecs, Some(_)) => Some(ServiceError::Process(name.clone())),
            (Place::OneMachine, None) => Some(ServiceError::NoProcess(name.clone())),
            (Place::Ecs, None) | (Place::OneMachine, Some(_)) => None,
        }
    }
}

impl Health {
    fn read(service: &str, entry: &HealthEntry, errors: &mut Vec<ServiceError>) -> Self {
        if entry.command.trim().is_empty() {
            errors.push(ServiceError::NoCheck(service.to_owned()));
        }
        let health = Self {
            command: entry.command.clone(),
            interval_secs: entry.interval_secs.unwrap_or(Self::DEFAULT_INTERVAL_SECS),
            retries: entry.retries.unwrap_or(Self::DEFAULT_RETRIES),
        };
        for (key, value, max) in [
            ("interval_secs", health.interval_secs, Self::MAX_INTERVAL_SECS),
            ("retries", health.retries, Self::MAX_RETRIES),
        ] {
            if !(1..=max).contains(&value) {
                errors.push(ServiceError::Health { service: service.to_owned(), key, value, max });
            }
        }
        health
    }
}

/// Returns what two services cannot share.
fn shared(services: &Services) -> Vec<ServiceError> {
    let mut errors = Vec::new();
    let all: Vec<_> = services.iter().collect();
    for (index, (second, service)) in all.iter().enumerate() {
        for (first, earlier) in &all[..index] {
            let (first, second) = ((*first).clone(), (*second).clone());
            if earlier.port == service.port {
                let (first, second) = (first.clone(), second.clone());
                errors.push(ServiceError::SamePort { first, second, port: service.port });
            }
            if earlier.image.is_as_asked(&service.image) || service.image.is_as_asked(&earlier.image) {
                let image = service.image.clone();
                errors.push(ServiceError::SameImage { first, second, image });
            }
        }
    }
    errors
}

fn is_variable(name: &str) -> bool {
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().next().is_some_and(is_start)
        && name.bytes().all(|byte| is_start(byte) || byte.is_ascii_digit())
}

/// Returns a name from outside for a message.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests;
