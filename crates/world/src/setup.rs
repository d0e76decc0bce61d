//! The setup of a simulation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ecsrunner_core::id::SubnetId;
use ecsrunner_core::rules::class::Catalogue;
use ecsrunner_core::rules::image::ImageRules;
use ecsrunner_core::rules::settings::Settings;
use ecsrunner_engine::Ruleset;
use serde_json::Value;

use super::faults::FaultPlan;
use super::start_times::StartTimes;
use super::tasks::{CLUSTER, FAMILY};
use crate::ecs::{Durations, Options, TaskDefinition};

/// The setup of a simulation.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Makes the simulation reproducible.
    pub seed: u64,
    /// The deployment's settings, as in SSM.
    pub settings: Value,
    /// The class catalogue, as in SSM.
    pub classes: Value,
    pub subnets: Vec<&'static str>,
    /// What the deployment's own image is made of; `None` for a single image that always exists.
    pub images: Option<ImageRules>,
    pub timeout: Duration,
    pub start_times: StartTimes,
    pub fault_plan: FaultPlan,
}

impl Setup {
    /// Returns the rules of the settings and classes.
    #[expect(clippy::expect_used, reason = "a scenario whose set-up is wrong has nothing to show")]
    pub(super) fn rules(&self) -> Arc<Ruleset> {
        let entry = serde_json::from_value(self.settings.clone()).expect("settings");
        let classes: BTreeMap<_, _> = serde_json::from_value(self.classes.clone()).expect("classes");
        let (catalogue, errors) = Catalogue::read(&classes);
        assert!(errors.is_empty(), "{errors:?}");
        let subnets = self.subnets.iter().map(|id| SubnetId::parse(id).expect("a subnet"));
        Arc::new(Ruleset {
            settings: Settings::read(&entry).expect("settings that hold"),
            catalogue,
            subnets: subnets.collect(),
            images: self.images.clone(),
        })
    }

    /// Returns the options of an ECS without faults and without lags.
    pub(super) fn ecs(&self) -> Options {
        let StartTimes { provisioning, pull, .. } = self.start_times;
        let durations = Durations {
            provisioning: provisioning.least,
            provisioning_more: provisioning.more,
            pending: pull,
            ..Durations::default()
        };
        Options {
            seed: Some(self.seed),
            durations,
            clusters: vec![CLUSTER.to_owned()],
            task_definitions: vec![TaskDefinition::new(FAMILY, 1)],
            managed: true,
            ..Options::default()
        }
    }
}
