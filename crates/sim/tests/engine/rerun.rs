//! Jobs whose runner was lost are run again, and no others.

use std::collections::BTreeMap;
use std::time::Duration;

use ecsrunner_core::decide::rerun::MAX_REFUSALS;
use ecsrunner_core::id::JobId;
use ecsrunner_core::records::job::JobEnding;
use ecsrunner_core::rules::cost::Market;
use ecsrunner_engine::dispatcher::{DispatchOptions, Dispatched};
use ecsrunner_engine::ports::Clock;
use ecsrunner_world::Simulation;
use ecsrunner_world::faults::{FaultPlan, Method, Mishap, MishapKind, Process};
use ecsrunner_world::github::{HubState, Order};
use serde_json::json;

use crate::harness::{repository, run, settle, setup};

const MINUTE: Duration = Duration::from_secs(60);
/// GitHub fails a job whose runner vanished after ten minutes.
const LIMIT: Duration = Duration::from_secs(3600);

fn with(fault_plan: FaultPlan, rerun: bool) -> Simulation {
    let mut setup = setup(3, fault_plan);
    setup.settings["rerun"] = json!(rerun);
    setup.classes["never"] =
        json!({"cpu": 512, "memory": 1024, "capacity": "spot-then-on-demand", "rerun": false});
    setup.classes["always"] =
        json!({"cpu": 512, "memory": 1024, "capacity": "spot-then-on-demand", "rerun": true});
    Simulation::new(setup)
}

fn switched_on() -> Simulation {
    with(FaultPlan::default(), true)
}

fn job_in(class: &str) -> Order {
    Order::new(&repository("app"), &["self-hosted", &format!("class:{class}")], 300)
}

/// What takes a runner away while it executes a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Blow {
    /// AWS takes its Spot capacity back.
    Spot,
    /// The container ends with this code.
    Exit(i32),
}

const AGENT_FAILED: Blow = Blow::Exit(1);
const SEGMENTATION_FAULT: Blow = Blow::Exit(139);
const OUT_OF_MEMORY: Blow = Blow::Exit(137);
const LISTENER_CRASHED: Blow = Blow::Exit(18);
const JOB_TIMEOUT: Blow = Blow::Exit(19);

/// Takes the runners of all jobs away that are executed now; returns how many.
fn strike(simulation: &Simulation, blow: Blow) -> usize {
    let now = simulation.shared().clock().now();
    let outside = &mut *simulation.shared().lock();
    let tasks = outside.tasks_at_work();
    for task in &tasks {
        match blow {
            Blow::Spot => outside.ecs.interrupt(task.as_str(), now).unwrap(),
            Blow::Exit(code) => outside.ecs.exit(task.as_str(), code, now).unwrap(),
        }
    }
    tasks.len()
}

/// Waits until this many jobs are executed.
async fn until_busy(simulation: &mut Simulation, count: usize) {
    for _ in 0..240 {
        if simulation.shared().lock().tasks_at_work().len() == count {
            return;
        }
        simulation.pass(Duration::from_secs(5)).await;
    }
    panic!("{count} jobs are not executed: {:#?}", simulation.shared().lock().left_over());
}

/// Returns the attempts and conclusions of a job, in order.
fn attempts(simulation: &Simulation, job: JobId) -> Vec<(u32, &'static str)> {
    let outside = simulation.shared().lock();
    let first = &outside.hub.jobs[&job];
    let of_job = outside.hub.jobs.values().filter(|job| job.run == first.run && job.name == first.name);
    of_job
        .map(|job| match &job.state {
            HubState::Completed { conclusion, .. } => (job.attempt, *conclusion),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn reruns(simulation: &Simulation) -> u64 {
    simulation.shared().lock().hub.reruns
}

/// Returns the sentence in a job's record that says why it ended.
fn why(simulation: &Simulation, job: JobId) -> String {
    let outside = simulation.shared().lock();
    match &outside.tables.ended[&job].ending {
        JobEnding::Completed { reason: Some(reason), .. } => reason.text(),
        other => format!("{other:?}"),
    }
}

async fn strike_one_job(simulation: &mut Simulation, class: &str, blow: Blow) -> JobId {
    let job = simulation.queue(job_in(class));
    until_busy(simulation, 1).await;
    assert_eq!(strike(simulation, blow), 1);
    settle(simulation, LIMIT, &format!("{blow:?}")).await;
    job
}

#[test]
fn a_job_whose_spot_capacity_was_taken_back_is_run_again_once_its_run_has_ended() {
    run(async {
        let mut simulation = switched_on();
        let job = strike_one_job(&mut simulation, "spot", Blow::Spot).await;
        assert_eq!(attempts(&simulation, job), [(1, "failure"), (2, "success")]);
        assert_eq!(why(&simulation, job), "AWS took the Spot capacity back; run again as attempt 2");
    });
}

#[test]
fn a_job_whose_agent_crashed_is_run_again() {
    run(async {
        for blow in [AGENT_FAILED, SEGMENTATION_FAULT] {
            let mut simulation = switched_on();
            let job = strike_one_job(&mut simulation, "spot", blow).await;
            assert_eq!(attempts(&simulation, job), [(1, "failure"), (2, "success")], "{blow:?}");
            assert!(why(&simulation, job).ends_with("; run again as attempt 2"), "{}", why(&simulation, job));
        }
    });
}

#[test]
fn a_job_that_its_own_memory_or_time_or_processes_ended_is_never_run_again() {
    run(async {
        for blow in [OUT_OF_MEMORY, LISTENER_CRASHED, JOB_TIMEOUT] {
            let mut simulation = switched_on();
            let job = strike_one_job(&mut simulation, "spot", blow).await;
            assert_eq!(attempts(&simulation, job), [(1, "failure")], "{blow:?}");
        }
    });
}

#[test]
fn a_job_that_failed_by_itself_or_was_cancelled_is_never_run_again() {
    run(async {
        for conclusion in ["failure", "cancelled", "timed_out"] {
            let mut simulation = switched_on();
            let job = simulation.queue(job_in("spot"));
            until_busy(&mut simulation, 1).await;
            let now = simulation.shared().clock().now();
            simulation.shared().lock().end_job(job, conclusion, now);
            settle(&mut simulation, LIMIT, conclusion).await;
            assert_eq!(attempts(&simulation, job), [(1, conclusion)]);
        }
    });
}

#[test]
fn a_cancelled_job_whose_runner_is_then_lost_is_not_run_again() {
    run(async {
        let mut simulation = switched_on();
        let job = simulation.queue(job_in("spot"));
        until_busy(&mut simulation, 1).await;
        let now = simulation.shared().clock().now();
        strike(&simulation, Blow::Exit(1));
        simulation.shared().lock().hub.complete(job, "cancelled", now);
        settle(&mut simulation, LIMIT, "cancelled").await;
        assert_eq!(attempts(&simulation, job), [(1, "cancelled")]);
    });
}

#[test]
fn nothing_is_run_again_where_it_is_not_asked_for() {
    run(async {
        for (deployment, class, expected) in
            [(false, "spot", 0), (true, "never", 0), (false, "always", 1), (true, "spot", 1)]
        {
            let mut simulation = with(FaultPlan::default(), deployment);
            let job = strike_one_job(&mut simulation, class, Blow::Spot).await;
            assert_eq!(reruns(&simulation), expected, "{deployment} {class}");
            if expected == 0 {
                assert_eq!(why(&simulation, job), "AWS took the Spot capacity back");
            }
        }
    });
}

#[test]
fn a_job_is_run_again_at_most_twice_and_the_second_time_on_demand() {
    run(async {
        let mut simulation = switched_on();
        let job = simulation.queue(job_in("spot"));
        let mut markets = Vec::new();
        for blow in [Blow::Spot, Blow::Spot, AGENT_FAILED] {
            until_busy(&mut simulation, 1).await;
            let market = {
                let outside = simulation.shared().lock();
                let runner = outside.tables.open.runners.values().find(|runner| runner.names_job().is_some());
                runner.unwrap().placement.market
            };
            markets.push(market);
            strike(&simulation, blow);
            // AWS warns two minutes before it stops a task.
            until_busy(&mut simulation, 0).await;
        }
        settle(&mut simulation, LIMIT, "three blows").await;
        assert_eq!(attempts(&simulation, job), [(1, "failure"), (2, "failure"), (3, "failure")]);
        assert_eq!(markets, [Market::Spot, Market::Spot, Market::OnDemand]);
        let last = *simulation.shared().lock().hub.jobs.keys().next_back().unwrap();
        assert!(why(&simulation, last).ends_with("; not run again: it was run again 2 times"));
    });
}

/// Loses the runner of a job. Returns the job, and another one of its run that goes on.
async fn lost_beside_another(simulation: &mut Simulation) -> (JobId, JobId) {
    let job = simulation.queue(job_in("spot"));
    // It runs on GitHub's own runners, so it is not known here.
    let now = simulation.shared().clock().now();
    let other = Order::new(&repository("app"), &["ubuntu-latest"], 0);
    let other = simulation.shared().lock().hub.queue_in_run_of(job, other, now);
    until_busy(simulation, 1).await;
    strike(simulation, Blow::Spot);
    (job, other)
}

#[test]
fn a_rerun_waits_for_the_other_jobs_of_its_run() {
    run(async {
        let mut simulation = switched_on();
        let (job, other) = lost_beside_another(&mut simulation).await;
        simulation.pass(30 * MINUTE).await;
        assert_eq!(reruns(&simulation), 0);
        let now = simulation.shared().clock().now();
        simulation.shared().lock().hub.complete(other, "success", now);
        settle(&mut simulation, LIMIT, "after the other job").await;
        assert_eq!(attempts(&simulation, job), [(1, "failure"), (2, "success")]);
        assert_eq!(attempts(&simulation, other), [(1, "success")]);
    });
}

#[test]
fn a_newer_attempt_that_a_person_made_stops_the_rerun() {
    run(async {
        let mut simulation = switched_on();
        let job = simulation.queue(job_in("spot"));
        let now = simulation.shared().clock().now();
        let other = Order::new(&repository("app"), &["ubuntu-latest"], 0);
        let other = simulation.shared().lock().hub.queue_in_run_of(job, other, now);
        until_busy(&mut simulation, 1).await;
        strike(&simulation, Blow::Spot);
        simulation.pass(5 * MINUTE).await;
        let now = simulation.shared().clock().now();
        {
            let hub = &mut simulation.shared().lock().hub;
            hub.complete(other, "failure", now);
            assert!(hub.rerun(other, now).is_some());
        }
        simulation.pass(30 * MINUTE).await;
        assert_eq!(reruns(&simulation), 1, "the person's own");
        let text = "AWS took the Spot capacity back; not run again: attempt 2 was made by someone else";
        assert_eq!(why(&simulation, job), text);
    });
}

#[test]
fn two_lost_jobs_of_a_run_are_run_again_one_attempt_after_the_other() {
    run(async {
        let mut simulation = switched_on();
        let first = simulation.queue(job_in("spot"));
        let now = simulation.shared().clock().now();
        let second = simulation.shared().lock().hub.queue_in_run_of(first, job_in("spot"), now);
        until_busy(&mut simulation, 2).await;
        assert_eq!(strike(&simulation, Blow::Spot), 2);
        settle(&mut simulation, LIMIT, "two jobs").await;
        let mut attempts = [attempts(&simulation, first), attempts(&simulation, second)];
        attempts.sort_unstable();
        assert_eq!(attempts, [[(1, "failure"), (2, "success")], [(1, "failure"), (3, "success")]]);
        assert_eq!(reruns(&simulation), 2);
    });
}

/// Both jobs of a run are lost, and then the runners of the first `more` attempts that are made for them. Returns the number
/// of attempts that were made, and the conclusions of both jobs' last ones.
async fn lost_again_and_again(more: usize) -> (u64, [&'static str; 2]) {
    let mut simulation = switched_on();
    let first = simulation.queue(job_in("spot"));
    let now = simulation.shared().clock().now();
    let second = simulation.shared().lock().hub.queue_in_run_of(first, job_in("spot"), now);
    until_busy(&mut simulation, 2).await;
    strike(&simulation, AGENT_FAILED);
    for _ in 0..more {
        until_busy(&mut simulation, 0).await;
        until_busy(&mut simulation, 1).await;
        strike(&simulation, AGENT_FAILED);
    }
    settle(&mut simulation, LIMIT, &format!("{more} more")).await;
    let last = [first, second].map(|job| attempts(&simulation, job).pop().unwrap().1);
    (reruns(&simulation), last)
}

#[test]
fn two_jobs_of_a_run_that_are_lost_again_and_again_are_run_again_twice_each() {
    let (ok, lost) = ("success", "failure");
    assert_eq!(run(lost_again_and_again(0)), (2, [ok, ok]));
    assert_eq!(run(lost_again_and_again(1)), (3, [ok, ok]));
    assert_eq!(run(lost_again_and_again(2)), (4, [ok, ok]));
    let (made, mut last) = run(lost_again_and_again(3));
    last.sort_unstable();
    assert_eq!((made, last), (4, [lost, ok]), "the first one has been run again twice");
    assert_eq!(run(lost_again_and_again(4)), (4, [lost, lost]));
}

#[test]
fn a_permission_that_is_missing_is_told_and_given_up() {
    run(async {
        let mut simulation = switched_on();
        simulation.shared().lock().hub.faults.reruns_refused = true;
        let job = strike_one_job(&mut simulation, "spot", Blow::Spot).await;
        assert_eq!(attempts(&simulation, job), [(1, "failure")]);
        let why = why(&simulation, job);
        assert!(why.contains("; not run again: GitHub refuses re-run-job with 403"), "{why}");
        let calls = simulation.shared().lock().ledger.calls[&Method::RunAgain];
        assert_eq!(calls, u64::from(MAX_REFUSALS), "a permission can be given meanwhile");
    });
}

#[test]
fn one_refusal_after_a_long_wait_for_the_run_is_tried_again() {
    run(async {
        let mut simulation = switched_on();
        let (job, other) = lost_beside_another(&mut simulation).await;
        simulation.pass(120 * MINUTE).await;
        simulation.shared().lock().hub.faults.reruns_refused = true;
        let now = simulation.shared().clock().now();
        simulation.shared().lock().hub.complete(other, "success", now);
        let asked = |simulation: &Simulation| {
            let calls = &simulation.shared().lock().ledger.calls;
            calls.get(&Method::RunAgain).copied().unwrap_or(0)
        };
        while asked(&simulation) == 0 {
            simulation.pass(Duration::from_secs(5)).await;
        }
        simulation.shared().lock().hub.faults.reruns_refused = false;
        settle(&mut simulation, LIMIT, "one refusal").await;
        assert_eq!(attempts(&simulation, job), [(1, "failure"), (2, "success")]);
    });
}

#[test]
fn a_paused_deployment_runs_nothing_again_until_it_resumes() {
    run(async {
        let mut simulation = switched_on();
        let job = simulation.queue(job_in("spot"));
        until_busy(&mut simulation, 1).await;
        simulation.shared().lock().pause(true);
        strike(&simulation, Blow::Spot);
        simulation.pass(30 * MINUTE).await;
        assert_eq!(reruns(&simulation), 0);
        simulation.shared().lock().pause(false);
        settle(&mut simulation, LIMIT, "resumed").await;
        assert_eq!(attempts(&simulation, job), [(1, "failure"), (2, "success")]);
    });
}

#[test]
fn a_dispatcher_that_lost_its_lease_during_a_rerun_stops_though_its_read_failed_too() {
    run(async {
        // A round reads for a second.
        let open_takes_per_record = Duration::from_millis(200);
        let mut simulation = with(FaultPlan { open_takes_per_record, ..FaultPlan::default() }, true);
        simulation.queue(job_in("spot"));
        until_busy(&mut simulation, 1).await;
        simulation.shared().lock().pause(true);
        strike(&simulation, AGENT_FAILED);
        simulation.pass(14 * MINUTE).await;
        for _ in 0..5 {
            simulation.queue(job_in("huge"));
        }
        simulation.pass(Duration::from_secs(40)).await;
        simulation.shared().lock().pause(false);
        let engine = simulation.engine(&Process::default());
        let steal = async {
            let asked = |calls: &BTreeMap<Method, u64>| calls.get(&Method::Run).copied();
            let before = asked(&simulation.shared().lock().ledger.calls);
            while asked(&simulation.shared().lock().ledger.calls) == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let now = simulation.shared().clock().now();
            let outside = &mut *simulation.shared().lock();
            outside.tables.lose_lease(now);
            outside.fault_plan.opens_fail = true;
        };
        let (dispatched, ()) = tokio::join!(engine.dispatch(DispatchOptions::default()), steal);
        assert_eq!(dispatched.unwrap(), Dispatched::LeaseLost);
    });
}

#[test]
fn a_read_during_which_a_runner_is_lost_loses_no_rerun() {
    run(async {
        let mut simulation =
            with(FaultPlan { page_takes: Duration::from_secs(2), ..FaultPlan::default() }, true);
        let lost = simulation.queue(job_in("spot"));
        until_busy(&mut simulation, 1).await;
        // Other jobs keep rounds going at any time.
        for number in 1..60 {
            simulation.after(Duration::from_secs(7 * number), |outside, now| {
                outside.hub.queue(Order::new(&repository("web"), &["self-hosted"], 1), now);
            });
        }
        strike(&simulation, Blow::Spot);
        settle(&mut simulation, LIMIT, "slow pages").await;
        assert_eq!(attempts(&simulation, lost), [(1, "failure"), (2, "success")]);
    });
}

/// Runs a job whose runner is lost, with a fault at one call. Returns the number of calls until the loss, and of all.
async fn lose_a_runner(blow: Blow, mishap: Option<Mishap>) -> (u64, u64) {
    let words = format!("{blow:?} {mishap:?}");
    let mut simulation = with(FaultPlan { mishap, no_retries: true, ..FaultPlan::default() }, true);
    let job = simulation.queue(job_in("spot"));
    until_busy(&mut simulation, 1).await;
    let before = simulation.shared().lock().ledger.all_calls();
    strike(&simulation, blow);
    settle(&mut simulation, LIMIT, &words).await;
    assert_eq!(reruns(&simulation), 1, "{words}");
    assert_eq!(attempts(&simulation, job), [(1, "failure"), (2, "success")], "{words}");
    (before, simulation.shared().lock().ledger.all_calls())
}

/// Repeats that with a fault at each call after the loss in turn, before the call takes effect, after it, or both.
fn at_every_call(blow: Blow, kind: MishapKind, moments: &[bool]) {
    let (first, _) = run(lose_a_runner(blow, None));
    for call in first.. {
        for &after in moments {
            let (_, calls) = run(lose_a_runner(blow, Some(Mishap { call, after, kind })));
            if call >= calls {
                return;
            }
        }
    }
}

#[test]
fn a_process_may_die_at_any_call_and_the_job_is_run_again_once() {
    at_every_call(Blow::Spot, MishapKind::Kill, &[false, true]);
}

#[test]
fn a_process_may_die_at_any_call_after_an_agent_crashed_and_the_job_is_run_again_once() {
    // GitHub fails the job after ten minutes, which takes long to simulate.
    at_every_call(AGENT_FAILED, MishapKind::Kill, &[true]);
}

#[test]
fn any_calls_answer_may_be_lost_and_the_job_is_run_again_once() {
    at_every_call(Blow::Spot, MishapKind::Lose, &[false, true]);
}

#[test]
fn a_dispatcher_may_stand_still_at_any_call_and_the_job_is_run_again_once() {
    at_every_call(Blow::Spot, MishapKind::Stall(2 * MINUTE), &[false, true]);
}
