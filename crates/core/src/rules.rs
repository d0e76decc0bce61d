//! What an operator configures: settings, classes, limits and policy, and what
//! follows from them alone. Nothing here depends on a record.

pub mod settings;
pub mod limits;
pub mod pace;
pub mod policy;
pub mod schedule;
pub mod warm;
pub mod class;
pub mod image;
pub mod labels;
pub mod pool;
pub mod placement;
pub mod cost;
pub mod hosted;

use crate::id::ClassName;
use class::Catalogue;
use policy::Policy;
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
}
