use ecsrunner_core::records::runner::RunnerStage;
use ecsrunner_core::rules::class::Catalogue;
use ecsrunner_core::wire::peaks::Peaks;
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::stage::StageView;

const MIB: u64 = 1024 * 1024;

fn catalogue() -> Catalogue {
    let text = r#"{"small": {"cpu": 1024, "memory": 2048}, "medium": {"cpu": 2048, "memory": 8192},
        "large": {"cpu": 4096, "memory": 16384}, "closed": {"cpu": 512, "memory": 1024, "repositories": ["acme/lib"]},
        "services": {"cpu": 2048, "memory": 4096, "services": {"db": {"image": "postgres:17", "port": 5432, "cpu": 64, "memory": 256}}},
        "managed": {"cpu": 4096, "memory": 15360, "compute": "managed-instances"}}"#;
    let (catalogue, errors) = Catalogue::read(&serde_json::from_str(text).unwrap());
    assert!(errors.is_empty(), "{errors:?}");
    catalogue
}

/// A run of 100 seconds that kept `percent` of a CPU busy and needed this memory.
fn run(job: u64, class: &str, repository: &str, percent: u64, memory: u64) -> RunnerView {
    serde_json::from_value(json!({
        "name": format!("r{job}"), "repository": repository, "class": class, "pool": "p", "state": "gone",
        "ending": null, "reason": null, "job": job, "launched_for": job, "task": null,
        "capacity_provider": "FARGATE", "task_seconds": 100.0, "cost_usd": 1.0,
        "peaks": {"measured_ms": 100_000, "cpu_ms": percent * 1_000, "throttled_percent": 2,
            "memory_bytes": memory * MIB, "disk_bytes": 100 * MIB},
        "timeline": [StageView { at: Timestamp::UNIX_EPOCH, state: RunnerStage::Reserved }],
    }))
    .unwrap()
}

fn job(id: u64, conclusion: &str) -> JobView {
    serde_json::from_value(json!({
        "id": id, "repository": "acme/app", "run_id": 1, "attempt": 1, "name": "build", "workflow": "CI",
        "labels": [], "class": "small", "pool": null, "state": "completed", "reason": null, "runner": "r",
        "conclusion": conclusion, "created_at": "2026-11-30T12:00:00Z", "timeline": [],
    }))
    .unwrap()
}

fn runs(count: u64, class: &str, percent: u64, memory: u64) -> Vec<RunnerView> {
    (1..=count).map(|job| run(job, class, "acme/app", percent, memory)).collect()
}

/// The row of all repositories together.
fn whole(runners: &[RunnerView]) -> RightSizeRow {
    whole_with(runners, &[])
}

fn whole_with(runners: &[RunnerView], jobs: &[JobView]) -> RightSizeRow {
    let rows = right_size(runners, jobs, &catalogue(), 360);
    assert_eq!(rows.iter().filter(|row| row.repository.is_none()).count(), 1);
    rows.into_iter().find(|row| row.repository.is_none()).unwrap()
}

fn fits(row: &RightSizeRow) -> Vec<&str> {
    row.fits.iter().map(|fit| fit.class.as_str()).collect()
}

#[test]
fn a_class_is_recommended_from_twenty_runs_on() {
    let row = whole(&runs(19, "large", 50, 1_000));
    assert_eq!(row.advice, Advice::TooFewRuns { runs: 19, needed: 20 });
    assert_eq!(fits(&row), ["small", "medium", "large"], "shown, and not recommended");
    let row = whole(&runs(20, "large", 50, 1_000));
    assert_eq!(row.advice, Advice::Save { class: "small".to_owned() });
    assert_eq!((row.runs, row.out_of_memory), (20, 0));
    assert_eq!(row.cpus, Some(Spread { p50: 0.5, p95: 0.5 }));
}

#[test]
fn savings_count_that_a_run_takes_longer_on_fewer_cpus() {
    let row = whole(&runs(20, "large", 50, 1_000));
    let small = &row.fits[0];
    // 50 CPU seconds on one CPU in place of four.
    assert!((small.longer_seconds - 37.5).abs() < 1e-9, "{small:?}");
    let hourly = |cpu: f64, gib: f64| cpu * 0.040_48 + gib * 0.004_445 + 0.005;
    let (before, after) =
        (20.0 * 100.0 / 3600.0 * hourly(4.0, 16.0), 20.0 * 137.5 / 3600.0 * hourly(1.0, 2.0));
    assert!((row.cost_usd - before).abs() < 1e-9 && (small.cost_usd - after).abs() < 1e-9, "{row:?}");
    assert!((small.saved_usd - (before - after)).abs() < 1e-9);
}

#[test]
fn a_class_that_is_right_or_too_small_is_told_so() {
    assert_eq!(whole(&runs(20, "small", 50, 1_000)).advice, Advice::Keep);
    assert_eq!(
        whole(&runs(20, "small", 50, 1_900)).advice,
        Advice::Enlarge { class: "medium".to_owned() },
        "above four fifths of its memory"
    );
    assert_eq!(whole(&runs(20, "large", 50, 15_000)).advice, Advice::NoClassFits);
    assert_eq!(whole(&runs(20, "gone", 50, 1_000)).advice, Advice::ClassUnknown);
}

#[test]
fn one_run_out_of_memory_rules_out_what_has_no_more_of_it() {
    let mut runners = runs(20, "small", 50, 1_000);
    runners[7].peaks = runners[7].peaks.map(|peaks| Peaks { oom_kills: Some(1), ..peaks });
    let row = whole_with(&runners, &[job(8, "failure")]);
    assert_eq!((row.out_of_memory, fits(&row)), (1, vec!["medium", "large"]));
    assert_eq!(row.advice, Advice::Enlarge { class: "medium".to_owned() });
    // A job that succeeded, or was cancelled, could do without the process that was killed.
    for jobs in [vec![job(8, "success")], vec![job(8, "cancelled")], vec![job(9, "failure")], Vec::new()] {
        let row = whole_with(&runners, &jobs);
        assert_eq!((row.out_of_memory, row.advice), (0, Advice::Keep), "{jobs:?}");
    }
    // A container that was killed has no measurement, and counts all the same.
    let mut killed = run(21, "small", "acme/app", 0, 0);
    killed.peaks = None;
    killed.reason = Some(crate::reason::ReasonView::of(&Code::OutOfMemory.into()));
    let row = whole(&[runs(20, "small", 50, 1_000), vec![killed]].concat());
    assert_eq!((row.runs, row.out_of_memory), (20, 1));
    assert_eq!(row.advice, Advice::Enlarge { class: "medium".to_owned() });
}

#[test]
fn a_class_must_serve_each_repository_of_its_row() {
    let mut runners = runs(20, "small", 10, 500);
    runners.extend((21..=40).map(|job| run(job, "small", "acme/lib", 10, 500)));
    let rows = right_size(&runners, &[], &catalogue(), 360);
    let advice = |repository: Option<&str>| {
        let row = rows.iter().find(|row| row.repository.as_deref() == repository).unwrap();
        (row.runs, row.advice.clone())
    };
    assert_eq!(advice(None), (40, Advice::Keep));
    assert_eq!(advice(Some("acme/app")), (20, Advice::Keep));
    assert_eq!(advice(Some("acme/lib")), (20, Advice::Save { class: "closed".to_owned() }));
}

#[test]
fn what_was_not_measured_and_runners_without_a_job_do_not_count() {
    let mut runners = runs(20, "large", 50, 1_000);
    runners[0].peaks = None;
    runners[1].job = None;
    runners[2].state = RunnerStage::Busy;
    assert_eq!(whole(&runners).advice, Advice::TooFewRuns { runs: 17, needed: 20 });
    runners.iter_mut().for_each(|runner| runner.peaks = None);
    assert_eq!(right_size(&runners, &[], &catalogue(), 360), []);
}

#[test]
fn a_class_with_services_or_without_a_price_is_not_compared() {
    let row = whole(&runs(20, "services", 50, 1_000));
    assert_eq!((row.runs, row.advice.clone(), fits(&row)), (20, Advice::ServicesNotMeasured, vec![]));
    assert!(row.cost_usd > 0.0);
    // Its tasks had a price before it was moved.
    let row = whole(&runs(20, "managed", 50, 1_000));
    assert_eq!((row.advice.clone(), fits(&row)), (Advice::PriceUnknown, vec![]));
}

#[test]
fn runs_count_with_the_size_that_they_had_and_not_with_that_of_their_class_now() {
    let ran_in = |cpu: u32, memory: u32, percent: u64, throttled: u64| {
        let mut runners = runs(20, "medium", percent, 1_000);
        for runner in &mut runners {
            (runner.cpu, runner.memory) = (Some(cpu), Some(memory));
            runner.peaks = runner.peaks.map(|peaks| Peaks { throttled_percent: Some(throttled), ..peaks });
        }
        runners
    };
    // They ran on four CPUs, and take longer on the class's two.
    let row = whole(&ran_in(4096, 8192, 100, 2));
    let medium = row.fits.iter().find(|fit| fit.class == "medium").unwrap();
    assert!((medium.longer_seconds - 25.0).abs() < 1e-9, "{medium:?}");
    // At the limit of one CPU: that says nothing about two.
    assert_eq!(fits(&whole(&ran_in(1024, 8192, 60, 50))), ["small", "medium", "large"]);
    assert_eq!(fits(&whole(&ran_in(4096, 8192, 60, 50))), ["large"]);
    // Out of 1024 MiB: twice that may do. Out of 8192 MiB, the class's own are not enough.
    for (memory, expected) in [(1024, vec!["small", "medium", "large"]), (8192, vec!["large"])] {
        let mut runners = ran_in(2048, memory, 50, 2);
        runners[7].reason = Some(crate::reason::ReasonView::of(&Code::OutOfMemory.into()));
        assert_eq!(fits(&whole(&runners)), expected, "{memory}");
    }
}
