use ecsrunner_core::id::Version;
use ecsrunner_core::records::change::Change;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::records::{ended, gone, hold, name, queued};
use crate::testing::{Fixture, TOKEN};

fn ago(hours: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(hours)
}

#[tokio::test]
async fn costs_are_summed_over_the_days_asked_for_and_kept_for_a_minute() {
    let fixture = Fixture::new().await;
    for (number, at) in [(1, ago(1)), (2, ago(30)), (3, ago(24 * 20))] {
        let pair = [
            Change::JobEnded(ended(number, at, Version::FIRST)),
            Change::RunnerGone(Box::new(gone(number, at, Version::FIRST))),
        ];
        fixture.write(&pair).await;
    }
    let server = fixture.serve().await;
    let costs = server.get("/api/v1/costs").await;
    assert_eq!((&costs["total"]["cost_usd"], &costs["cut"]), (&json!(6.0), &json!(false)), "{costs}");
    assert_eq!(costs["by_day"].as_array().unwrap().len(), 3, "{costs}");
    assert_eq!(costs["by_workflow"][0]["key"], "acme/app: CI");
    assert_eq!(
        costs["waits"][1],
        json!({"key": "small", "jobs": 3, "median_seconds": 10.0, "p95_seconds": 10.0, "longest_seconds": 10.0})
    );
    let reads = fixture.reads();
    assert_eq!(server.get("/api/v1/costs?days=30").await, costs);
    assert_eq!(fixture.reads(), reads, "it was kept");
    let week = server.get("/api/v1/costs?days=7").await;
    assert_eq!((&week["total"]["jobs"], &week["total"]["cost_usd"]), (&json!(2), &json!(4.0)), "{week}");
    assert!(fixture.reads() > reads);
}

#[tokio::test]
async fn without_a_budget_there_is_none_to_show_and_nothing_is_read() {
    let fixture = Fixture::new().await;
    let server = fixture.serve().await;
    let reads = fixture.reads();
    let told = server.get("/api/v1/budgets").await;
    assert_eq!((&told["budgets"], &told["self_hosted_fee_usd"]), (&json!([]), &json!(0.0)), "{told}");
    assert_eq!(fixture.reads(), reads);
}

#[tokio::test]
async fn a_number_of_days_that_history_does_not_have_is_refused() {
    let server = Fixture::new().await.serve().await;
    let bearer = format!("Bearer {TOKEN}");
    for days in ["0", "367"] {
        let request = format!("GET /api/v1/costs?days={days}");
        let (status, answer) = server.ask(&request, &[("authorization", &bearer)], "").await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer.contains(&format!("days is {days}: a number from 1 to 366 is expected")), "{answer}");
    }
}

#[tokio::test]
async fn a_hold_is_shown_with_the_jobs_that_wait_for_it() {
    let fixture = Fixture::new().await;
    fixture.write(&[Change::Job(queued(7, ago(1))), Change::Hold(hold(Timestamp::now()))]).await;
    let server = fixture.serve().await;
    let told = server.get("/api/v1/deployment").await;
    let hold = &told["holds"][0];
    assert_eq!((&hold["kind"], &hold["name"]), (&json!("pool"), &json!("abcdefghij")), "{told}");
    assert_eq!((&hold["text"], &hold["jobs"]), (&json!("it did not connect"), &json!([7])), "{told}");
    assert_eq!(told["images"], json!([]));
}

#[tokio::test]
async fn the_state_says_where_the_deployment_is_and_where_logs_come_from() {
    let fixture = Fixture::new().await;
    fixture.write(&[Change::JobEnded(ended(7, ago(1), Version::FIRST))]).await;
    let server = fixture.serve().await;
    let status = server.get("/api/v1/status").await;
    assert_eq!(
        (&status["deployment"], &status["kind"], &status["region"], &status["logs"]),
        (&json!("test"), &json!("aws"), &json!("eu-central-1"), &json!("cloudwatch"))
    );
    let bearer = format!("Bearer {TOKEN}");
    let (status, log) = server.ask("GET /api/v1/jobs/7/log", &[("authorization", &bearer)], "").await;
    assert_eq!(status, 200);
    assert!(log.ends_with("the log of 7\n") && log.contains("text/plain; charset=utf-8"), "{log}");
    let (status, _) = server.ask("GET /api/v1/jobs/8/log", &[("authorization", &bearer)], "").await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_warm_task_is_not_stopped_as_a_runner() {
    let fixture = Fixture::new().await;
    let server = fixture.serve().await;
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let ask = async |name: &str| {
        let request = format!("POST /api/v1/runners/{name}/stop");
        server.ask(&request, &headers, r#"{"force": false}"#).await
    };
    let warm = ecsrunner_core::id::WarmName::new(
        &ecsrunner_core::id::Deployment::parse("test").unwrap(),
        &format!("{:026}", 1),
    );
    let (status, answer) = ask(warm.unwrap().as_str()).await;
    assert_eq!(status, 400, "{answer}");
    assert!(answer.contains("is a warm task and has no job"), "{answer}");
    assert_eq!(ask("nobody").await.0, 404);
    assert!(fixture.asked.lock().unwrap().is_empty());
    ask(name(3).as_str()).await;
    assert_eq!(fixture.asked.lock().unwrap().as_slice(), [format!("stop {}, force: false", name(3))]);
}
