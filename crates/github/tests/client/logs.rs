//! A job's log: where and with which token it is read, and why there is none.

use ecsrunner_core::id::JobId;
use ecsrunner_core::text::chain;
use ecsrunner_engine::ports::github::GitHubError;
use ecsrunner_github::logs::{JobLogError, MAX_LOG_BYTES, StorageError};
use serde_json::{Value, json};

use crate::responder::{Answer, Asked, Responder};
use crate::{app, client};

const JOB: JobId = JobId::new(7);
const ASKED: &str = "GET /repos/acme/app/actions/jobs/7/logs";
const LOG: &str =
    "\u{feff}2026-11-28T20:56:33.2965012Z ##[group]Run echo hi\n2026-11-28T20:56:33.3000000Z hi\n";

fn redirect(location: impl Into<String>) -> Option<Answer> {
    Some(Answer::text(302, "").header("location", location))
}

/// Starts a server that answers the call for the log with `log`, and lookups of the job with `job`.
async fn github(log: impl Fn() -> Option<Answer> + Send + Sync + 'static, job: Answered) -> Responder {
    Responder::start(move |asked| match asked.line.as_str() {
        ASKED => log(),
        "GET /repos/acme/app/actions/jobs/7" => Some(Answer::new(job.0, &job.1)),
        "GET /repos/acme/app/actions/runs?per_page=1" => {
            Some(Answer::new(job.2, &json!({"total_count": 0, "workflow_runs": [], "message": "Not Found"})))
        }
        line => panic!("{line} was not expected"),
    })
    .await
}

/// Status and body of the job, and the status of the control read.
struct Answered(u16, Value, u16);

impl Answered {
    fn job(more: &Value) -> Self {
        let mut job = json!({"id": 7, "run_id": 1, "name": "build", "status": "completed"});
        job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Self(200, job, 200)
    }

    fn never() -> Self {
        Self(500, json!({}), 500)
    }
}

fn absent() -> Option<Answer> {
    Some(Answer::new(404, &json!({"message": "Not Found"})))
}

async fn error_of(github: &Responder) -> JobLogError {
    client(github).job_log(&app(), JOB).await.unwrap_err()
}

#[tokio::test]
async fn a_log_is_read_where_github_redirects_to_and_the_token_stays_with_the_api() {
    let storage = Responder::start(|_| Some(Answer::text(200, LOG))).await;
    let location = format!("{}/logs/7?sig=SIGNED", storage.base());
    let github = github(move || redirect(location.clone()), Answered::never()).await;
    let log = client(&github).job_log(&app(), JOB).await.unwrap();
    let lines: Vec<_> = log.lines().map(|line| line.text.into_owned()).collect();
    assert_eq!(lines, ["##[group]Run echo hi", "hi"]);
    assert!(!log.is_cut());

    assert_eq!(
        (github.lines(), storage.lines()),
        (vec![ASKED.into()], vec!["GET /logs/7?sig=SIGNED".into()])
    );
    assert!(github.asked()[0].header("authorization").starts_with("Bearer ghs_"));
    assert_eq!(storage.asked()[0].header("authorization"), "");
}

#[tokio::test]
async fn a_log_that_the_api_itself_serves_is_read_without_the_token_too() {
    let github = Responder::start(|asked: &Asked| match asked.line.as_str() {
        ASKED => redirect("/stored/7"),
        _ => Some(Answer::text(200, LOG)),
    })
    .await;
    assert_eq!(client(&github).job_log(&app(), JOB).await.unwrap().lines().count(), 2);
    assert_eq!(github.lines(), [ASKED, "GET /stored/7"]);
    assert_eq!(github.asked()[1].header("authorization"), "");
}

#[tokio::test]
async fn a_renamed_repository_is_followed_with_the_token_and_its_log_without() {
    let github = Responder::start(|asked: &Asked| match asked.line.as_str() {
        ASKED => Some(Answer::text(301, "").header("location", "/repositories/9/actions/jobs/7/logs")),
        "GET /repositories/9/actions/jobs/7/logs" => redirect("/stored/7"),
        _ => Some(Answer::text(200, LOG)),
    })
    .await;
    assert_eq!(client(&github).job_log(&app(), JOB).await.unwrap().lines().count(), 2);
    let with_token: Vec<_> =
        github.asked().iter().map(|asked| !asked.header("authorization").is_empty()).collect();
    assert_eq!(with_token, [true, true, false]);
}

#[tokio::test]
async fn a_log_has_one_redirect_to_an_http_url_and_no_other() {
    for location in ["/again", "ftp://127.0.0.1/log", "file:///etc/passwd", "data:text/plain,log"] {
        let github = Responder::start(move |_| redirect(location)).await;
        let error = error_of(&github).await;
        let JobLogError::Storage { source, .. } = &error else { panic!("{error:?}") };
        let words = chain(&error);
        if location == "/again" {
            assert!(matches!(source, StorageError::Status { status: 302, .. }), "{words}");
            assert_eq!(github.lines(), [ASKED, "GET /again"]);
        } else {
            assert!(words.ends_with("an http or https URL is expected"), "{words}");
            assert_eq!(github.lines(), [ASKED]);
        }
    }
    let github = github(|| Some(Answer::text(302, "")), Answered::never()).await;
    assert!(chain(&error_of(&github).await).ends_with("its location is missing"));
}

#[tokio::test]
async fn a_signed_address_is_not_told_where_the_storage_fails() {
    let refusing = Responder::start(|_| Some(Answer::text(403, "expired"))).await;
    for (location, words) in [
        (format!("{}/7?sig=SIGNED", refusing.base()), "answers with status 403"),
        ("http://127.0.0.1:9/7?sig=SIGNED".to_owned(), "cannot be read"),
    ] {
        let github = github(move || redirect(location.clone()), Answered::never()).await;
        let error = error_of(&github).await;
        let told = chain(&error);
        assert!(told.starts_with("the log of job 7 cannot be read from GitHub's storage"), "{told}");
        assert!(told.contains("127.0.0.1") && told.contains(words), "{told}");
        assert!(!told.contains("SIGNED") && !format!("{error:?}").contains("SIGNED"), "{told}");
    }
}

#[tokio::test]
async fn a_log_that_is_absent_is_told_apart_by_what_the_job_is() {
    let in_progress = json!({"status": "in_progress", "runner_name": "ecsr-ci-1"});
    let ended = json!({"runner_name": "ecsr-ci-1", "completed_at": "2026-11-23T20:00:00Z"});
    for (job, told) in [
        (
            Answered::job(&in_progress),
            "job 7 is in progress, and GitHub gives a job's log once the job has ended",
        ),
        (
            Answered::job(&json!({"conclusion": "cancelled"})),
            "job 7 has no log: it ended before a runner took it",
        ),
        (Answered::job(&ended), "GitHub has no log of job 7, which ended at 2026-11-23T20:00:00Z"),
        (Answered(404, json!({"message": "Not Found"}), 200), "GitHub knows no job 7 in acme/app"),
    ] {
        let error = error_of(&github(absent, job).await).await;
        assert_eq!(error.to_string(), told);
        if let JobLogError::NotEnded { status, runner, .. } = error {
            assert_eq!((status.as_str(), runner.as_deref()), ("in_progress", Some("ecsr-ci-1")));
        }
    }
    // The storage answers like this if GitHub redirects to a log that was deleted or is not written yet.
    let storage = Responder::start(|_| Some(Answer::text(404, "<Code>BlobNotFound</Code>"))).await;
    let location = storage.base().to_owned();
    let error = error_of(&github(move || redirect(location.clone()), Answered::job(&ended)).await).await;
    assert!(matches!(error, JobLogError::Missing { ended: Some(_), .. }), "{error:?}");

    let gone = || Some(Answer::new(410, &json!({"message": "Gone"})));
    let error = error_of(&github(gone, Answered::never()).await).await;
    assert_eq!(error.to_string(), "GitHub no longer has the log of job 7");
}

#[tokio::test]
async fn a_missing_permission_is_no_missing_log() {
    let denied = "GitHub denies access to the log of job 7 of acme/app";
    // GitHub hides what the caller may not see. The control read shows that access is denied.
    let hidden = github(absent, Answered(404, json!({"message": "Not Found"}), 404)).await;
    let forbidden = || Some(Answer::new(403, &json!({"message": "Resource not accessible by integration"})));
    let forbidden = github(forbidden, Answered::never()).await;
    for github in [hidden, forbidden] {
        let error = error_of(&github).await;
        assert!(matches!(error, JobLogError::Denied { .. }), "{error:?}");
        assert_eq!(error.to_string(), denied);
    }
    let broken = github(|| Some(Answer::text(502, "")), Answered::never()).await;
    let error = error_of(&broken).await;
    assert!(matches!(error, JobLogError::GitHub { source: GitHubError::Server { .. }, .. }), "{error:?}");
}

#[tokio::test]
async fn of_a_log_that_is_too_long_whole_lines_are_kept_and_the_cut_is_told() {
    let line = format!("{}\n", "x".repeat((1 << 20) - 1));
    for (lines, is_cut) in [(64, false), (65, true)] {
        let text = line.repeat(lines - 1) + &"last line ".repeat(1 << 16);
        let github = Responder::start(move |asked: &Asked| match asked.line.as_str() {
            ASKED => redirect("/stored/7"),
            _ => Some(Answer::text(200, &text)),
        })
        .await;
        let log = client(&github).job_log(&app(), JOB).await.unwrap();
        let read: Vec<_> = log.lines().map(|line| line.text).collect();
        assert_eq!(log.is_cut(), is_cut);
        assert!(read.iter().map(|line| line.len() + 1).sum::<usize>() <= MAX_LOG_BYTES);
        assert_eq!(read.iter().filter(|line| line.starts_with('x')).count(), lines - 1);
        assert_eq!(read.iter().any(|line| line.starts_with("last")), !is_cut);
    }
}
