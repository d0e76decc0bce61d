//! What a runner is told about services: those of its class, and which other classes declare others.

use serde::{Deserialize, Serialize};

use super::image::ImageName;
use super::{Service, Services};
use crate::id::ClassName;

/// What a runner is told. Its serialized form is a part of the boot item.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Offer {
    /// The runner's class.
    pub class: ClassName,
    /// What it declares.
    #[serde(default)]
    pub services: Services,
    /// The other classes that declare services and may run a job of the same repository.
    #[serde(default)]
    pub elsewhere: Vec<OtherClass>,
    /// The classes with a Docker engine that may run a job of the same repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub engines: Vec<ClassName>,
}

impl Offer {
    /// Names the classes with a Docker engine, as labels of a workflow.
    #[must_use]
    pub fn engines(&self) -> Option<String> {
        let labels: Vec<String> = self.engines.iter().map(|class| format!("`class:{class}`")).collect();
        (!labels.is_empty()).then(|| labels.join(", "))
    }
}

/// Another class, and an outline of what it declares.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OtherClass {
    pub class: ClassName,
    pub services: Vec<Outline>,
}

/// A service without the values of its environment: a job of this class has no business with them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Outline {
    pub image: ImageName,
    pub port: u16,
    /// The names of its variables.
    #[serde(default)]
    pub variables: Vec<String>,
    /// Whether it has a health check.
    #[serde(default)]
    pub health: bool,
}

impl From<&Service> for Outline {
    fn from(service: &Service) -> Self {
        Self {
            image: service.image.clone(),
            port: service.port,
            variables: service.env.0.keys().cloned().collect(),
            health: service.health.is_some(),
        }
    }
}
