use ecsrunner_core::records::runner::RunnerStage;

use super::*;
use crate::stage::StageView;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(secs).unwrap()
}

/// The view of a runner that was reserved at a time and cost a dollar.
fn runner(name: &str, reserved: i64, job: Option<u64>, launched_for: u64) -> RunnerView {
    serde_json::from_value(serde_json::json!({
        "name": name, "repository": "acme/app", "class": "small", "pool": "p", "state": "gone", "ending": null,
        "reason": null, "job": job, "launched_for": launched_for, "task": null, "capacity_provider": "FARGATE",
        "task_seconds": 60.0, "cost_usd": 1.0,
        "timeline": [StageView { at: at(reserved), state: RunnerStage::Reserved }],
    }))
    .unwrap()
}

/// The view of a job of a class that was queued at 0 and began later.
fn job(id: u64, class: &str, began: Option<i64>) -> JobView {
    let mut timeline = vec![StageView { at: at(0), state: JobStage::Queued }];
    timeline.extend(began.map(|began| StageView { at: at(began), state: JobStage::InProgress }));
    serde_json::from_value(serde_json::json!({
        "id": id, "repository": "acme/lib", "run_id": 1, "attempt": 1, "name": "build", "workflow": "CI",
        "labels": [], "class": class, "pool": null, "state": "completed", "reason": null, "runner": null,
        "conclusion": "success", "created_at": at(0), "timeline": timeline,
    }))
    .unwrap()
}

fn keys(rows: &[CostRow]) -> Vec<(&str, u64, f64)> {
    rows.iter().map(|row| (row.key.as_str(), row.runners, row.cost_usd)).collect()
}

#[test]
fn a_runner_counts_for_the_job_that_it_executed_and_not_for_the_one_it_was_launched_for() {
    let runners = [runner("a", 0, Some(1), 2), runner("b", 0, None, 3)];
    let jobs = [job(1, "small", None)];
    let (rows, total) = add_up(&runners, &jobs, CostKey::Repository, 0.0);
    assert_eq!(keys(&rows), [("acme/app", 1, 1.0), ("acme/lib", 1, 1.0)]);
    assert_eq!((total.runners, total.jobs, total.cost_usd, total.runner_seconds), (2, 1, 2.0, 120.0));
    let (rows, _) = add_up(&runners, &jobs, CostKey::Workflow, 0.0);
    assert_eq!(keys(&rows), [("acme/app: unknown", 1, 1.0), ("acme/lib: CI", 1, 1.0)]);
}

#[test]
fn days_are_in_order_and_other_keys_by_cost() {
    let day = 86_400;
    let runners = [runner("c", 2 * day, None, 1), runner("a", 0, None, 1), runner("b", 2 * day - 1, None, 1)];
    let (rows, _) = add_up(&runners, &[], CostKey::Day, 0.0);
    assert_eq!(keys(&rows), [("1970-01-01", 1, 1.0), ("1970-01-02", 1, 1.0), ("1970-01-03", 1, 1.0)]);
    let dear = RunnerView { class: "large".to_owned(), cost_usd: Some(9.0), ..runner("d", 0, None, 1) };
    let (rows, _) = add_up(&[runners[0].clone(), dear], &[], CostKey::Class, 0.0);
    assert_eq!(keys(&rows), [("large", 1, 9.0), ("small", 1, 1.0)]);
}

#[test]
fn waits_are_those_that_jobs_had_and_jobs_that_never_began_have_none() {
    let jobs: Vec<JobView> = (1..=20).map(|id| job(id, "small", Some(id.cast_signed()))).collect();
    let jobs = [jobs, vec![job(21, "large", Some(100)), job(22, "large", None)]].concat();
    let rows = waits(&jobs);
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.key.as_str(), row.jobs, row.median_seconds, row.p95_seconds, row.longest_seconds))
        .collect();
    let expected =
        [("", 21, 11.0, 20.0, 100.0), ("large", 1, 100.0, 100.0, 100.0), ("small", 20, 10.0, 19.0, 20.0)];
    assert_eq!(told, expected);
    assert_eq!(waits(&[job(1, "small", None)]), []);
}

#[test]
fn savings_count_all_costs_but_those_of_jobs_that_cannot_be_compared() {
    let compared = |name, hosted, cost| RunnerView {
        job_minutes: Some(10),
        hosted_usd: Some(hosted),
        cost_usd: Some(cost),
        ..runner(name, 0, Some(1), 1)
    };
    let idle = RunnerView { cost_usd: Some(0.25), ..runner("idle", 0, None, 1) };
    let unknown = runner("unknown", 0, Some(2), 2);
    let runners = [compared("a", 4.0, 1.0), compared("b", 2.0, 0.5), idle.clone(), unknown.clone()];
    let (_, total) = add_up(&runners, &[], CostKey::Class, 0.0);
    assert_eq!((total.hosted_usd, total.compared_jobs, total.uncompared_jobs), (6.0, 2, 1));
    assert_eq!((total.cost_usd, total.saved_usd), (2.75, Some(4.25)));
    assert_eq!((total.untimed_jobs, total.unhosted_jobs), (1, 0));
    let of_no_size = RunnerView { hosted_usd: None, ..compared("c", 1.0, 1.0) };
    let unpriced = RunnerView { cost_usd: None, ..compared("d", 1.0, 1.0) };
    let (_, total) = add_up(&[of_no_size, unpriced], &[], CostKey::Class, 0.0);
    assert_eq!((total.uncompared_jobs, total.untimed_jobs, total.unhosted_jobs), (2, 0, 1));
    let (_, total) = add_up(&runners, &[], CostKey::Class, 0.125);
    assert_eq!((total.fee_usd, total.saved_usd), (2.5, Some(1.75)));
    let (_, total) = add_up(&[idle, unknown], &[], CostKey::Class, 0.0);
    assert_eq!(total.saved_usd, None, "nothing can be compared");
}
