//! Registering, finding and deleting runners.

use ecsrunner_core::id::RunnerId;
use ecsrunner_engine::ports::github::{Deletion, GitHub, GitHubError, Registration};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::responder::{Answer, Responder};
use crate::{TOKEN, client, in_organization, in_repository, runner_name};

fn runner(id: u64, name: &str) -> Value {
    json!({"id": id, "name": name, "os": "unknown", "status": "online", "busy": true, "labels": []})
}

fn generated() -> Answer {
    Answer::new(201, &json!({"runner": {"id": 4_300_000_001_u64}, "encoded_jit_config": "Y29uZmln"}))
}

#[tokio::test]
async fn a_runner_registers_in_its_repository_with_exactly_its_labels() {
    let github = Responder::start(|_| Some(generated())).await;
    let labels = ["self-hosted".to_owned(), "class:large".to_owned()];
    let config = client(&github).generate_jitconfig(&in_repository(), &runner_name(), &labels).await.unwrap();
    assert_eq!(config.runner_id, RunnerId::new(4_300_000_001));
    assert_eq!(config.encoded.expose_secret(), "Y29uZmln");

    let asked = github.asked().remove(0);
    assert_eq!(asked.line, "POST /repos/acme/app/actions/runners/generate-jitconfig");
    assert_eq!(
        asked.body,
        json!({
            "name": runner_name(),
            "runner_group_id": 1,
            "labels": ["self-hosted", "class:large"],
            "work_folder": "_work",
        })
    );
    assert_eq!(asked.header("accept"), "application/vnd.github+json");
    assert_eq!(asked.header("x-github-api-version"), "2022-11-28");
    assert_eq!(asked.header("content-type"), "application/json");
    assert!(asked.header("user-agent").starts_with("ecsrunner/"));
    assert_eq!(asked.header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(TOKEN.len(), 520);
}

#[tokio::test]
async fn a_runner_registers_in_its_organizations_group() {
    let github = Responder::start(|_| Some(generated())).await;
    let labels = ["self-hosted".to_owned()];
    client(&github).generate_jitconfig(&in_organization(), &runner_name(), &labels).await.unwrap();
    let asked = github.asked().remove(0);
    assert_eq!(asked.line, "POST /orgs/acme/actions/runners/generate-jitconfig");
    assert_eq!(asked.body["runner_group_id"], 7);
}

#[tokio::test]
async fn a_runner_is_found_by_its_exact_name() {
    let name = runner_name();
    let answer = json!({"total_count": 1, "runners": [runner(5, name.as_str())]});
    let github = Responder::start(move |_| Some(Answer::new(200, &answer))).await;
    let found = client(&github).runner(&in_repository(), &name).await.unwrap();
    assert_eq!(found, Some(Registration { id: RunnerId::new(5), busy: true, online: true }));
    let line = format!("GET /repos/acme/app/actions/runners?name={name}&per_page=100&page=1");
    assert_eq!(github.lines(), [line]);
}

#[tokio::test]
async fn registrations_come_page_by_page_whosever_they_are() {
    let github = Responder::start(|asked| {
        let page: u64 = asked.query("page").unwrap().parse().unwrap();
        let runners: Vec<_> = (0..if page == 1 { 100 } else { 2 })
            .map(|i| runner(page * 1000 + i, &format!("other-{i}")))
            .collect();
        Some(Answer::new(200, &json!({"total_count": 102, "runners": runners})))
    })
    .await;
    let client = client(&github);
    let first = client.registrations(&in_organization(), 1).await.unwrap();
    assert_eq!((first.runners.len(), first.more), (100, true));
    let last = client.registrations(&in_repository(), 2).await.unwrap();
    let registration = Registration { id: RunnerId::new(2001), busy: true, online: true };
    assert_eq!((last.runners[1].clone(), last.more), (("other-1".to_owned(), registration), false));
    assert_eq!(
        github.lines(),
        [
            "GET /orgs/acme/actions/runners?per_page=100&page=1",
            "GET /repos/acme/app/actions/runners?per_page=100&page=2",
        ]
    );
}

/// Starts a server that does not know the filter. It has 250 runners of other names, and ours at `position`.
async fn unfiltered(position: Option<usize>) -> Responder {
    let name = runner_name();
    Responder::start(move |asked| {
        let page: usize = asked.query("page").unwrap().parse().unwrap();
        let names: Vec<_> = (0..250)
            .map(|i| if Some(i) == position { name.to_string() } else { format!("other-{i}") })
            .skip((page - 1) * 100)
            .take(100)
            .collect();
        let runners: Vec<_> = names.iter().map(|name| runner(9, name)).collect();
        Some(Answer::new(200, &json!({"total_count": 250, "runners": runners})))
    })
    .await
}

#[tokio::test]
async fn where_the_name_filter_is_ignored_all_pages_are_read() {
    let github = unfiltered(Some(240)).await;
    assert!(client(&github).runner(&in_organization(), &runner_name()).await.unwrap().is_some());
    assert_eq!(github.asked().len(), 3);

    let github = unfiltered(None).await;
    assert_eq!(client(&github).runner(&in_organization(), &runner_name()).await.unwrap(), None);
    assert_eq!(github.asked().len(), 3);
}

#[tokio::test]
async fn a_list_that_changes_while_it_is_read_proves_no_absence() {
    let github = Responder::start(|asked| {
        let page: u64 = asked.query("page").unwrap().parse().unwrap();
        let runners: Vec<_> = (0..100).map(|i| runner(i, "other")).collect();
        Some(Answer::new(200, &json!({"total_count": 200 - page, "runners": runners})))
    })
    .await;
    let error = client(&github).runner(&in_repository(), &runner_name()).await.unwrap_err();
    assert!(matches!(error, GitHubError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_list_that_is_not_found_is_no_absent_runner() {
    let github = Responder::start(|_| Some(Answer::new(404, &json!({"message": "Not Found"})))).await;
    let error = client(&github).runner(&in_repository(), &runner_name()).await.unwrap_err();
    assert!(matches!(error, GitHubError::Refused { status: 404, .. }), "{error:?}");
}

async fn deletion(status: u16, control: u16) -> (Result<Deletion, GitHubError>, Vec<String>) {
    let github = Responder::start(move |asked| {
        Some(if asked.line.starts_with("DELETE") {
            Answer::text(status, "")
        } else {
            Answer::new(control, &json!({"total_count": 0, "runners": [], "message": "Not Found"}))
        })
    })
    .await;
    let outcome = client(&github).delete_runner(&in_organization(), RunnerId::new(5)).await;
    (outcome, github.lines())
}

#[tokio::test]
async fn a_deleted_and_a_busy_runner_are_told_apart() {
    let (outcome, lines) = deletion(204, 500).await;
    assert_eq!(outcome.unwrap(), Deletion::Deleted);
    assert_eq!(lines, ["DELETE /orgs/acme/actions/runners/5"]);
    assert_eq!(deletion(422, 500).await.0.unwrap(), Deletion::Busy);
}

#[tokio::test]
async fn an_absent_runner_is_believed_after_a_control_read_only() {
    let (outcome, lines) = deletion(404, 200).await;
    assert_eq!(outcome.unwrap(), Deletion::Absent);
    assert_eq!(lines[1], "GET /orgs/acme/actions/runners?per_page=1");

    let error = deletion(404, 404).await.0.unwrap_err();
    assert!(matches!(error, GitHubError::Refused { status: 404, .. }), "{error:?}");
    assert!(error.to_string().contains("list-runners of acme (group 7)"), "{error}");
    let error = deletion(404, 503).await.0.unwrap_err();
    assert!(matches!(error, GitHubError::Server { status: 503, .. }), "{error:?}");
}
