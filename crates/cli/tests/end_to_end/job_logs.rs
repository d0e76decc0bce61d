//! A job's log from GitHub, by the command and by the server's API.

use std::process::Output;

use serde_json::{Value, json};

use crate::command_line::{ecsrunner, told};
use crate::isolation::is_root;
use crate::testbed::{LIMIT, REPOSITORY, Server, Setup, Testbed, bounded, job_ids};

/// A job that prints escapes, a control character and a tab, and fails.
const PRINTING: &str = r"
name: ci
on: push
jobs:
  print:
    runs-on: [self-hosted, 'class:small']
    steps:
      - run: |
          printf '\033[31mred\033[0m\tand plain\n'
          printf '\033]0;a title\007bell\a and nothing\n'
          exit 3
";

pub(crate) async fn output(testbed: &Testbed, arguments: &[&str]) -> Output {
    output_at(&testbed.state().display().to_string(), testbed, arguments).await
}

/// Runs a command on the server that `named` names.
async fn output_at(named: &str, testbed: &Testbed, arguments: &[&str]) -> Output {
    let (named, github) = (named.to_owned(), testbed.github_url().to_owned());
    let arguments: Vec<String> = arguments.iter().map(|&it| it.to_owned()).collect();
    let run = move || {
        let dir = tempfile::tempdir().unwrap();
        let mut command = ecsrunner(dir.path());
        command.args(arguments).env("ECSRUNNER_LOCAL", named).env("GITHUB_API_URL", github).output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// Requests a path from the server with this token.
async fn asked(server: &Server, path: &str, token: Option<&str>) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build().unwrap();
    let mut request = client.get(server.url(path));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.unwrap()
}

/// Requests a path with the operator's token. Returns status and body.
async fn told_to_operator(testbed: &Testbed, server: &Server, path: &str) -> (u16, Value) {
    let answer = asked(server, path, Some(&token(testbed))).await;
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Returns the token of the state directory.
fn token(testbed: &Testbed) -> String {
    crate::testbed::token(&testbed.state())
}

fn log_path(job: u64) -> String {
    format!("/api/v1/jobs/{job}/log")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Starts a server, and runs the printing job on it.
async fn after_a_printing_job(setup: Setup) -> (Testbed, Server, u64) {
    let testbed = Testbed::set_up(setup).await;
    let server = testbed.serve().await;
    let job = run_job(&testbed, &server, PRINTING).await;
    (testbed, server, job)
}

/// Runs the one job of a workflow to its end.
async fn run_job(testbed: &Testbed, server: &Server, workflow: &str) -> u64 {
    let body = json!({"repository": REPOSITORY, "file": ".github/workflows/ci.yml", "text": workflow});
    let job = job_ids(&testbed.github.submit_workflow(&body).await)[0];
    server.api().until("the job to be done", |api| api.jobs_in("completed").len() == 1).await;
    job
}

fn assert_clean(log: &str) {
    assert!(log.contains("\nred\tand plain\n"), "{log}");
    assert!(log.contains("\nbell and nothing\n"), "{log}");
    assert!(!log.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')), "{log:?}");
    assert!(!log.contains('\u{feff}'), "{log:?}");
}

#[tokio::test]
async fn a_jobs_log_is_printed_without_escapes_and_by_wish_with_times() {
    bounded(async {
        let (testbed, server, job) = after_a_printing_job(Setup::default()).await;
        let id = job.to_string();
        let printed = output(&testbed, &["jobs", "logs", &id]).await;
        let log = text(&printed.stdout);
        assert_eq!((printed.status.code(), text(&printed.stderr)), (Some(0), String::new()));
        assert_clean(&log);
        // The job's page names its repository: no record is needed.
        let page = format!("https://github.com/acme/app/actions/runs/1/job/{job}");
        assert_eq!(text(&output(&testbed, &["jobs", "logs", &page]).await.stdout), log);

        let timed = text(&output(&testbed, &["jobs", "logs", &id, "--timestamps"]).await.stdout);
        let without: Vec<_> = timed.lines().map(|line| line.split_once(' ').unwrap()).collect();
        assert!(
            without.iter().all(|(at, _)| at.len() == 28 && at.parse::<jiff::Timestamp>().is_ok()),
            "{timed}"
        );
        assert!(without.iter().map(|(_, text)| *text).eq(log.lines()), "{timed}");

        let document = output(&testbed, &["jobs", "logs", &id, "--json"]).await;
        let document: Value = serde_json::from_slice(&document.stdout).unwrap();
        let fields: Vec<_> = document.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["cut", "job", "lines", "repository"]);
        let told = (&document["job"], &document["repository"], &document["cut"]);
        assert_eq!(told, (&json!(job), &json!("acme/app"), &json!(false)));
        let lines = document["lines"].as_array().unwrap();
        assert!(lines.iter().map(|line| line["text"].as_str().unwrap()).eq(log.lines()), "{document}");
        assert!(lines.iter().all(|line| line["at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok()));

        // The cause is in the log: `why` says how to read it.
        let why = text(&output(&testbed, &["why", &id]).await.stdout);
        assert!(
            why.contains(&format!("Next:    read the job's log with `ecsrunner jobs logs {id}`")),
            "{why}"
        );
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn the_servers_api_gives_a_jobs_log_as_text_that_no_browser_takes_for_a_page() {
    bounded(async {
        let (testbed, server, job) = after_a_printing_job(Setup::default()).await;
        let answer = asked(&server, &log_path(job), Some(&token(&testbed))).await;
        assert_eq!(answer.status(), 200);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("cache-control"), "no-store");
        assert!(header("content-security-policy").contains("sandbox"));
        let log = answer.text().await.unwrap();
        assert_clean(&log);
        assert_eq!(text(&output(&testbed, &["jobs", "logs", &job.to_string()]).await.stdout), log);

        let timed = format!("{}?timestamps=true", log_path(job));
        let timed = asked(&server, &timed, Some(&token(&testbed))).await.text().await.unwrap();
        let first = timed.lines().next().unwrap().split(' ').next().unwrap();
        assert!(first.parse::<jiff::Timestamp>().is_ok(), "{timed}");
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_job_is_followed_step_by_step_to_its_log() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        let workflow = "on: push\njobs:\n  a:\n    runs-on: [self-hosted, 'class:small']\n    steps:\n      \
                        - {name: Wait, run: sleep 3}\n      - {name: Break it, run: echo at the end; exit 4}\n";
        let body = json!({"repository": REPOSITORY, "file": ".github/workflows/ci.yml", "text": workflow});
        let job = job_ids(&testbed.github.submit_workflow(&body).await)[0].to_string();
        server.api().until("the job to run", |api| api.jobs_in("in_progress").len() == 1).await;
        let followed = output(&testbed, &["jobs", "logs", &job, "--follow"]).await;
        let (log, steps) = (text(&followed.stdout), text(&followed.stderr));
        assert_eq!(followed.status.code(), Some(0), "{steps}");
        assert!(log.contains("\nat the end\n"), "{log}");
        for line in ["Wait: success", "Break it: failure", "job: failure"] {
            assert!(steps.lines().any(|told| told.ends_with(line)), "{line}: {steps}");
        }
        assert_eq!(steps.matches("Wait: success").count(), 1, "{steps}");
        // After the end there is nothing to wait for.
        let again = output(&testbed, &["jobs", "logs", &job, "--follow"]).await;
        assert_eq!((text(&again.stdout), text(&again.stderr).contains("job: failure")), (log, true));
        let none = output(&testbed, &["jobs", "logs", "4711", "--repository", "acme/app", "-f"]).await;
        assert_eq!(none.status.code(), Some(4));
        server.api().until("the job to be done", |api| api.jobs_in("completed").len() == 1).await;
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_jobs_log_needs_the_token_of_the_state_directory() {
    bounded(async {
        let (testbed, server, job) = after_a_printing_job(Setup::default()).await;
        for path in [log_path(job), log_path(4711), "/api/v1/jobs/none/log".to_owned()] {
            for token in [None, Some(""), Some("another")] {
                let answer = asked(&server, &path, token).await;
                assert_eq!(answer.status(), 401, "{path} with {token:?}");
                assert_eq!(answer.headers()["www-authenticate"], "Bearer");
                let body: Value = answer.json().await.unwrap();
                let message = "the token of the server's state directory is expected as a bearer token";
                assert_eq!(body, json!({"message": message}));
            }
        }
        assert_eq!(asked(&server, &log_path(job), Some(&token(&testbed))).await.status(), 200);
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_job_cannot_read_the_file_with_the_token() {
    if !is_root() {
        return;
    }
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        let file = testbed.state().join("server.json");
        let workflow = format!(
            "on: push\njobs:\n  thief:\n    runs-on: [self-hosted, 'class:small']\n    steps:\n      \
             - run: |\n          echo \"user $(id -u)\"\n          cat '{}' 2>&1 || echo 'nothing read'\n",
            file.display()
        );
        let job = run_job(&testbed, &server, &workflow).await;
        let token = token(&testbed);
        let log = asked(&server, &log_path(job), Some(&token)).await.text().await.unwrap();
        assert!(log.contains("Permission denied\nnothing read\n"), "{log}");
        assert!(log.contains("\nuser ") && !log.contains("\nuser 0\n"), "{log}");
        assert!(!log.contains(&token), "{log}");
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn a_job_without_a_log_is_told_with_what_to_do_instead() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        let job = testbed.github.submit_one(&["self-hosted", "class:small"], 60_000).await;
        let api = server.api().until("the job to run", |api| api.jobs_in("in_progress").len() == 1).await;
        let runner = api.job(job).unwrap()["runner"].as_str().unwrap().to_owned();
        let words = |output: &Output| {
            told(output, std::path::Path::new("/nowhere"))
                .replace(&job.to_string(), "[job]")
                .replace(&runner, "[runner]")
        };
        insta::assert_snapshot!(words(&output(&testbed, &["jobs", "logs", &job.to_string()]).await), @r"
        exit code 4
        --- stdout
        --- stderr
        error: job [job] is in progress, and GitHub gives a job's log once the job has ended

        hint: run `ecsrunner jobs logs [job] --follow` to see its steps as they come, and `ecsrunner runners logs [runner] --follow` for the log of its runner
        ");
        let (status, body) = told_to_operator(&testbed, &server, &log_path(job)).await;
        assert_eq!(status, 409);
        assert!(body["message"].as_str().unwrap().contains("has not ended"), "{body}");

        testbed.github.faults(json!({"assignment_paused": true})).await;
        let waiting = testbed.github.submit_one(&["self-hosted", "class:small"], 1).await;
        testbed.github.cancel(waiting).await;
        server.api().until("the job to be cancelled", |api| api.jobs_in("completed").len() == 1).await;
        let never = output(&testbed, &["jobs", "logs", &waiting.to_string()]).await;
        assert_eq!(never.status.code(), Some(4));
        assert!(text(&never.stderr).contains("it ended before a runner took it"), "{}", text(&never.stderr));
        assert_eq!(told_to_operator(&testbed, &server, &log_path(waiting)).await.0, 404);

        let unknown = output(&testbed, &["jobs", "logs", "4711"]).await;
        assert_eq!(unknown.status.code(), Some(4));
        assert!(text(&unknown.stderr).contains("--repository OWNER/NAME"), "{}", text(&unknown.stderr));
        let unknown = output(&testbed, &["jobs", "logs", "4711", "--repository", "acme/app"]).await;
        assert_eq!(unknown.status.code(), Some(4));
        assert!(
            text(&unknown.stderr).contains("GitHub knows no job 4711 in acme/app"),
            "{}",
            text(&unknown.stderr)
        );
        let (status, body) = told_to_operator(&testbed, &server, &log_path(4711)).await;
        assert_eq!((status, &body["message"]), (404, &json!("there is no record of job 4711")));
        let none = asked(&server, "/api/v1/jobs/none/log", Some(&token(&testbed))).await;
        assert_eq!(none.status(), 400);
        testbed.github.cancel(job).await;
        drop(server);
    })
    .await;
}

#[tokio::test]
async fn a_log_that_github_does_not_show_us_is_a_missing_permission() {
    bounded(async {
        let app = &[("actions", "read"), ("administration", "write"), ("metadata", "read")];
        let (testbed, server, job) = after_a_printing_job(Setup { app, ..Setup::default() }).await;
        let refused = json!({"rest": [{"method": "GET", "path_end": "/logs", "status": 403,
            "message": "Resource not accessible by integration"}]});
        testbed.github.faults(refused).await;
        let denied = output(&testbed, &["jobs", "logs", &job.to_string()]).await;
        assert_eq!(denied.status.code(), Some(3));
        let words = text(&denied.stderr);
        assert!(words.contains("denies access to the log") && words.contains("`actions: read`"), "{words}");
        let (status, body) = told_to_operator(&testbed, &server, &log_path(job)).await;
        assert_eq!(status, 403, "{body}");

        // With only the server's URL, the credentials are unknown and GitHub cannot be asked.
        let by_url = output_at(&server.url(""), &testbed, &["jobs", "logs", &job.to_string()]).await;
        assert_eq!(by_url.status.code(), Some(3));
        drop(server);
    })
    .await;
}
