//! Warm tasks in a disturbed world.

use std::collections::BTreeSet;
use std::time::Duration;

use ecsrunner_world::faults::FaultPlan;
use ecsrunner_world::{Outside, Setup, Simulation};
use serde_json::{Value, json};

use super::DISTURBANCE_SECS;

/// Returns a deployment that keeps tasks of both classes warm.
pub(super) fn setup(seed: u64, fault_plan: FaultPlan) -> Setup {
    let mut setup = crate::harness::setup(seed, fault_plan);
    setup.settings["limits"]["max_warm"] = json!(4);
    setup.classes = classes(&json!({"count": 2}), 512);
    setup
}

fn classes(warm: &Value, cpu: u32) -> Value {
    json!({
        "small": {"cpu": cpu, "memory": 1024, "default": true, "warm": warm},
        "spot": {"cpu": 512, "memory": 1024, "capacity": "spot-then-on-demand", "warm": warm},
    })
}

/// Changes a class after a while, which replaces its warm tasks, and keeps none at the end.
pub(super) fn change_and_end(simulation: &mut Simulation, changes_after: Duration) {
    simulation.after(changes_after, |outside, _| outside.set_classes(classes(&json!({"count": 1}), 256)));
    let ends_after = Duration::from_secs(DISTURBANCE_SECS * 2);
    simulation.after(ends_after, |outside, _| outside.set_classes(classes(&Value::Null, 256)));
}

pub(super) fn assert_no_task_had_two_runners(outside: &Outside, words: &str) {
    let mut tasks = BTreeSet::new();
    let mut used = BTreeSet::new();
    for runner in outside.tables.gone.values() {
        if let Some(task) = &runner.task {
            assert!(tasks.insert(task), "{words}: {task} was the task of two runners");
        }
        if let Some(warm) = &runner.facts.warm {
            assert!(used.insert(warm), "{words}: {warm} was taken over twice");
        }
    }
}
