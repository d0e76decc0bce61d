//! Budgets: a storm of jobs stops at its budget and goes on after midnight, and each task counts once.

use std::time::Duration;

use ecsrunner_core::id::{ClassName, JobId};
use ecsrunner_core::records::spend::{SpendKey, SpentBy};
use ecsrunner_world::faults::{FaultPlan, Mishap, MishapKind};
use ecsrunner_world::{Setup, Simulation};
use serde_json::json;

use crate::harness::{assert_executed_once, assert_spent_once, job, run, settle, setup};

/// The deployment's budget for a day, in dollars.
const DAILY: f64 = 0.05;
const MAX_RUNNERS: u64 = 5;
const JOBS: u64 = 40;
const JOB_SECS: u64 = 600;
/// What a runner costs at most with such a job, in dollars: its boot and its end take minutes too.
const MOST: f64 = 0.0297 / 3600.0 * (JOB_SECS as f64 + 300.0);

fn with_budget(fault_plan: FaultPlan, budget: serde_json::Value) -> Setup {
    let mut setup = setup(11, fault_plan);
    setup.settings["budget"] = budget;
    setup.settings["limits"] = json!({"max_runners": MAX_RUNNERS});
    setup
}

/// Returns what a day has cost, as the sums say.
fn spent_on(simulation: &Simulation, day: &str) -> f64 {
    let outside = simulation.shared().lock();
    let by = SpentBy::Class(ClassName::parse("small").unwrap());
    let key = SpendKey { day: day.parse().unwrap(), by };
    outside.tables.spending.0.get(&key).map_or(0.0, |spent| spent.usd.dollars())
}

fn launches(simulation: &Simulation) -> u64 {
    simulation.shared().lock().ledger.launches
}

fn storm(simulation: &mut Simulation) -> Vec<JobId> {
    (0..JOBS).map(|_| simulation.queue(job(JOB_SECS))).collect()
}

#[test]
fn a_storm_stops_at_the_days_budget_and_goes_on_at_midnight() {
    run(async {
        let budget = json!({"daily_usd": DAILY, "action": "hold"});
        let mut simulation = Simulation::new(with_budget(FaultPlan::default(), budget));
        let jobs = storm(&mut simulation);
        simulation.pass(Duration::from_secs(6 * 3600)).await;
        let (held_at, spent) = (launches(&simulation), spent_on(&simulation, "2026-01-01"));
        assert!((MAX_RUNNERS..JOBS).contains(&held_at), "{held_at} launches");
        assert!(spent >= DAILY, "{spent} dollars: the hold came too early");
        #[expect(clippy::cast_precision_loss, reason = "few runners")]
        let most = DAILY + MAX_RUNNERS as f64 * MOST;
        assert!(spent < most, "{spent} dollars: more than the budget and what was running");
        {
            let outside = simulation.shared().lock();
            assert!(outside.tables.open.runners.is_empty(), "running jobs went on to their end");
            assert_eq!(outside.tables.open.jobs.len() as u64, JOBS - held_at, "the others wait");
            assert_spent_once(&outside, "before midnight");
        }
        simulation.pass(Duration::from_secs(18 * 3600 - 120)).await;
        assert_eq!(launches(&simulation), held_at, "before midnight");
        simulation.pass(Duration::from_secs(240)).await;
        assert!(launches(&simulation) > held_at, "after midnight");
        // Each day serves its part.
        settle(&mut simulation, Duration::from_secs(7 * 24 * 3600), "in the end").await;
        let outside = simulation.shared().lock();
        assert!(outside.tables.open.overspends.len() <= 1, "{:?}", outside.tables.open.overspends);
        for job in jobs {
            assert_executed_once(&outside, job);
        }
    });
}

#[test]
fn an_alarm_holds_nothing_back() {
    run(async {
        let mut simulation = Simulation::new(with_budget(FaultPlan::default(), json!({"daily_usd": DAILY})));
        storm(&mut simulation);
        settle(&mut simulation, Duration::from_secs(6 * 3600), "an alarm").await;
        let outside = simulation.shared().lock();
        assert_eq!(outside.tables.open.overspends.len(), 1, "it is written down");
    });
}

#[test]
fn an_operator_who_raises_the_budget_opens_it_within_a_minute() {
    run(async {
        let hold = |daily: f64| json!({"daily_usd": daily, "action": "hold"});
        let mut simulation = Simulation::new(with_budget(FaultPlan::default(), hold(DAILY)));
        storm(&mut simulation);
        simulation.pass(Duration::from_secs(6 * 3600)).await;
        let held_at = launches(&simulation);
        simulation.shared().lock().set_budget(hold(10.0));
        simulation.pass(Duration::from_secs(70)).await;
        assert!(launches(&simulation) > held_at);
        settle(&mut simulation, Duration::from_secs(6 * 3600), "a larger budget").await;
        assert!(simulation.shared().lock().tables.open.overspends.is_empty());
    });
}

/// Runs many jobs that end together, with slow calls, and returns what they cost and whether a budget was ever spent.
async fn end_together(daily: f64) -> (f64, bool) {
    let plan = FaultPlan { slow: 0.5, slow_ms: 4000, ..FaultPlan::default() };
    let mut setup = with_budget(plan, json!({"daily_usd": daily}));
    setup.settings["limits"] = json!({"max_runners": JOBS});
    let mut simulation = Simulation::new(setup);
    storm(&mut simulation);
    let mut was_spent = false;
    for _ in 0..4 * 900 {
        simulation.pass(Duration::from_millis(250)).await;
        was_spent |= !simulation.shared().lock().tables.open.overspends.is_empty();
    }
    settle(&mut simulation, Duration::from_secs(3600), "jobs that end together").await;
    (spent_on(&simulation, "2026-01-01"), was_spent)
}

#[test]
fn runners_that_end_while_a_round_reads_are_not_counted_twice() {
    run(async {
        let (cost, was_spent) = end_together(100.0).await;
        assert!(!was_spent && cost > 0.1, "{cost} dollars");
        assert!(!end_together(cost * 1.05).await.1, "more than they cost");
        assert!(end_together(cost * 0.9).await.1, "less than they cost");
    });
}

#[test]
fn jobs_are_launched_and_holds_stay_while_the_sums_cannot_be_read() {
    run(async {
        let budget = json!({"daily_usd": DAILY, "action": "hold"});
        let fault_plan = FaultPlan { sums_fail: true, ..FaultPlan::default() };
        let mut simulation = Simulation::new(with_budget(fault_plan, budget.clone()));
        let jobs = storm(&mut simulation);
        settle(&mut simulation, Duration::from_secs(24 * 3600), "no sums").await;
        for job in jobs {
            assert_executed_once(&simulation.shared().lock(), job);
        }

        let mut simulation = Simulation::new(with_budget(FaultPlan::default(), budget));
        storm(&mut simulation);
        simulation.pass(Duration::from_secs(6 * 3600)).await;
        let held_at = launches(&simulation);
        simulation.shared().lock().fault_plan.sums_fail = true;
        simulation.pass(Duration::from_secs(3600)).await;
        assert_eq!(launches(&simulation), held_at);
    });
}

#[test]
fn a_process_may_die_at_any_call_and_each_task_counts_once() {
    for kind in [MishapKind::Kill, MishapKind::Lose] {
        for call in 0.. {
            let mut happened = false;
            for after in [false, true] {
                happened |= run(die_at(Mishap { call, after, kind }));
            }
            if !happened {
                break;
            }
        }
    }
}

/// Runs a job with a budget. Returns whether the mishap could happen.
async fn die_at(mishap: Mishap) -> bool {
    let fault_plan = FaultPlan { mishap: Some(mishap), no_retries: true, ..FaultPlan::default() };
    let budget = json!({"daily_usd": 0.0001, "monthly_usd": 1.0});
    let mut simulation = Simulation::new(with_budget(fault_plan, budget));
    let job = simulation.queue(job(20));
    let words = format!("{mishap:?}");
    settle(&mut simulation, Duration::from_secs(1200), &words).await;
    // The round in which the runner was moved to history may have ended early.
    simulation.pass(Duration::from_secs(70)).await;
    let outside = simulation.shared().lock();
    assert_executed_once(&outside, job);
    let spent: Vec<&str> = outside.tables.open.overspends.keys().map(|key| key.period.as_str()).collect();
    assert_eq!(spent, ["day"], "{words}");
    mishap.call < outside.ledger.all_calls()
}
