//! What an operator configures: settings, classes, limits and policy, and what
//! follows from them alone. Nothing here depends on a record.

pub mod settings;
pub mod limits;
pub mod pace;
pub mod policy;
pub mod schedule;
pub mod warm;
pub mod service;
pub mod class;
pub mod image;
pub mod labels;
pub mod pool;
pub mod budget;
pub mod cost;
pub mod placement;
pub mod hosted;

use crate::id::{ClassName, Repository};
use class::Catalogue;
use policy::Policy;
use service::offer::{Offer, OtherClass};
use settings::Settings;

/// The rules by which events are judged.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    pub settings: &'a Settings,
    pub catalogue: &'a Catalogue,
}

impl Rules<'_> {
    /// Whether any job may be run again: then GitHub's permission for it is needed.
    #[must_use]
    pub fn may_rerun(&self) -> bool {
        let reruns = &self.settings.reruns;
        reruns.all
            || !reruns.repositories.is_empty()
            || self.catalogue.iter().any(|class| class.rerun == Some(true))
    }

    /// Returns what a runner of the class may run: the deployment's policy, for the class's repositories alone.
    #[must_use]
    pub fn policy_of(&self, class: &ClassName) -> Policy {
        let policy = &self.settings.policy;
        match self.catalogue.get(class).and_then(|class| class.repositories.as_ref()) {
            Some(repositories) => policy.within(repositories),
            None => policy.clone(),
        }
    }

    /// Returns what a runner of the class is told about services: its own, and the other classes with services or with a
    /// Docker engine that the repository's jobs may use. Returns `None` if there are none, and for a class with an engine.
    #[must_use]
    pub fn offer_of(&self, class: &ClassName, repository: &Repository) -> Option<Offer> {
        if self.catalogue.get(class).is_some_and(|class| class.docker) {
            return None;
        }
        let services = self.catalogue.get(class).map(|class| class.services.clone()).unwrap_or_default();
        let allowed = || self.catalogue.iter().filter(|other| other.allows(repository));
        let engines: Vec<_> = allowed().filter(|it| it.docker).map(|it| it.name.clone()).collect();
        let others = allowed().filter(|other| other.name != *class);
        let elsewhere: Vec<OtherClass> = others
            .filter(|other| !other.services.is_empty())
            .map(|other| OtherClass {
                class: other.name.clone(),
                services: other.services.values().map(Into::into).collect(),
            })
            .collect();
        let has_any = !services.is_empty() || !elsewhere.is_empty() || !engines.is_empty();
        has_any.then(|| Offer { class: class.clone(), services, elsewhere, engines })
    }
}
