//! The forms of the result, and that it can be repeated.

use std::fs;

use serde_json::{Value, json};

use super::{CLASS, document, run, simulate};

const LOAD: &str = "[[arrivals]]\nrepository = 'acme/app'\njobs_per_day = 120\nshape = 'working-day'\njob_secs = { median_secs = 60, p90_secs = 300 }\n";

#[test]
fn the_same_seed_gives_the_same_result_and_another_one_does_not() {
    let of_seed = |seed: u32| simulate(&format!("seed = {seed}\n{CLASS}{LOAD}"));
    let first = of_seed(7);
    assert_eq!(first, of_seed(7));
    assert_ne!(first["time_to_start_secs"], of_seed(8)["time_to_start_secs"]);
}

#[test]
fn a_further_source_does_not_change_the_times_of_the_others() {
    let quiet = format!("{CLASS}{LOAD}");
    let more =
        format!("{quiet}[[arrivals]]\nrepository = 'acme/web'\nburst_jobs = 1\nat = '23:59'\njob_secs = 1\n");
    let at_noon = |result: &Value| {
        let points = result["over_time"].as_array().unwrap();
        points.iter().take(240).map(|point| point["jobs_in_progress"].clone()).collect::<Vec<_>>()
    };
    let (quiet, more) = (simulate(&quiet), simulate(&more));
    assert_eq!(more["jobs"]["queued"], 121);
    let differ = at_noon(&quiet).iter().zip(&at_noon(&more)).filter(|(one, other)| one != other).count();
    // Starts differ by fractions of a second, which may fall into another minute.
    assert!(differ < 60, "{differ} of 240 points differ");
}

#[test]
fn the_document_has_the_documented_keys() {
    let result = simulate(&format!("{CLASS}{LOAD}[limits]\nmax_runners = 1\n"));
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let sorted = |text: &str| {
        let mut words: Vec<&str> = text.split(' ').collect();
        words.sort_unstable();
        words.join(" ")
    };
    for (value, expected) in [
        (
            &result,
            "seed from until jobs time_to_start_secs wait classes repositories cost runners peaks limited_first waiting over_time",
        ),
        (&result["jobs"], "queued started succeeded failed refused refusals still_queued"),
        (&result["time_to_start_secs"], "p50 p90 p99 max"),
        (&result["wait"], "parts unknown held_by"),
        (&result["wait"]["parts"]["pull"], "jobs secs"),
        (&result["wait"]["parts"]["pull"]["secs"], "p50 p90 p99 max"),
        (&result["classes"][0], "name jobs time_to_start_secs cost_usd"),
        (&result["repositories"][0], "name jobs time_to_start_secs cost_usd"),
        (&result["cost"], "total_usd per_job_usd idle_usd warm_usd prices_as_of"),
        (&result["runners"], "launches launches_without_job not_launched warm task_hours idle_task_hours"),
        (&result["peaks"], "queued runners jobs_in_progress vcpus"),
        (&result["limited_first"], "code text at"),
        (&result["waiting"][0], "code text is_limit share hours waits first_at"),
        (&result["over_time"][0], "at queued runners jobs_in_progress"),
    ] {
        assert_eq!(sorted(&keys(value)), sorted(expected));
    }
    assert_eq!(result["from"], "2026-01-05T00:00:00Z");
    assert!(result["over_time"].as_array().unwrap().len() <= 480);
}

#[test]
fn the_time_to_start_is_split_into_parts_that_are_all_known() {
    let result = simulate(&format!(
        "{CLASS}{LOAD}[limits]\nmax_runners = 1\n[world]\ntask_start = 20\npull = 6\nconnect = 2\n"
    ));
    let (wait, started) = (&result["wait"], &result["jobs"]["started"]);
    let median = |part: &str| wait["parts"][part]["secs"]["p50"].as_f64().unwrap();
    assert_eq!([median("provision"), median("pull"), median("listener")], [14.0, 6.0, 2.0], "{wait}");
    assert_eq!((&wait["parts"]["session"]["jobs"], &wait["unknown"]["secs"]["max"]), (started, &0.0.into()));
    // With one runner at a time most jobs wait for the limit, and none of the others does.
    let jobs = |part: &str| wait["parts"][part]["jobs"].as_u64().unwrap();
    assert_eq!(jobs("decision") + jobs("held"), started.as_u64().unwrap(), "{wait}");
    assert_eq!(wait["held_by"]["limit"], wait["parts"]["held"]["jobs"]);
}

#[test]
fn warm_tasks_shorten_waits_and_show_what_they_cost() {
    let warm = |count: u32| match count {
        0 => simulate(&format!("{CLASS}{LOAD}")),
        count => simulate(&format!("{CLASS}warm = {{ count = {count} }}\n{LOAD}[limits]\nmax_warm = 2\n")),
    };
    let (cold, kept) = (warm(0), warm(2));
    let median = |result: &Value| result["time_to_start_secs"]["p50"].as_f64().unwrap();
    assert!(median(&kept) < median(&cold) / 2.0, "{} and {}", median(&kept), median(&cold));
    assert_eq!((&cold["runners"]["warm"], &cold["cost"]["warm_usd"]), (&json!(0), &json!(0.0)));
    assert!(kept["runners"]["warm"].as_u64().unwrap() > 0);
    assert!(kept["cost"]["warm_usd"].as_f64().unwrap() > 0.0);
    assert!(kept["cost"]["idle_usd"].as_f64().unwrap() >= kept["cost"]["warm_usd"].as_f64().unwrap());
}

#[test]
fn json_in_is_the_same_as_toml_in() {
    let file = json!({
        "seed": 3,
        "classes": {"small": {"cpu": 1024, "memory": 2048, "default": true}},
        "arrivals": [{"repository": "acme/app", "jobs_per_day": 20, "job_secs": 60}],
    });
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("load.json"), file.to_string()).unwrap();
    let result = document(&run(directory.path(), &["load.json", "--json"]));
    let toml =
        format!("seed = 3\n{CLASS}[[arrivals]]\nrepository = 'acme/app'\njobs_per_day = 20\njob_secs = 60\n");
    assert_eq!(result, simulate(&toml));
}

#[test]
fn the_configuration_of_a_local_server_can_be_extended_to_a_load() {
    let result = simulate(&format!(
        "version = 1\ndeployment = 'office'\nrepositories = ['acme/app']\n\
         [github]\ntoken_file = 'token'\n[webhook]\nsecret_files = ['secret']\n[runner]\ndir = 'actions-runner'\n\
         {CLASS}[[arrivals]]\nrepository = 'acme/app'\nburst_jobs = 2\nat = '00:00'\njob_secs = 5\n"
    ));
    assert_eq!(result["jobs"]["succeeded"], 2);
}

#[test]
fn reruns_are_not_simulated_and_a_note_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let load = format!(
        "rerun = true\n{CLASS}[[arrivals]]\nrepository = 'acme/app'\nburst_jobs = 1\nat = '00:00'\njob_secs = 5\n"
    );
    fs::write(directory.path().join("load.toml"), load).unwrap();
    let output = run(directory.path(), &["load.toml"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("note: `rerun` is not simulated: "), "{told}");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(run(directory.path(), &["load.toml", "--quiet"]).stderr, b"");
}

#[test]
fn programs_get_a_line_for_each_figure() {
    let directory = tempfile::tempdir().unwrap();
    let load =
        format!("{CLASS}[[arrivals]]\nrepository = 'acme/app'\nburst_jobs = 2\nat = '00:00'\njob_secs = 5\n");
    fs::write(directory.path().join("load.toml"), load).unwrap();
    let output = run(directory.path(), &["load.toml"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("all jobs\t2\t"), "{text}");
    for line in
        ["class small\t2\t", "repository acme/app\t2\t", "runner_starting\tno\t", "runners launched\t2\n"]
    {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}
