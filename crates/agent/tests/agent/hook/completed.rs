//! The job-completed hook, which writes the note about the runner.

use std::fs;
use std::time::{Duration, Instant};

use ecsrunner_core::wire::exit_record::ExitRecord;
use serde_json::{Value, json};

use super::{JOB, Job};
use crate::harness::Ended;

/// The listener executes both hooks, and the job's steps in between.
fn noted(about: Value, between: &str) -> Ended {
    let completed = "bash -e \"$ACTIONS_RUNNER_HOOK_JOB_COMPLETED\"; echo completed hook $?";
    let lines = [&JOB[..4], &[between, completed], &JOB[4..]].concat();
    Job { about: Some(about), ..Job::default() }.run_with(&lines, |agent| agent)
}

pub(crate) fn about(version: u32) -> Value {
    json!({
        "v": version, "deployment": "ci", "class": "small", "cpu": 512, "memory": 1024,
        "capacity_provider": "FARGATE", "requested_at": "2025-11-24T16:00:00Z", "launched_at": "2025-11-24T16:00:01Z",
        "price": {"nano_usd_per_hour": 29_685_000, "least_secs": 60, "as_of": "2026-09"}, "a_later_field": 1,
    })
}

#[test]
fn each_time_in_a_jobs_note_is_the_one_in_its_agents_exit_record() {
    let ended = noted(about(1), ":").ended_with(0, "completed");
    assert!(ended.lines.iter().any(|line| line == "completed hook 0"), "{:#?}", ended.lines);
    let summary = fs::read_to_string(ended.path("summary")).unwrap();
    let record = ExitRecord::read(ended.lines.last().unwrap()).unwrap().unwrap();
    let [started, _, _, _, listening, job_acquired, _] = record.times.steps();
    for (name, at) in [("booted", started), ("listening", listening), ("job begun", job_acquired)] {
        let row = format!("| {name} | {:.3}, ", at.unwrap());
        assert!(summary.contains(&row), "{row}: {summary}");
    }
    assert!(summary.contains(&format!("| runner | `{}` |", record.runner.unwrap())), "{summary}");
    assert!(summary.contains("| requested | 2025-11-24T16:00:00.000Z |"), "{summary}");
}

#[test]
fn a_note_of_a_version_that_the_agent_does_not_know_is_not_written_and_the_job_runs() {
    let ended = noted(about(2), ":").ended_with(0, "completed");
    assert!(ended.path("runner/always-step-ran").exists());
    // There is no hook, so the listener's shell has no script to execute.
    assert!(ended.lines.iter().any(|line| line.starts_with("completed hook 1")), "{:#?}", ended.lines);
    assert_eq!(fs::read_to_string(ended.path("summary")).unwrap(), "");
}

#[test]
fn the_completed_hook_ends_with_0_whatever_the_job_has_done_to_it() {
    let dir = "${ACTIONS_RUNNER_HOOK_JOB_STARTED%/*}";
    for spoilt in [
        format!("for i in {{1..40}}; do echo note $i > {dir}/verdicts; sleep 0.02; done"),
        format!("rm {dir}/verdicts"),
        format!("mkdir {dir}/note.json"),
        "rm $GITHUB_STEP_SUMMARY; mkfifo $GITHUB_STEP_SUMMARY".to_owned(),
        "unset GITHUB_STEP_SUMMARY".to_owned(),
        format!("sed -i 's#^.*|| :#/nowhere || :#' {dir}/job-completed.sh"),
    ] {
        let began = Instant::now();
        let ended = noted(about(1), &spoilt).ended_with(0, "completed");
        assert!(ended.lines.iter().any(|line| line == "completed hook 0"), "{spoilt}: {:#?}", ended.lines);
        assert!(began.elapsed() < Duration::from_secs(10), "{spoilt}: {:?}", began.elapsed());
    }
}

/// Executes the completed hook three times and prints how long the fastest took, in milliseconds: a machine that is busy makes
/// some of them slower. A hook that hangs is killed.
const TIMED_HOOK: &str = "for i in 1 2 3; do began=$(date +%s%N); timeout 20 bash -e \"$ACTIONS_RUNNER_HOOK_JOB_COMPLETED\"; \
    echo $? $(( ($(date +%s%N) - began) / 1000000 )); done | tee hooks; \
    echo fastest $(grep '^0 ' hooks | cut -d' ' -f2 | sort -n | head -n 1)";

#[test]
fn the_completed_hook_gives_up_within_two_seconds_whatever_hangs() {
    let fifo = "note=${ACTIONS_RUNNER_HOOK_JOB_STARTED%/*}/note.json; rm -f $note; mkfifo $note";
    for hangs in [":", fifo] {
        // The listener is a child of the agent, which cannot answer meanwhile, and does not replace the FIFO.
        let between = format!("{hangs}; kill -STOP $PPID; {TIMED_HOOK}; kill -CONT $PPID");
        let ended = noted(about(1), &between).ended_with(0, "completed");
        let fastest = ended.lines.iter().find_map(|line| line.strip_prefix("fastest "));
        let fastest: Option<u64> = fastest.and_then(|millis| millis.parse().ok());
        assert!(fastest.is_some_and(|millis| millis <= 2_000), "{hangs}: {fastest:?}: {:#?}", ended.lines);
        let says = "ecsrunner has no note about this job's runner: its agent did not answer in time";
        assert!(ended.lines.iter().any(|line| line == says), "{hangs}: {:#?}", ended.lines);
    }
}
