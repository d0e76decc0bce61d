//! Looking up jobs and runs.

use ecsrunner_core::id::{JobId, Repository, RunId};
use ecsrunner_core::wire::job::JobStatus;
use ecsrunner_engine::ports::github::{GitHub, GitHubError, RemoteJob, RemoteRun, RunPart};
use serde_json::{Value, json};

use crate::responder::{Answer, Responder};
use crate::{app, client, queued};

fn job(id: u64, run: u64, status: &str) -> Value {
    json!({"id": id, "run_id": run, "name": "build", "status": status})
}

#[tokio::test]
async fn a_job_is_told_with_what_github_says_and_without_what_it_leaves_out() {
    let github = Responder::start(|asked| {
        let mut told = job(4_400_000_007, 9, "queued");
        if asked.line.ends_with("/8") {
            told["run_attempt"] = json!(2);
            told["workflow_name"] = json!("CI");
            told["head_branch"] = json!("main");
            told["labels"] = json!(["Self-Hosted"]);
            told["conclusion"] = json!("success");
            told["runner_name"] = json!("ecsr-1");
            told["created_at"] = json!("2026-11-23T20:00:00Z");
            told["started_at"] = json!("2026-11-23T15:00:01-05:00");
            told["completed_at"] = Value::Null;
        } else {
            told["runner_name"] = json!("");
            told["labels"] = Value::Null;
        }
        Some(Answer::new(200, &told))
    })
    .await;
    let client = client(&github);
    let sparse = client.job(&app(), JobId::new(7)).await.unwrap().unwrap();
    let expected = RemoteJob {
        id: JobId::new(4_400_000_007),
        run: RunId::new(9),
        attempt: 1,
        name: "build".into(),
        workflow: None,
        head_branch: None,
        labels: Vec::new(),
        private: None,
        status: JobStatus::Queued,
        conclusion: None,
        runner_name: None,
        created_at: None,
        started_at: None,
        completed_at: None,
    };
    assert_eq!(sparse, expected);

    let full = client.job(&app(), JobId::new(8)).await.unwrap().unwrap();
    let expected = RemoteJob {
        attempt: 2,
        workflow: Some("CI".into()),
        head_branch: Some("main".into()),
        labels: vec!["Self-Hosted".into()],
        conclusion: Some("success".into()),
        runner_name: Some("ecsr-1".into()),
        created_at: Some("2026-11-23T20:00:00Z".parse().unwrap()),
        started_at: Some("2026-11-23T20:00:01Z".parse().unwrap()),
        ..expected
    };
    assert_eq!(full, expected);
}

#[tokio::test]
async fn a_run_tells_its_event_and_where_its_head_is() {
    let github = Responder::start(|asked| {
        Some(Answer::new(
            200,
            &if asked.line.ends_with("/1") {
                json!({"event": "pull_request", "head_repository": {"full_name": "fork/app"}, "actor": {"login": "eve"},
                    "run_attempt": 2, "status": "completed",
                    "repository": {"full_name": "acme/app", "private": false}})
            } else {
                json!({"event": "push", "head_repository": null})
            },
        ))
    })
    .await;
    let client = client(&github);
    let forked = client.run(&app(), RunId::new(1)).await.unwrap().unwrap();
    let head_repository = Some(Repository::parse("fork/app").unwrap());
    assert_eq!(
        forked,
        RemoteRun {
            attempt: 2,
            is_completed: true,
            event: "pull_request".into(),
            head_repository,
            actor: Some("eve".into()),
            private: Some(false),
        }
    );
    let orphan = client.run(&app(), RunId::new(2)).await.unwrap().unwrap();
    let expected = RemoteRun {
        attempt: 1,
        is_completed: false,
        event: "push".into(),
        head_repository: None,
        actor: None,
        private: None,
    };
    assert_eq!(orphan, expected);
}

async fn absent(control: u16) -> Result<(Option<RemoteJob>, Option<RemoteRun>), GitHubError> {
    let github = Responder::start(move |asked| {
        let control_read = asked.line == "GET /repos/acme/app/actions/runs?per_page=1";
        let body = json!({"total_count": 0, "workflow_runs": [], "message": "Not Found"});
        Some(Answer::new(if control_read { control } else { 404 }, &body))
    })
    .await;
    let client = client(&github);
    Ok((client.job(&app(), JobId::new(7)).await?, client.run(&app(), RunId::new(9)).await?))
}

#[tokio::test]
async fn an_absent_job_or_run_is_believed_after_a_control_read_only() {
    assert_eq!(absent(200).await.unwrap(), (None, None));
    let error = absent(404).await.unwrap_err();
    assert!(matches!(error, GitHubError::Refused { status: 404, .. }), "{error:?}");
}

#[tokio::test]
async fn queued_jobs_come_from_all_open_runs_the_oldest_first() {
    let github = Responder::start(|asked| {
        let runs = |runs: Vec<u64>| {
            let runs: Vec<_> = runs.iter().map(|id| json!({"id": id, "pull_requests": []})).collect();
            json!({"total_count": runs.len(), "workflow_runs": runs})
        };
        let page: u64 = asked.query("page").unwrap().parse().unwrap();
        let body = match (asked.query("status"), page) {
            // GitHub lists the newest run first; run 40 starts while the lists are read.
            (Some("queued"), 1) => runs((100..200).rev().collect()),
            (Some("queued"), _) => runs(vec![40, 30]),
            (Some(_), _) => runs(vec![40, 20]),
            (None, _) if asked.line.contains("/runs/30/") => {
                return Some(Answer::new(404, &json!({"message": "Not Found"})));
            }
            (None, _) => {
                let run = asked.line.split('/').nth(6).unwrap().parse::<u64>().unwrap();
                let jobs = [job(run * 10, run, "completed"), job(run * 10 + 1, run, "queued")];
                json!({"total_count": 2, "jobs": jobs})
            }
        };
        Some(Answer::new(200, &body))
    })
    .await;
    let jobs = queued(&client(&github)).await;
    let ids: Vec<_> = jobs.iter().map(|job| job.id.get()).collect();
    let expected: Vec<_> = [201, 401].into_iter().chain((100..200).map(|run| run * 10 + 1)).collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn a_queued_job_tells_whether_its_repository_is_private() {
    let github = Responder::start(|asked| {
        let body = match asked.query("status") {
            Some("queued") => json!({"workflow_runs": [
                {"id": 1, "repository": {"id": 7, "private": false}},
                {"id": 2, "repository": {"id": 7, "private": true}},
                {"id": 3, "repository": {"id": 7}},
                {"id": 4},
            ]}),
            Some(_) => json!({"workflow_runs": []}),
            None => {
                let run = asked.line.split('/').nth(6).unwrap().parse::<u64>().unwrap();
                json!({"total_count": 1, "jobs": [job(run, run, "queued")]})
            }
        };
        Some(Answer::new(200, &body))
    })
    .await;
    let jobs = queued(&client(&github)).await;
    let told: Vec<_> = jobs.iter().map(|job| job.private).collect();
    assert_eq!(told, [Some(false), Some(true), None, None]);
}

#[tokio::test]
async fn runs_are_looked_at_part_by_part_the_oldest_first_and_calls_are_counted() {
    let github = Responder::start(|asked| {
        let page: u64 = asked.query("page").unwrap().parse().unwrap();
        let body = match (asked.query("status"), page) {
            (Some("queued"), 1..=3) => {
                let first = 1_000 - page * 100;
                let runs: Vec<_> = (first..first + 100).rev().map(|id| json!({"id": id})).collect();
                json!({"workflow_runs": runs})
            }
            (Some(_), _) => json!({"workflow_runs": []}),
            (None, _) => {
                let run = asked.line.split('/').nth(6).unwrap().parse::<u64>().unwrap();
                json!({"total_count": 1, "jobs": [job(run, run, "queued")]})
            }
        };
        Some(Answer::new(200, &body))
    })
    .await;
    let client = client(&github);
    let part = |after: Option<u64>| RunPart { after: after.map(RunId::new), most: 200 };
    let first = client.queued_jobs(&app(), part(None)).await.unwrap();
    assert!(first.jobs.iter().map(|job| job.run.get()).eq(700..900));
    // Four pages of queued runs, one of running ones, and the jobs of each run.
    assert_eq!((first.next, first.calls), (Some(RunId::new(899)), 5 + 200));
    let last = client.queued_jobs(&app(), part(Some(899))).await.unwrap();
    assert!(last.jobs.iter().map(|job| job.run.get()).eq(900..1000));
    assert_eq!((last.next, last.calls), (None, 5 + 100));
}

#[tokio::test]
async fn a_run_of_many_jobs_is_read_to_its_last_page() {
    let github = Responder::start(|asked| {
        let page: u64 = asked.query("page").unwrap().parse().unwrap();
        let body = match asked.query("status") {
            Some("queued") => json!({"workflow_runs": [{"id": 5}]}),
            Some(_) => json!({"workflow_runs": []}),
            None => {
                let jobs: Vec<_> =
                    (0..if page < 3 { 100 } else { 56 }).map(|i| job(page * 1000 + i, 5, "queued")).collect();
                json!({"total_count": 256, "jobs": jobs})
            }
        };
        Some(Answer::new(200, &body))
    })
    .await;
    assert_eq!(queued(&client(&github)).await.len(), 256);
}
