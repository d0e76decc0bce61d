//! A thousand jobs at once, under GitHub's and AWS's own limits.

#![expect(clippy::print_stdout, reason = "people read the cost of a job with --nocapture")]

use std::time::Duration;

use ecsrunner_core::id::JobId;
use ecsrunner_world::faults::{FaultPlan, Method};
use ecsrunner_world::{Outside, Simulation};
use jiff::{SignedDuration, Timestamp};

use crate::harness::{assert_executed_once, job, run, settle, setup};

const JOBS: u64 = 1000;
const MAX_JIT_A_MINUTE: usize = 180;
/// 5 % above the pace: 1,000 at 162 a minute, with 15 of them at once.
const LAST_JIT_WITHIN: SignedDuration = SignedDuration::from_secs(384);
/// For the whole life of one job without other load, with its runner's exit record.
const MAX_AWS_CALLS: u64 = 26;

#[test]
fn a_single_job_costs_few_calls_and_leaves_nothing() {
    run(async {
        let mut simulation = Simulation::new(setup(1, FaultPlan::default()));
        let job = simulation.queue(job(5));
        // Ends before the next sweep, which would be made without any job as well.
        settle(&mut simulation, Duration::from_secs(59), "one job").await;
        let outside = simulation.shared().lock();
        assert_executed_once(&outside, job);
        assert_eq!(outside.ledger.launches, 1);
        tell_calls(&outside, 1);
        let (aws, github) = calls(&outside);
        assert!(aws <= MAX_AWS_CALLS, "{aws} calls to AWS");
        assert_eq!(github, 1, "calls to GitHub");
    });
}

#[test]
fn a_thousand_jobs_at_once_are_each_executed_once_at_the_pace_that_github_allows() {
    run(async {
        let fault_plan = FaultPlan { conflict: 0.01, ..FaultPlan::default() };
        let mut simulation = Simulation::new(setup(1, fault_plan));
        let jobs: Vec<JobId> = (0..JOBS).map(|i| simulation.queue(job(60 + i % 120))).collect();
        let began = simulation.shared().lock().hub.jobs[&jobs[0]].created_at;
        settle(&mut simulation, Duration::from_secs(3600), "burst").await;
        let outside = simulation.shared().lock();
        let configured = &outside.hub.configured;
        let last = configured.last().unwrap().duration_since(began);
        let most = most_in_a_minute(configured);
        println!("last JIT after {last:#}, most in a minute {most}, throttled {}", outside.hub.throttled);
        println!("launches {}, failures {:?}", outside.ledger.launches, outside.ledger.failures);
        tell_calls(&outside, JOBS);
        for job in jobs {
            assert_executed_once(&outside, job);
        }
        let (aws, github) = calls(&outside);
        assert!(aws < MAX_AWS_CALLS * JOBS, "{aws} calls to AWS");
        let configured = outside.ledger.calls[&Method::GenerateJitconfig];
        assert_eq!(configured, JOBS, "configurations that were asked for");
        // The other calls come from sweeps, and from jobs that waited for more than five minutes.
        assert!(github - configured <= JOBS / 5, "{github} calls to GitHub");
        let beyond = &outside.ledger.beyond_demand;
        assert!(beyond.is_empty(), "{} launches beyond demand: {beyond:#?}", beyond.len());
        assert!(most <= MAX_JIT_A_MINUTE, "{most} configurations in a minute");
        assert_eq!(outside.hub.throttled, 0, "GitHub's limit was hit");
        assert!(last <= LAST_JIT_WITHIN, "the last configuration came after {last:#}");
    });
}

/// Returns the most within any 60 seconds.
fn most_in_a_minute(at: &[Timestamp]) -> usize {
    let minute = SignedDuration::from_secs(60);
    let within =
        |first: usize| at[first..].iter().take_while(move |other| other.duration_since(at[first]) < minute);
    (0..at.len()).map(|first| within(first).count()).max().unwrap_or(0)
}

/// Returns the numbers of calls to AWS and to GitHub.
fn calls(outside: &Outside) -> (u64, u64) {
    let github = outside.ledger.calls.iter().filter(|(method, _)| method.is_githubs());
    let github = github.map(|(_, calls)| calls).sum();
    (outside.ledger.all_calls() - github, github)
}

/// Prints the calls for each job, which `--nocapture` shows.
fn tell_calls(outside: &Outside, jobs: u64) {
    let all = outside.ledger.all_calls();
    for (method, calls) in &outside.ledger.calls {
        println!("{method:?}: {:.2} a job", per(*calls, jobs));
    }
    println!("together: {:.2} a job", per(all, jobs));
}

fn per(calls: u64, jobs: u64) -> f64 {
    f64::from(u32::try_from(calls).unwrap()) / f64::from(u32::try_from(jobs).unwrap())
}
