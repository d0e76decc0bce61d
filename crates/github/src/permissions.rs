//! The permissions of a deployment's App. The client's tokens, `ecsrunner doctor`
//! and `ecsrunner setup` take them from here.

use std::collections::BTreeMap;

use ecsrunner_core::rules::settings::Registration;

pub(crate) const ACTIONS: &str = "actions";
pub(crate) const ADMINISTRATION: &str = "administration";
pub(crate) const METADATA: &str = "metadata";
pub(crate) const ORGANIZATION_RUNNERS: &str = "organization_self_hosted_runners";
pub(crate) const READ: &str = "read";
pub(crate) const WRITE: &str = "write";

/// The event that an App subscribes to.
pub const EVENT: &str = "workflow_job";

/// Permissions with their levels, such as `administration: write`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permissions(BTreeMap<&'static str, &'static str>);

impl Permissions {
    /// Returns what a deployment needs that registers its runners there. Running jobs again needs to write actions.
    #[must_use]
    pub fn needed(registration: &Registration, reruns: bool) -> Self {
        let runners = match registration {
            Registration::Repository => ADMINISTRATION,
            Registration::Organization { .. } => ORGANIZATION_RUNNERS,
        };
        Self(BTreeMap::from([(ACTIONS, if reruns { WRITE } else { READ }), (runners, WRITE)]))
    }

    /// Returns those that are not held, in GitHub's words.
    #[must_use]
    pub fn missing(&self, held: &BTreeMap<String, String>) -> Vec<String> {
        let suffices = |held: Option<&String>, level: &str| {
            held.is_some_and(|held| held == level || held == "admin" || (held == WRITE && level == READ))
        };
        let missing = self.iter().filter(|(name, level)| !suffices(held.get(*name), level));
        missing.map(|(name, level)| format!("{name}: {level}")).collect()
    }

    /// Returns each permission with its level, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        self.0.iter().map(|(name, level)| (*name, *level))
    }
}

#[cfg(test)]
mod tests {
    use ecsrunner_core::id::{Organization, RunnerGroupId};

    use super::*;

    fn in_organization() -> Registration {
        let organization = Organization::parse("acme").unwrap();
        Registration::Organization { organization, group: RunnerGroupId::new(1) }
    }

    fn told(permissions: &Permissions) -> Vec<String> {
        permissions.missing(&BTreeMap::new())
    }

    #[test]
    fn the_scope_and_running_jobs_again_decide_what_is_needed() {
        let repository = Registration::Repository;
        assert_eq!(
            told(&Permissions::needed(&repository, false)),
            ["actions: read", "administration: write"]
        );
        assert_eq!(
            told(&Permissions::needed(&repository, true)),
            ["actions: write", "administration: write"]
        );
        let organization = told(&Permissions::needed(&in_organization(), false));
        assert_eq!(organization, ["actions: read", "organization_self_hosted_runners: write"]);
    }

    #[test]
    fn a_permission_suffices_at_its_level_or_above() {
        let needed = Permissions::needed(&Registration::Repository, false);
        let held = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, level)| ((*name).to_owned(), (*level).to_owned())).collect()
        };
        let enough = held(&[("actions", "write"), ("administration", "write")]);
        assert_eq!(needed.missing(&enough), Vec::<String>::new());
        let less = held(&[("actions", "read"), ("administration", "read")]);
        assert_eq!(needed.missing(&less), ["administration: write"]);
    }
}
