//! Runners that were launched only to fail a job.

use serde_json::json;

use super::{JOB, Job};
use crate::harness::RUN;

#[test]
fn a_job_that_is_to_fail_fails_by_its_display_name() {
    let fail = json!({"run": 7, "attempt": 2, "job": "build", "reason": "class `gpu` does not exist"});
    Job { fail: Some(fail), ..Job::default() }.executes_no_step("class `gpu` does not exist");
}

#[test]
fn every_other_job_that_reaches_such_a_runner_is_refused_too() {
    let words = |job: &str| {
        format!(
            "its runner was launched only to fail the job `{job}` of run 7, which has the same labels and cannot be served: x"
        )
    };
    let fail = json!({"run": 7, "attempt": 2, "job": "test", "reason": "x"});
    Job { fail: Some(fail), ..Job::default() }.executes_no_step(&words("test"));
    let fail = json!({"run": 7, "attempt": 1, "job": "build", "reason": "x"});
    Job { fail: Some(fail), ..Job::default() }.executes_no_step(&words("build"));
}

#[test]
fn a_job_whose_name_is_longer_than_the_kept_part_of_it_is_told_its_own_reason() {
    let name = format!("build ({})", "x".repeat(90));
    let kept: String = name.chars().take(60).collect();
    let fail = json!({"run": 7, "attempt": 2, "job": kept, "reason": "class `gpu` does not exist"});
    let begins = format!("echo '2026-11-01 12:00:01Z: Running job: {name}'");
    let lines = JOB.map(|line| if line == RUN { begins.as_str() } else { line });
    let ended = Job { fail: Some(fail), ..Job::default() }.run_with(&lines, |agent| agent);
    let ended = ended.ended_with(20, "job_refused");
    let sentence = "::error::ecsrunner refuses this job: class `gpu` does not exist";
    assert!(ended.lines.iter().any(|line| line.starts_with(sentence)), "{:#?}", ended.lines);
}
