//! Classes as they are written in the catalogue, and what is checked of one alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gpu::{Gpu, GpuError};
use super::size::{Arch, Size, SizeError};
use super::{Capacity, Catalogue, Class, ClassError, Compute};
use crate::id::ClassName;
use crate::rules::budget::{Budget, BudgetEntry};
use crate::rules::labels::Labels;
use crate::rules::limits::Limits;
use crate::rules::policy::RepositoryPattern;
use crate::rules::service::{Service, ServiceEntry};
use crate::rules::warm::{Warm, WarmEntry};

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
    /// Default `fargate`. On one machine it only changes which sizes are valid.
    #[serde(default)]
    pub compute: Compute,
    /// Whether each task has a Docker engine of its own; default false. Its jobs are root on what runs the task.
    #[serde(default)]
    pub docker: bool,
    /// GPUs of the instances, on managed instances; default: none.
    #[serde(default)]
    pub gpu: Option<Gpu>,
    /// Default 20, which is free of charge; 80 on managed instances.
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

impl Class {
    /// Checks a class, and returns every mistake in it.
    pub(super) fn read(name: &ClassName, entry: &ClassEntry) -> Result<Self, Vec<ClassError>> {
        let mut errors = Vec::new();
        let class = || name.to_string();
        let size =
            entry.size().map_err(|source| errors.push(ClassError::Size { class: class(), source })).ok();
        let offers = entry.offers(name, &mut errors);
        for (key, value) in [("max_runners", entry.max_runners), ("max_job_minutes", entry.max_job_minutes)] {
            if value == Some(0) {
                errors.push(ClassError::Zero { class: class(), key });
            }
        }
        if let Some(value) = entry.max_job_minutes.filter(|value| *value > Limits::MAX_JOB_MINUTES) {
            errors.push(ClassError::JobMinutes { class: class(), value });
        }
        let repositories = entry.repositories(name, &mut errors);
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
        errors.extend(
            entry.gpu_mistakes().into_iter().map(|source| ClassError::Gpu { class: class(), source }),
        );
        entry.check_exclusions(name, &mut errors);
        match size {
            Some(size) if errors.is_empty() => Ok(Self {
                name: name.clone(),
                size,
                capacity: entry.capacity,
                compute: entry.compute,
                docker: entry.docker,
                gpu: entry.gpu.clone(),
                max_runners: entry.max_runners,
                max_job_minutes: entry.max_job_minutes,
                offers,
                image: entry.image.clone(),
                image_fallback: entry.image_fallback,
                repositories,
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
            Compute::ManagedInstances if self.gpu.is_some() => {
                Size::with_gpus(self.cpu, self.memory, self.ephemeral_storage_gib, self.arch)
            }
            Compute::ManagedInstances => {
                Size::managed(self.cpu, self.memory, self.ephemeral_storage_gib, self.arch)
            }
        }
    }

    /// Returns every mistake in its GPUs.
    fn gpu_mistakes(&self) -> Vec<GpuError> {
        let Some(gpu) = &self.gpu else { return Vec::new() };
        let fargate = (self.compute == Compute::Fargate).then_some(GpuError::Fargate);
        fargate.into_iter().chain(gpu.mistakes()).collect()
    }

    /// Returns the labels that runners of the class offer.
    fn offers(&self, name: &ClassName, errors: &mut Vec<ClassError>) -> Labels {
        let class = || name.to_string();
        for label in &self.labels {
            if let Some(expected) = label_mistake(label) {
                errors.push(ClassError::Label { class: class(), label: label.clone(), expected });
            }
        }
        let built_in = [
            "self-hosted".to_owned(),
            "linux".to_owned(),
            self.arch.label().to_owned(),
            format!("class:{name}"),
        ];
        let offers = Labels::new(built_in.iter().chain(&self.labels));
        let len = offers.to_string().len();
        if len > Catalogue::LABELS_LEN {
            errors.push(ClassError::Labels { class: class(), len, max: Catalogue::LABELS_LEN });
        }
        offers
    }

    /// Returns which repositories may use the class; `None` for all that policy allows.
    fn repositories(&self, name: &ClassName, errors: &mut Vec<ClassError>) -> Option<Vec<RepositoryPattern>> {
        let repositories = self.repositories.as_ref()?;
        if repositories.is_empty() {
            errors.push(ClassError::NoRepository { class: name.to_string() });
        }
        let mut patterns = Vec::new();
        for text in repositories {
            match RepositoryPattern::parse(text) {
                Ok(pattern) => patterns.push(pattern),
                Err(source) => errors.push(ClassError::Repository { class: name.to_string(), source }),
            }
        }
        Some(patterns)
    }

    /// Checks that no key is set that what runs the class's tasks excludes.
    fn check_exclusions(&self, name: &ClassName, errors: &mut Vec<ClassError>) {
        for (key, is_set, expected) in self.excluded_by_docker() {
            if self.docker && is_set {
                errors.push(ClassError::WithDocker { class: name.to_string(), key, expected });
            }
        }
        for (key, is_set, expected) in self.excluded_by_managed_instances() {
            if self.compute == Compute::ManagedInstances && !self.docker && is_set {
                errors.push(ClassError::OnManagedInstances { class: name.to_string(), key, expected });
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

/// Returns what is expected instead, if no class may offer this label.
pub(super) fn label_mistake(label: &str) -> Option<&'static str> {
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
