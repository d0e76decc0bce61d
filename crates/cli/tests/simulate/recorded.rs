//! Recorded events as a source of jobs.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{CLASS, document, run};

fn event(job: u64, action: &str, queued: &str, started: &str, completed: &str) -> Value {
    json!({
        "action": action,
        "workflow_job": {
            "id": job, "run_id": job, "name": "build", "labels": ["self-hosted"], "status": action,
            "created_at": queued, "started_at": started, "completed_at": completed,
            "conclusion": "success", "runner_name": "other",
        },
        "repository": {"full_name": "acme/app", "private": true},
    })
}

fn simulate(directory: &Path, entry: &str) -> std::process::Output {
    fs::write(directory.join("load.toml"), format!("{CLASS}[[arrivals]]\n{entry}")).unwrap();
    run(directory, &["load.toml", "--json"])
}

#[test]
fn recorded_jobs_come_at_their_times_and_run_as_long_as_they_did() {
    let directory = tempfile::tempdir().unwrap();
    let times = ["2026-09-30T10:00:00Z", "2026-09-30T10:00:30Z", "2026-09-30T10:10:30Z"];
    let events: Vec<String> = ["queued", "in_progress", "completed"]
        .iter()
        .map(|action| event(7, action, times[0], times[1], times[2]).to_string())
        .collect();
    fs::write(directory.path().join("events.json"), events.join("\n")).unwrap();
    let result = document(&simulate(directory.path(), "events = 'events.json'\n"));
    assert_eq!(result["from"], "2026-09-30T00:00:00Z");
    assert_eq!(result["jobs"]["succeeded"], 1);
    let until: String = result["until"].as_str().unwrap().chars().take(15).collect();
    // Ten minutes after its start, which takes half a minute, and then the end of its task.
    assert_eq!(until, "2026-09-30T10:1");
    assert_eq!(result["repositories"][0]["name"], "acme/app");
    let at_work =
        result["over_time"].as_array().unwrap().iter().filter(|point| point["jobs_in_progress"] == 1);
    assert!((8..=13).contains(&(at_work.count() * minutes_of_point(&result))));
}

fn minutes_of_point(result: &Value) -> usize {
    let at =
        |index: usize| result["over_time"][index]["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    usize::try_from(at(1).duration_since(at(0)).as_mins()).unwrap()
}

#[test]
fn jobs_without_a_recorded_end_need_a_duration() {
    let directory = tempfile::tempdir().unwrap();
    let queued = event(7, "queued", "2026-09-30T10:00:00Z", "2026-09-30T10:00:00Z", "2026-09-30T10:00:00Z");
    fs::write(directory.path().join("events.json"), queued.to_string()).unwrap();
    let output = simulate(directory.path(), "events = 'events.json'\n");
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    let expected = "arrivals[0].events is \"events.json\": 1 of its 1 jobs have no recorded duration: `job_secs` is expected";
    assert!(told.contains(expected), "{told}");
    let result = document(&simulate(directory.path(), "events = 'events.json'\njob_secs = 60\n"));
    assert_eq!(result["jobs"]["succeeded"], 1);
}
