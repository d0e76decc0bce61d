//! Runner classes: the catalogue, checked against what Fargate offers.

mod error;
pub mod size;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{ClassName, Repository};
use crate::rules::budget::{Budget, BudgetEntry};
use crate::rules::labels::Labels;
use crate::rules::limits::Limits;
use crate::rules::policy::RepositoryPattern;
use crate::rules::service::{Place, Service, ServiceEntry, Services};
use crate::rules::warm::{Warm, WarmEntry};
pub use error::ClassError;
use size::{Arch, Size, SizeError};

/// Which capacity a class uses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capacity {
    #[default]
    OnDemand,
    /// Only Spot: jobs wait while there is none.
    Spot,
    /// Spot, or On-Demand if there is no Spot capacity.
    SpotThenOnDemand,
}

/// What runs a class's tasks on AWS. One machine runs them all itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compute {
    #[default]
    Fargate,
    /// ECS Managed Instances: EC2 instances that AWS starts for tasks and maintains.
    ManagedInstances,
}

/// A class as it is written in the catalogue, unchecked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassEntry {
    /// CPU units; 1024 are one vCPU.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory: u32,
    /// Default `x64`.
    #[serde(default)]
    pub arch: Arch,
    /// Default `on-demand`.
    #[serde(default)]
    pub capacity: Capacity,
    /// Default `fargate`; without effect on one machine.
    #[serde(default)]
    pub compute: Compute,
    /// Whether each task has a Docker engine of its own; default false. Its jobs are root on what runs the task.
    #[serde(default)]
    pub docker: bool,
    /// Default 20, which is free of charge.
    #[serde(default)]
    pub ephemeral_storage_gib: Option<u32>,
    /// Default: the deployment's limit.
    #[serde(default)]
    pub max_runners: Option<u32>,
    /// Default: the deployment's `max_job_minutes`.
    #[serde(default)]
    pub max_job_minutes: Option<u32>,
    /// Labels in addition to `self-hosted`, `linux`, the architecture and `class:<name>`.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The name of one of the deployment's images; default: the default image.
    #[serde(default)]
    pub image: Option<String>,
    /// Whether GitHub's own image may take the place of a default image with something of the operator's own in it;
    /// default false.
    #[serde(default)]
    pub image_fallback: bool,
    /// Repositories that may use it; default: all that policy allows.
    #[serde(default)]
    pub repositories: Option<Vec<String>>,
    /// Whether ECS Exec may open a shell in it; default false. With it, a job that is
    /// root can use the identity of its task.
    #[serde(default)]
    pub exec: bool,
    /// Whether its jobs are run again if their runner is lost; default: the deployment's `rerun`.
    #[serde(default)]
    pub rerun: Option<bool>,
    /// Tasks that wait for a job; default: none.
    #[serde(default)]
    pub warm: Option<WarmEntry>,
    /// What its tasks may cost; default: no bound of its own.
    #[serde(default)]
    pub budget: Option<BudgetEntry>,
    /// Services beside the runner by name, up to nine; default: none.
    #[serde(default)]
    pub services: BTreeMap<String, ServiceEntry>,
    /// Whether it serves jobs that name no class; at most one class may.
    #[serde(default)]
    pub default: bool,
}

/// A valid class.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Class {
    pub name: ClassName,
    /// CPU, memory, storage and architecture.
    pub size: Size,
    pub capacity: Capacity,
    pub compute: Compute,
    /// Whether each task has a Docker engine of its own.
    pub docker: bool,
    /// The most runners of this class at once.
    pub max_runners: Option<u32>,
    /// Minutes after which a job is ended.
    pub max_job_minutes: Option<u32>,
    /// Every label that it offers, including the built-in ones.
    pub offers: Labels,
    /// The image's name; `None` for the deployment's default image.
    pub image: Option<String>,
    /// Whether GitHub's own image may always take the default image's place.
    pub image_fallback: bool,
    /// Repositories that may use it; `None` for all.
    pub repositories: Option<Vec<RepositoryPattern>>,
    /// Whether ECS Exec is on.
    pub exec: bool,
    /// Whether its jobs are run again if their runner is lost; `None` for the deployment's setting.
    pub rerun: Option<bool>,
    /// Tasks that wait for a job, if it has any.
    pub warm: Option<Warm>,
    /// What its tasks may cost, if that is bounded.
    pub budget: Option<Budget>,
    /// What stands beside the runner, by name.
    pub services: Services,
    /// Differs as soon as anything about its services differs; `None` if it has none.
    pub services_digest: Option<String>,
}

impl Class {
    /// Whether the repository's jobs may use it.
    #[must_use]
    pub fn allows(&self, repository: &Repository) -> bool {
        self.repositories
            .as_ref()
            .is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(repository)))
    }

    /// Whether a placement of its tasks names its own capacity provider. On one machine none does: [`Place::OneMachine`].
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.compute == Compute::ManagedInstances
    }

    /// Returns why its Docker engine cannot run in this place.
    #[must_use]
    pub fn unfit_docker(&self, place: Place) -> Option<ClassError> {
        let is_refused = self.docker && place == Place::Ecs && self.compute == Compute::Fargate;
        is_refused.then(|| ClassError::DockerOnFargate { class: self.name.to_string() })
    }
}

/// The classes of a deployment. An invalid one is kept with its mistake, so that
/// the refusal of a job that names it can say what is wrong.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    classes: BTreeMap<ClassName, Class>,
    invalid: BTreeMap<ClassName, ClassError>,
    default: Option<ClassName>,
    /// Labels, in lower case, whose jobs a class serves although they name no class.
    mapped: BTreeMap<String, ClassName>,
}

impl Catalogue {
    /// The most bytes that all labels of a class may take, so that open records stay small.
    pub const LABELS_LEN: usize = 120;

    /// Reads a catalogue and returns every mistake in it.
    #[must_use]
    pub fn read(entries: &BTreeMap<String, ClassEntry>) -> (Self, Vec<ClassError>) {
        let mut catalogue = Self::default();
        let mut errors = Vec::new();
        for (name, entry) in entries {
            let name = match ClassName::parse(name) {
                Ok(name) => name,
                Err(error) => {
                    errors.push(ClassError::Name(error));
                    continue;
                }
            };
            match Class::read(&name, entry) {
                Ok(class) => {
                    if entry.default {
                        match &catalogue.default {
                            None => catalogue.default = Some(name.clone()),
                            Some(first) => errors
                                .push(ClassError::TwoDefaults { first: first.clone(), second: name.clone() }),
                        }
                    }
                    catalogue.classes.insert(name, class);
                }
                Err(mistakes) => {
                    if let Some(first) = mistakes.first() {
                        catalogue.invalid.insert(name, first.clone());
                    }
                    errors.extend(mistakes);
                }
            }
        }
        (catalogue, errors)
    }

    /// Returns what is wrong with the classes in a deployment with this `limits.max_warm`. At run time the limit bounds
    /// them instead, so no class is invalid for it.
    #[must_use]
    pub fn check_warm(&self, max_warm: u32) -> Option<ClassError> {
        let warm = || self.iter().filter_map(|class| Some((&class.name, class.warm.as_ref()?.count)));
        let count: u64 = warm().map(|(_, count)| u64::from(count)).sum();
        if count <= u64::from(max_warm) {
            return None;
        }
        let classes: Vec<String> = warm().map(|(name, count)| format!("`{name}` {count}")).collect();
        Some(ClassError::TooManyWarm { classes: classes.join(", "), count, max_warm })
    }

    /// Sets aside the classes whose services or Docker engine cannot run in this place, and returns their mistakes.
    pub fn keep_fit(&mut self, place: Place) -> Vec<ClassError> {
        if place == Place::OneMachine {
            // It runs all tasks itself, so no task waits to know its instance.
            for class in self.classes.values_mut() {
                class.compute = Compute::Fargate;
            }
        }
        self.set_aside(|class| {
            if let Some(error) = class.unfit_docker(place) {
                return Some(error);
            }
            let source = class.services.iter().find_map(|(name, service)| service.unfit(name, place))?;
            Some(ClassError::Service { class: class.name.to_string(), source })
        })
    }

    /// Sets aside the classes that have a mistake by this rule, and returns the mistakes.
    pub fn set_aside(&mut self, mistake: impl Fn(&Class) -> Option<ClassError>) -> Vec<ClassError> {
        let mistaken: Vec<_> =
            self.classes.values().filter_map(|class| Some((class.name.clone(), mistake(class)?))).collect();
        for (class, error) in &mistaken {
            self.classes.remove(class);
            self.invalid.insert(class.clone(), error.clone());
        }
        mistaken.into_iter().map(|(_, error)| error).collect()
    }

    /// Maps labels to classes, such as `ubuntu-latest` to `small`. Jobs with such a label are ours, also without the
    /// labels that a deployment requires. Only a configuration that says so maps labels.
    ///
    /// Returns every mistake.
    pub fn map_labels(&mut self, labels: &BTreeMap<String, String>) -> Vec<ClassError> {
        let mut errors = Vec::new();
        for (label, class) in labels {
            let lower = label.to_lowercase();
            // GitHub's labels are what is mapped; all other rules are those of a class's label.
            if let Some(expected) = label_mistake(label).filter(|_| lower != "self-hosted") {
                errors.push(ClassError::Mapped { label: label.clone(), expected });
                continue;
            }
            match ClassName::parse(class).ok().filter(|name| self.classes.contains_key(name)) {
                Some(name) => drop(self.mapped.insert(lower, name)),
                None => errors.push(ClassError::MappedNowhere {
                    label: label.clone(),
                    class: class.clone(),
                    known: self.names(),
                }),
            }
        }
        errors
    }

    /// Returns the class that one of these labels is mapped to. `self-hosted` counts only if no other one is mapped.
    #[must_use]
    pub fn mapped_class(&self, labels: &Labels) -> Option<&Class> {
        let mapped = |general: bool| {
            labels
                .iter()
                .filter(|label| (*label == "self-hosted") == general)
                .find_map(|label| self.mapped.get(label))
        };
        self.classes.get(mapped(false).or_else(|| mapped(true))?)
    }

    /// Whether a label is mapped to this class.
    #[must_use]
    pub fn maps(&self, label: &str, class: &Class) -> bool {
        self.mapped.get(label) == Some(&class.name)
    }

    #[must_use]
    pub fn get(&self, name: &ClassName) -> Option<&Class> {
        self.classes.get(name)
    }

    /// Returns the first mistake of a class that is in the catalogue but invalid.
    #[must_use]
    pub fn invalid(&self, name: &ClassName) -> Option<&ClassError> {
        self.invalid.get(name)
    }

    /// Returns the class that serves jobs that name none.
    #[must_use]
    pub fn default_class(&self) -> Option<&Class> {
        self.default.as_ref().and_then(|name| self.classes.get(name))
    }

    /// Returns the valid classes in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Class> {
        self.classes.values()
    }

    /// Returns the names of the valid classes for a message, separated by commas.
    #[must_use]
    pub fn names(&self) -> String {
        if self.classes.is_empty() {
            return "none".to_owned();
        }
        self.classes.keys().map(ClassName::as_str).collect::<Vec<_>>().join(", ")
    }
}

impl Class {
    fn read(name: &ClassName, entry: &ClassEntry) -> Result<Self, Vec<ClassError>> {
        let mut errors = Vec::new();
        let class = || name.to_string();
        let size =
            entry.size().map_err(|source| errors.push(ClassError::Size { class: class(), source })).ok();
        for label in &entry.labels {
            if let Some(expected) = label_mistake(label) {
                errors.push(ClassError::Label { class: class(), label: label.clone(), expected });
            }
        }
        let built_in = [
            "self-hosted".to_owned(),
            "linux".to_owned(),
            entry.arch.label().to_owned(),
            format!("class:{name}"),
        ];
        let offers = Labels::new(built_in.iter().chain(&entry.labels));
        let len = offers.to_string().len();
        if len > Catalogue::LABELS_LEN {
            errors.push(ClassError::Labels { class: class(), len, max: Catalogue::LABELS_LEN });
        }
        for (key, value) in [("max_runners", entry.max_runners), ("max_job_minutes", entry.max_job_minutes)] {
            if value == Some(0) {
                errors.push(ClassError::Zero { class: class(), key });
            }
        }
        if let Some(value) = entry.max_job_minutes.filter(|value| *value > Limits::MAX_JOB_MINUTES) {
            errors.push(ClassError::JobMinutes { class: class(), value });
        }
        let mut patterns = Vec::new();
        for text in entry.repositories.iter().flatten() {
            match RepositoryPattern::parse(text) {
                Ok(pattern) => patterns.push(pattern),
                Err(source) => errors.push(ClassError::Repository { class: class(), source }),
            }
        }
        let warm = entry.warm.as_ref().and_then(|warm| {
            Warm::read(warm, entry.max_runners)
                .map_err(|mistakes| {
                    errors.extend(
                        mistakes.into_iter().map(|source| ClassError::Warm { class: class(), source }),
                    );
                })
                .ok()
        });
        let budget = entry.budget.as_ref().and_then(|budget| {
            let wrong = |source| ClassError::Budget { class: class(), source };
            Budget::read(budget).map_err(|source| errors.push(wrong(source))).ok()
        });
        let services = Service::read_all(&entry.services, (entry.cpu, entry.memory), entry.exec)
            .map_err(|mistakes| {
                errors.extend(
                    mistakes.into_iter().map(|source| ClassError::Service { class: class(), source }),
                );
            })
            .unwrap_or_default();
        for (key, is_set, expected) in entry.excluded_by_docker() {
            if entry.docker && is_set {
                errors.push(ClassError::WithDocker { class: class(), key, expected });
            }
        }
        for (key, is_set, expected) in entry.excluded_by_managed_instances() {
            if entry.compute == Compute::ManagedInstances && !entry.docker && is_set {
                errors.push(ClassError::OnManagedInstances { class: class(), key, expected });
            }
        }
        match size {
            Some(size) if errors.is_empty() => Ok(Self {
                name: name.clone(),
                size,
                capacity: entry.capacity,
                compute: entry.compute,
                docker: entry.docker,
                max_runners: entry.max_runners,
                max_job_minutes: entry.max_job_minutes,
                offers,
                image: entry.image.clone(),
                image_fallback: entry.image_fallback,
                repositories: entry.repositories.is_some().then_some(patterns),
                exec: entry.exec,
                rerun: entry.rerun,
                warm,
                budget,
                services,
                services_digest: Service::digest(&entry.services),
            }),
            _ => Err(errors),
        }
    }
}

impl ClassEntry {
    /// Checks its size by the rules of what runs its tasks.
    fn size(&self) -> Result<Size, SizeError> {
        match self.compute {
            Compute::Fargate => Size::new(self.cpu, self.memory, self.ephemeral_storage_gib, self.arch),
            Compute::ManagedInstances => {
                Size::managed(self.cpu, self.memory, self.ephemeral_storage_gib, self.arch)
            }
        }
    }

    /// The keys that no class with a Docker engine can have, whether this class sets them, and why.
    fn excluded_by_docker(&self) -> [(&'static str, bool, &'static str); 3] {
        [
            (
                "services",
                !self.services.is_empty(),
                "workflows start their services with Docker there, so none are declared",
            ),
            ("warm", self.warm.is_some(), "tasks with a Docker engine cannot wait for a job"),
            (
                "exec",
                self.exec,
                "a job could use the identity of its task, which Exec gives more permissions",
            ),
        ]
    }

    /// The keys that no class on ECS Managed Instances can have, whether this class sets them, and why.
    fn excluded_by_managed_instances(&self) -> [(&'static str, bool, &'static str); 3] {
        [
            ("services", !self.services.is_empty(), "only tasks on Fargate have services beside the runner"),
            ("warm", self.warm.is_some(), "a warm task would keep an instance that serves one job only"),
            (
                "exec",
                self.exec,
                "a job that is root of its instance could use its task's role, which Exec gives more permissions",
            ),
        ]
    }
}

/// GitHub's own labels. A class has `self-hosted`, `linux` and its architecture by itself; with another one GitHub would
/// give it jobs that it cannot run. `terraform/modules/parameters/variables.tf` refuses the same.
pub const GITHUB_LABELS: [&str; 8] =
    ["self-hosted", "linux", "windows", "macos", "x64", "x86", "arm", "arm64"];

fn label_mistake(label: &str) -> Option<&'static str> {
    let lower = label.to_lowercase();
    if label.is_empty() || label.trim() != label || label.contains(',') || label.chars().any(char::is_control)
    {
        Some(
            "a label must not be empty, and must not contain commas, control characters, or spaces at its ends",
        )
    } else if lower.starts_with("class:") || lower.starts_with("ecsrunner:") {
        Some("labels that begin with `class:` or `ecsrunner:` are reserved for ecsrunner")
    } else if GITHUB_LABELS.contains(&lower.as_str()) {
        Some(
            "GitHub's own labels are not expected: a class has `self-hosted`, `linux` and its architecture by itself",
        )
    } else {
        None
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
            Self::SpotThenOnDemand => "spot-then-on-demand",
        })
    }
}

impl fmt::Display for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fargate => "fargate",
            Self::ManagedInstances => "managed-instances",
        })
    }
}

#[cfg(test)]
mod tests;
