//! Runner classes: the catalogue, checked against what Fargate offers.

mod entry;
mod error;
mod gpu;
pub mod size;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{ClassName, Repository};
use crate::rules::budget::Budget;
use crate::rules::labels::Labels;
use crate::rules::policy::RepositoryPattern;
use crate::rules::service::{Place, Services};
use crate::rules::warm::Warm;
use entry::label_mistake;
pub use entry::{ClassEntry, GITHUB_LABELS};
pub use error::ClassError;
pub use gpu::{Gpu, GpuError};
use size::Size;

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
    /// The GPUs of its instances, if they have any.
    pub gpu: Option<Gpu>,
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

    /// Returns why its Docker engine cannot run in this place, or why there are no GPUs.
    #[must_use]
    pub fn unfit_compute(&self, place: Place) -> Option<ClassError> {
        let class = || self.name.to_string();
        if self.docker && place == Place::Ecs && self.compute == Compute::Fargate {
            return Some(ClassError::DockerOnFargate { class: class() });
        }
        let has_no_gpus = self.gpu.is_some() && place == Place::OneMachine;
        has_no_gpus.then(|| ClassError::Gpu { class: class(), source: GpuError::OneMachine })
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

    /// Sets aside the classes whose services, Docker engine or GPUs this place cannot offer, and returns their mistakes.
    pub fn keep_fit(&mut self, place: Place) -> Vec<ClassError> {
        if place == Place::OneMachine {
            // It runs all tasks itself, so no task waits to know its instance.
            for class in self.classes.values_mut() {
                class.compute = Compute::Fargate;
            }
        }
        self.set_aside(|class| {
            if let Some(error) = class.unfit_compute(place) {
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
