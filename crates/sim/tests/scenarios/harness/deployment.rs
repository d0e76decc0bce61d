//! The deployment that a scenario starts with.

use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::image::ImageRules;
use ecsrunner_world::faults::FaultPlan;
use ecsrunner_world::{Setup, Simulation, StartTimes};
use serde_json::{Value, json};

use super::{World, minutes};

pub(crate) const SUBNETS: [&str; 2] = ["subnet-aaaa1111", "subnet-bbbb2222"];
/// A limit that no scenario reaches.
const MAX_RUNNERS: u32 = 2000;

/// A deployment for `acme/*` with two subnets and the classes `small` (the default) and `spot`.
pub(crate) struct Deployment {
    setup: Setup,
}

impl Deployment {
    pub(crate) fn seeded(seed: u64) -> Self {
        let setup = Setup {
            seed,
            settings: json!({"version": 1, "deployment": "sim", "repositories": ["acme/*"]}),
            classes: json!({
                "small": {"cpu": 512, "memory": 1024, "default": true},
                "spot": {"cpu": 512, "memory": 1024, "capacity": "spot-then-on-demand"},
            }),
            subnets: SUBNETS.to_vec(),
            images: None,
            timeout: minutes(1),
            start_times: StartTimes::default(),
            fault_plan: FaultPlan::default(),
        };
        Self { setup }.max_runners(MAX_RUNNERS)
    }

    pub(crate) fn fault_plan(mut self, fault_plan: FaultPlan) -> Self {
        self.setup.fault_plan = fault_plan;
        self
    }

    pub(crate) fn start_times(mut self, start_times: StartTimes) -> Self {
        self.setup.start_times = start_times;
        self
    }

    pub(crate) fn max_runners(self, count: u32) -> Self {
        self.setting("limits", json!({"max_runners": count}))
    }

    /// Uses the default limits: at most 50 runners.
    pub(crate) fn default_limits(self) -> Self {
        self.setting("limits", json!({}))
    }

    pub(crate) fn repositories(self, patterns: &[&str]) -> Self {
        self.setting("repositories", json!(patterns))
    }

    /// Registers runners with the organization `acme` and not with a repository.
    pub(crate) fn organization_runners(self) -> Self {
        self.setting("registration", json!({"organization": {"name": "acme", "group": 1}}))
    }

    /// Launches into the first of the two subnets alone.
    pub(crate) fn one_subnet(mut self) -> Self {
        self.setup.subnets.truncate(1);
        self
    }

    pub(crate) fn class(mut self, name: &str, class: Value) -> Self {
        self.setup.classes[name] = class;
        self
    }

    /// Adds a class `spotonly` that only Fargate Spot can serve.
    pub(crate) fn spot_only_class(self) -> Self {
        self.class("spotonly", json!({"cpu": 512, "memory": 1024, "capacity": "spot"}))
    }

    /// Has its own image built, with nothing of the operator's own in it.
    pub(crate) fn own_image(mut self) -> Self {
        self.setup.images = Some(ImageRules {
            built: [Arch::X64].into(),
            official: [Arch::X64].into(),
            sources: "abc".to_owned(),
            tag: "1".to_owned(),
            is_plain: true,
            ..ImageRules::default()
        });
        self
    }

    /// Registers at most so many runners at once, and this many a minute after that.
    pub(crate) fn registrations(self, burst: u32, per_minute: u32) -> Self {
        self.setting("paces", json!({"github": {"burst": burst, "per_minute": per_minute}}))
    }

    pub(crate) fn start(self) -> World {
        World { simulation: Simulation::new(self.setup) }
    }

    pub(super) fn setting(mut self, key: &str, value: Value) -> Self {
        self.setup.settings[key] = value;
        self
    }
}
