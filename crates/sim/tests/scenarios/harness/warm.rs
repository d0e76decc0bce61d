//! Warm tasks of a scenario.

use ecsrunner_core::records::warm::{WarmEnd, WarmStage};
use ecsrunner_world::ecs::Reply;
use serde_json::json;

use super::{Deployment, World};

impl Deployment {
    /// Keeps tasks of the default class warm.
    pub(crate) fn warm(self, count: u32) -> Self {
        self.warm_within(2000, count)
    }

    /// Keeps tasks of the default class warm, in a deployment of so many runners.
    pub(crate) fn warm_within(self, max_runners: u32, count: u32) -> Self {
        let limits = json!({"max_runners": max_runners, "max_warm": count});
        self.setting("limits", limits).class("small", class(Some(count)))
    }
}

fn class(warm: Option<u32>) -> serde_json::Value {
    let warm = warm.map(|count| json!({"count": count}));
    json!({"cpu": 512, "memory": 1024, "default": true, "warm": warm})
}

impl World {
    /// Removes `warm` from the default class, as an operator does.
    pub(crate) fn keep_none_warm(&self) {
        self.keep_warm(None);
    }

    /// Changes `warm` of the default class, as an operator does.
    pub(crate) fn keep_warm(&self, count: Option<u32>) {
        self.outside().set_classes(json!({
            "small": class(count),
            "spot": {"cpu": 512, "memory": 1024, "capacity": "spot-then-on-demand"},
        }));
    }

    /// Returns how many tasks wait for a job.
    pub(crate) fn warm_tasks(&self) -> usize {
        let outside = self.outside();
        outside.tables.open.warm.values().filter(|warm| warm.stage() == WarmStage::Warm).count()
    }

    /// Returns how many warm tasks ended for this reason.
    pub(crate) fn ended_warm(&self, kind: WarmEnd) -> usize {
        self.outside().tables.gone_warm.values().filter(|warm| warm.kind == kind).count()
    }

    /// Returns what the warm tasks that are gone cost before they were used, in US dollars.
    pub(crate) fn cost_of_warm(&self) -> f64 {
        self.outside()
            .tables
            .gone_warm
            .values()
            .filter_map(|warm| warm.cost_usd)
            .fold(0.0, |sum, cost| sum + cost)
    }

    /// AWS stops each task that a runner has taken over and that has no configuration yet.
    pub(crate) fn stop_tasks_taken_over(&self) -> usize {
        let (now, outside) = (self.now(), &mut *self.outside());
        let supply = outside.tables.open.runners.values().filter(|runner| runner.awaits_configuration());
        let taken_over = supply.filter(|runner| runner.facts.warm.is_some());
        let tasks: Vec<_> = taken_over.filter_map(|runner| runner.task().cloned()).collect();
        for task in &tasks {
            let request = json!({"cluster": "ci", "task": task.as_str(), "reason": "the host is retired"});
            let reply = outside.ecs.handle("StopTask", &request, now);
            assert!(matches!(reply, Reply::Answer(_)), "{reply:?}");
        }
        tasks.len()
    }
}
