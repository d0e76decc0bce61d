//! The task definition or the capacity provider that a launch names is gone for a while, as while an apply replaces it.
//!
//! An earlier request of the same launch may have started a task, which must not be forgotten.

use std::time::Duration;

use ecsrunner_core::id::JobId;
use ecsrunner_core::records::warm::WarmEnd;
use ecsrunner_world::ecs::{CallFault, FaultAnswer, Missing};
use ecsrunner_world::faults::FaultPlan;
use ecsrunner_world::{Setup, Simulation};
use serde_json::json;

use crate::harness::{assert_executed_once, job, run, settle, setup};

const LIMIT: Duration = Duration::from_secs(2 * 3600);
const FOR_EVER: u32 = u32::MAX;

/// The answer to the first request is lost. The next `times` launches name a task definition that is missing. No event about a
/// task arrives.
fn after_a_lost_answer(setup: Setup, has_effect: bool, times: u32) -> Simulation {
    let simulation = Simulation::new(setup);
    let lost = CallFault { after_effect: has_effect, ..CallFault::once("RunTask", FaultAnswer::Lost) };
    {
        let mut outside = simulation.shared().lock();
        outside.fault_plan.task_events.lose = 1.0;
        let faults = outside.ecs.faults_mut();
        faults.calls.push(lost);
        faults.missing = Missing { after: 1, times };
    }
    simulation
}

fn one_job() -> Setup {
    setup(5, FaultPlan::default())
}

/// A deployment that keeps one task warm for the default class.
fn one_warm() -> Setup {
    let mut setup = one_job();
    setup.settings["limits"]["max_warm"] = json!(1);
    setup.classes["small"]["warm"] = json!({"count": 1});
    setup
}

fn refused(simulation: &Simulation) -> u64 {
    let outside = simulation.shared().lock();
    outside
        .ledger
        .endings
        .iter()
        .filter(|((kind, _), _)| *kind == "boot_failed")
        .map(|(_, count)| count)
        .sum()
}

fn assert_served(simulation: &Simulation, job: JobId, launches: u64) {
    let outside = simulation.shared().lock();
    assert_executed_once(&outside, job);
    assert_eq!(outside.ledger.launches, launches, "{:?}", outside.ledger.endings);
}

#[test]
fn a_task_that_started_without_an_answer_serves_its_job() {
    run(async {
        let mut simulation = after_a_lost_answer(one_job(), true, 3);
        let job = simulation.queue(job(60));
        settle(&mut simulation, LIMIT, "missing for three requests").await;
        assert_served(&simulation, job, 1);
        assert_eq!(refused(&simulation), 0);
    });
}

#[test]
fn a_launch_without_an_answer_is_given_up_only_when_its_task_would_have_appeared() {
    run(async {
        let mut simulation = after_a_lost_answer(one_job(), false, FOR_EVER);
        let job = simulation.queue(job(60));
        simulation.pass(Duration::from_secs(5 * 60)).await;
        assert_eq!(refused(&simulation), 0, "a task could still appear");
        simulation.pass(Duration::from_secs(15 * 60)).await;
        assert!(refused(&simulation) >= 1, "{:?}", simulation.shared().lock().ledger.endings);
        simulation.shared().lock().ecs.faults_mut().missing = Missing::default();
        settle(&mut simulation, LIMIT, "back after a while").await;
        assert_executed_once(&simulation.shared().lock(), job);
    });
}

#[test]
fn a_launch_that_was_never_sent_is_given_up_at_once() {
    run(async {
        let mut simulation = Simulation::new(one_job());
        simulation.shared().lock().ecs.faults_mut().missing = Missing { after: 0, times: 1 };
        let job = simulation.queue(job(60));
        settle(&mut simulation, LIMIT, "missing for one request").await;
        assert_served(&simulation, job, 2);
        assert_eq!(refused(&simulation), 1);
    });
}

#[test]
fn a_warm_task_that_started_without_an_answer_is_used() {
    run(async {
        let mut simulation = after_a_lost_answer(one_warm(), true, 3);
        simulation.pass(Duration::from_secs(15 * 60)).await;
        {
            let outside = simulation.shared().lock();
            assert_eq!(outside.tables.open.warm.len(), 1);
            let failed =
                outside.tables.gone_warm.values().filter(|warm| warm.kind == WarmEnd::Failed).count();
            assert_eq!(failed, 0, "{:?}", outside.tables.gone_warm);
        }
        let job = simulation.queue(job(60));
        simulation.pass(Duration::from_secs(10 * 60)).await;
        let outside = simulation.shared().lock();
        assert_executed_once(&outside, job);
        assert!(outside.ledger.violations.is_empty(), "{:?}", outside.ledger.violations);
    });
}

#[test]
fn a_warm_task_that_started_without_an_answer_is_not_forgotten_if_its_class_changes() {
    run(async {
        let mut simulation = after_a_lost_answer(one_warm(), true, 3);
        let is_asked = |simulation: &Simulation| {
            let outside = simulation.shared().lock();
            outside.tables.open.warm.values().any(|warm| warm.retry.is_some())
        };
        for _ in 0..900 {
            if !is_asked(&simulation) {
                simulation.pass(Duration::from_secs(1)).await;
            }
        }
        assert!(is_asked(&simulation), "the answer to the first request is lost");
        let mut larger = one_warm().classes;
        larger["small"]["memory"] = json!(2048);
        simulation.shared().lock().set_classes(larger);
        simulation.pass(Duration::from_secs(15 * 60)).await;
        let outside = simulation.shared().lock();
        let first = outside.ecs.tasks().find(|task| task.memory == 1024).unwrap();
        let told = first.stopped_reason.unwrap_or_default();
        assert!(told.contains("its class or its image had changed"), "it was forgotten: {told}");
        assert!(outside.ledger.violations.is_empty(), "{:?}", outside.ledger.violations);
    });
}
