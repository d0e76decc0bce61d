//! The figures of small loads make sense.

use serde_json::{Value, json};

use super::{CLASS, simulate};

const HOURLY: &str =
    "[[arrivals]]\nrepository = 'acme/app'\njobs_per_minute = 1\nuntil = '04:00'\njob_secs = 240\n";

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Returns the codes that made jobs wait although more runners could have been used.
fn limits(result: &Value) -> Vec<&str> {
    let waiting = result["waiting"].as_array().unwrap();
    let limits = waiting.iter().filter(|waiting| waiting["is_limit"] == true);
    limits.map(|waiting| waiting["code"].as_str().unwrap()).collect()
}

#[test]
fn without_a_limit_a_job_waits_for_the_start_of_its_runner_alone() {
    let result = simulate(&format!("{CLASS}{HOURLY}"));
    let jobs = &result["jobs"];
    assert_eq!(jobs["queued"], jobs["succeeded"]);
    assert_eq!((&jobs["failed"], &jobs["still_queued"]), (&json!(0), &json!(0)));
    assert!((180.0..300.0).contains(&number(&jobs["queued"])), "{jobs}");
    let wait = &result["time_to_start_secs"];
    assert!((20.0..40.0).contains(&number(&wait["p50"])), "{wait}");
    assert_eq!(result["limited_first"], Value::Null);
    assert_eq!(limits(&result), Vec::<&str>::new());
    let shares: f64 = result["waiting"].as_array().unwrap().iter().map(|it| number(&it["share"])).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{shares}");
    assert_eq!(result["waiting"][0]["code"], "runner_starting");
}

#[test]
fn a_job_costs_the_time_of_its_task_at_list_prices() {
    let result = simulate(&format!("{CLASS}{HOURLY}"));
    let jobs = number(&result["jobs"]["queued"]);
    let hours = number(&result["runners"]["task_hours"]);
    // One vCPU, 2 GB and a public address.
    let hourly = 0.040_48 + 2.0 * 0.004_445 + 0.005;
    assert!((number(&result["cost"]["total_usd"]) - hours * hourly).abs() < 0.01, "{result:#}");
    // A job of 240 s, and some 25 s from the pull to the job and from the job to the end of its task.
    assert!((255.0..285.0).contains(&(hours * 3600.0 / jobs)), "{hours} h for {jobs} jobs");
    let idle = number(&result["runners"]["idle_task_hours"]) * 3600.0 / jobs;
    assert!((15.0..45.0).contains(&idle), "{idle}");
    assert_eq!(result["runners"]["launches_without_job"], 0);
    assert_eq!(result["classes"][0]["cost_usd"], result["repositories"][0]["cost_usd"]);
}

#[test]
fn two_runners_for_many_jobs_limit_the_deployment_first() {
    let result = simulate(&format!("{CLASS}{HOURLY}[limits]\nmax_runners = 2\n"));
    assert_eq!(result["limited_first"]["code"], "limit_deployment");
    assert_eq!(result["limited_first"]["text"], "the deployment's limit of 2 runners is reached");
    assert_eq!(result["peaks"]["runners"], 2);
    assert_eq!(result["peaks"]["vcpus"], 2.0);
    assert_eq!(result["waiting"][0]["code"], "limit_deployment");
    assert!(number(&result["waiting"][0]["share"]) > 0.9, "{result:#}");
    assert_eq!(result["jobs"]["queued"], result["jobs"]["succeeded"], "they are executed in the end");
}

#[test]
fn each_limit_pace_and_quota_is_named_by_its_reason_code() {
    let burst = "[[arrivals]]\nrepository = 'acme/app'\nburst_jobs = 40\nat = '09:00'\njob_secs = 60\n";
    for (limit, code) in [
        ("[limits]\nmax_runners_per_repository = 3\n", "limit_repository"),
        ("[paces.github]\nburst = 1\nper_minute = 30\n", "pace"),
        ("[paces.github]\nburst = 100\n[world]\non_demand_vcpus = 4\n", "no_capacity"),
    ] {
        let result = simulate(&format!("{CLASS}{burst}{limit}"));
        assert_eq!(result["jobs"]["succeeded"], 40, "{limit}");
        assert!(limits(&result).contains(&code), "{limit}: {:?}", limits(&result));
    }
    let result = simulate(&format!("{CLASS}{burst}[paces.github]\nburst = 100\n"));
    assert_eq!(limits(&result), Vec::<&str>::new());
    let class = "[classes.small]\ncpu = 256\nmemory = 512\ndefault = true\nmax_runners = 5\n";
    let result = simulate(&format!("{class}{burst}"));
    assert_eq!(result["limited_first"]["code"], "limit_class");
    assert_eq!(result["peaks"]["runners"], 5);
    assert_eq!(result["peaks"]["vcpus"], 1.25);
}

#[test]
fn a_job_that_runs_too_long_or_loses_its_spot_capacity_fails() {
    let result = simulate(&format!(
        "{CLASS}[limits]\nmax_job_minutes = 1\n[[arrivals]]\nrepository = 'acme/app'\nburst_jobs = 3\nat = '01:00'\njob_secs = 90\n"
    ));
    assert_eq!((&result["jobs"]["failed"], &result["jobs"]["succeeded"]), (&json!(3), &json!(0)));
    let result = simulate(
        "[classes.spot]\ncpu = 1024\nmemory = 2048\ncapacity = 'spot'\ndefault = true\n\
         [world]\nspot_interrupted_share = 1\n\
         [[arrivals]]\nrepository = 'acme/app'\nburst_jobs = 3\nat = '01:00'\njob_secs = 90\n",
    );
    assert_eq!((&result["jobs"]["failed"], &result["jobs"]["succeeded"]), (&json!(3), &json!(0)));
}

#[test]
fn refused_jobs_are_counted_by_reason_and_start_no_runner() {
    let result = simulate(&format!(
        "repositories = ['acme/*']\n{CLASS}\
         [[arrivals]]\nrepository = 'other/app'\nburst_jobs = 4\nat = '01:00'\njob_secs = 9\n"
    ));
    assert_eq!(result["jobs"]["refused"], 4);
    assert_eq!(result["jobs"]["refusals"], json!([{"code": "repository_not_allowed", "jobs": 4}]));
    assert_eq!(result["runners"]["launches"], 0);
    assert_eq!(result["time_to_start_secs"], Value::Null);
    assert_eq!(result["cost"]["per_job_usd"], Value::Null);
}

#[test]
fn jobs_of_an_unknown_class_are_refused_and_not_served() {
    for (failure, launches) in [("", 2), ("on_failure = 'wait'\n", 0)] {
        let result = simulate(&format!(
            "{failure}{CLASS}[[arrivals]]\nrepository = 'acme/app'\nlabels = ['self-hosted', 'class:smal']\n\
             burst_jobs = 2\nat = '01:00'\njob_secs = 3600\n"
        ));
        let jobs = &result["jobs"];
        assert_eq!(jobs["refusals"], json!([{"code": "class_unknown", "jobs": 2}]), "{failure}: {jobs}");
        let others = ["started", "succeeded", "failed", "still_queued"].map(|key| jobs[key].clone());
        assert_eq!(others, [json!(0), json!(0), json!(0), json!(0)], "{failure}");
        assert_eq!(result["runners"]["launches"], launches, "{failure}");
        assert!(number(&result["runners"]["task_hours"]) < 0.1, "{failure}: {}", result["runners"]);
    }
}

#[test]
fn every_hold_that_makes_jobs_wait_is_a_limit() {
    let result = simulate(&format!(
        "{CLASS}[world]\nassign = 1300\n\
         [[arrivals]]\nrepository = 'acme/app'\nburst_jobs = 5\nat = '00:10'\njob_secs = 60\n"
    ));
    assert!(limits(&result).contains(&"pool_unused"), "{:?}", limits(&result));
    assert_eq!(result["limited_first"]["code"], "pool_unused");
}

#[test]
fn a_quota_bounds_the_vcpus_and_refused_tasks_are_no_launches() {
    let result = simulate(&format!(
        "{CLASS}[world]\non_demand_vcpus = 4\n\
         [[arrivals]]\nrepository = 'acme/app'\nburst_jobs = 40\nat = '01:00'\nwithin_secs = 0\njob_secs = 60\n"
    ));
    assert_eq!(result["peaks"]["vcpus"], 4.0);
    let runners = &result["runners"];
    assert_eq!(
        (&runners["launches"], &runners["launches_without_job"]),
        (&json!(40), &json!(0)),
        "{runners}"
    );
    assert!(number(&runners["not_launched"]) > 0.0, "{runners}");
}

#[test]
fn tasks_that_never_start_cost_only_waste() {
    let result = simulate(&format!(
        "{CLASS}[world]\ntask_start = 4000\n\
         [[arrivals]]\nrepository = 'acme/app'\nburst_jobs = 1\nat = '00:10'\njob_secs = 60\n"
    ));
    assert!(number(&result["cost"]["total_usd"]) > 0.0, "{}", result["cost"]);
    assert_eq!(result["cost"]["idle_usd"], result["cost"]["total_usd"]);
}

#[test]
fn classes_and_repositories_have_figures_of_their_own() {
    let result = simulate(&format!(
        "{CLASS}[classes.large]\ncpu = 4096\nmemory = 8192\n\
         [[arrivals]]\nrepositories = ['acme/app', 'acme/web']\nburst_jobs = 20\nat = '01:00'\njob_secs = 60\n\
         [[arrivals]]\nrepository = 'acme/app'\nclass = 'large'\nburst_jobs = 5\nat = ['02:00', '03:00']\njob_secs = 60\n"
    ));
    let names = |key: &str| -> Vec<String> {
        let parts = result[key].as_array().unwrap();
        parts.iter().map(|part| format!("{} {}", part["name"].as_str().unwrap(), part["jobs"])).collect()
    };
    assert_eq!(names("classes"), ["large 10", "small 20"]);
    let repositories = names("repositories");
    assert_eq!(repositories.len(), 2, "{repositories:?}");
    let jobs: u64 =
        result["repositories"].as_array().unwrap().iter().map(|part| part["jobs"].as_u64().unwrap()).sum();
    assert_eq!(jobs, 30);
}
