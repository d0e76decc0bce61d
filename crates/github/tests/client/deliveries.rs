//! The App's webhook deliveries.

use ecsrunner_core::id::DeliveryId;
use ecsrunner_core::wire::event::JobAction;
use ecsrunner_core::wire::webhook::{Webhook, read};
use ecsrunner_demo::github::Hook;
use ecsrunner_engine::ports::github::{DeliveredWebhook, GitHub, GitHubError, PastDelivery};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::github::{Control, app_client, options, start};
use crate::responder::{Answer, Responder};
use crate::{app, client};

fn listed(id: u64) -> Value {
    json!({
        "id": id, "guid": format!("guid-{id}"), "delivered_at": "2026-11-23T20:00:00Z", "redelivery": false,
        "duration": 0.1, "status": "OK", "status_code": 202, "event": "workflow_job", "action": "queued",
        "installation_id": 42, "repository_id": null, "throttled_at": null,
    })
}

#[tokio::test]
async fn a_page_tells_the_deliveries_and_where_the_next_begins() {
    let github = Responder::start(|asked| {
        let last = asked.query("cursor").is_some();
        let answer = Answer::new(200, &json!([listed(if last { 7 } else { 8_000_000_001 })]));
        let prev = "<https://api.example/app/hook/deliveries?cursor=v1_9>; rel=\"prev\"";
        let next = "<https://api.example/app/hook/deliveries?per_page=100&cursor=v1_8%2Ba>; rel=\"next\"";
        Some(answer.header("link", if last { prev.to_owned() } else { format!("{prev}, {next}") }))
    })
    .await;
    let client = app_client(github.base());
    let first = client.deliveries(None).await.unwrap().unwrap();
    let expected = PastDelivery {
        number: 8_000_000_001,
        id: DeliveryId::parse("guid-8000000001").unwrap(),
        delivered_at: "2026-11-23T20:00:00Z".parse().unwrap(),
        event: "workflow_job".into(),
        action: Some("queued".into()),
        repository: None,
        status: "OK".into(),
    };
    assert_eq!((first.deliveries, first.next.as_deref()), (vec![expected], Some("v1_8+a")));
    let last = client.deliveries(first.next.as_deref()).await.unwrap().unwrap();
    assert_eq!(last.next, None);
    let line = "GET /app/hook/deliveries?per_page=100";
    assert_eq!(github.lines(), [line.to_owned(), format!("{line}&cursor=v1_8%2Ba")]);
}

#[tokio::test]
async fn a_delivery_without_a_time_hides_no_other() {
    let mut broken = listed(2);
    broken["delivered_at"] = json!("soon");
    let list = json!([listed(3), broken, listed(1)]);
    let github = Responder::start(move |_| Some(Answer::new(200, &list))).await;
    let page = app_client(github.base()).deliveries(None).await.unwrap().unwrap();
    assert_eq!(page.deliveries.iter().map(|delivery| delivery.number).collect::<Vec<_>>(), [3, 1]);
}

#[tokio::test]
async fn a_token_is_told_of_no_deliveries_and_asks_for_none() {
    let github = Responder::start(|_| Some(Answer::new(200, &json!([])))).await;
    assert_eq!(client(&github).deliveries(None).await.unwrap(), None);
    assert_eq!(client(&github).delivery(1).await.unwrap(), None);
    assert!(github.lines().is_empty());
}

#[tokio::test]
async fn an_app_without_a_webhook_has_no_deliveries_if_github_knows_the_app() {
    for (app_status, known) in [(200, true), (404, false), (401, false)] {
        let github = Responder::start(move |asked| {
            let status = if asked.line == "GET /app" { app_status } else { 404 };
            Some(Answer::new(status, &json!({"message": "Not Found"})))
        })
        .await;
        let page = app_client(github.base()).deliveries(None).await;
        if known {
            let page = page.unwrap().unwrap();
            assert_eq!((page.deliveries, page.next), (Vec::new(), None));
        } else {
            assert!(matches!(page, Err(GitHubError::Refused { status: 404, .. })), "{page:?}");
        }
    }
}

/// Looks up one delivery with GitHub's answers from `answer`.
async fn one(
    answer: impl Fn(bool) -> Answer + Send + Sync + 'static,
) -> Result<Option<DeliveredWebhook>, GitHubError> {
    let github = Responder::start(move |asked| Some(answer(asked.line.ends_with("?per_page=1")))).await;
    app_client(github.base()).delivery(7).await
}

#[tokio::test]
async fn a_payload_comes_back_as_the_text_of_its_json() {
    let webhook = one(|_| {
        let request = json!({"headers": {}, "payload": {"action": "queued", "number": 4_400_000_007_u64}});
        Answer::new(200, &json!({"id": 7, "event": "workflow_job", "request": request}))
    });
    let webhook = webhook.await.unwrap().unwrap();
    assert_eq!(webhook.event, "workflow_job");
    assert_eq!(webhook.body, r#"{"action":"queued","number":4400000007}"#);
}

#[tokio::test]
async fn a_delivery_that_is_kept_no_more_is_absent_after_a_control_read_only() {
    let gone = |control: u16| {
        one(move |is_control| match is_control {
            true => Answer::new(control, &json!([])),
            false => Answer::new(404, &json!({"message": "Not Found"})),
        })
    };
    assert_eq!(gone(200).await.unwrap(), None);
    let error = gone(401).await.unwrap_err();
    assert!(matches!(error, GitHubError::Refused { status: 401, .. }), "{error:?}");
    let empty = json!({"id": 7, "event": "workflow_job", "request": {"headers": null, "payload": null}});
    assert_eq!(one(move |_| Answer::new(200, &empty)).await.unwrap(), None);
}

/// Queues `count` jobs whose webhooks are lost.
async fn lose(control: &Control, count: usize) {
    control.post("faults", &json!({"webhooks": {"drop": 1.0}})).await;
    for _ in 0..count {
        control.queue_job(&["self-hosted"]).await;
    }
    control.settle().await;
}

fn hook() -> Hook {
    Hook { url: "http://127.0.0.1:9/webhook".into(), secret: SecretString::from("secret") }
}

#[tokio::test]
async fn a_lost_webhook_is_found_and_reads_as_the_event_that_it_was() {
    let (fake, control) = start(options(Some(hook()))).await;
    lose(&control, 1).await;
    let client = app_client(fake.url());
    let page = client.deliveries(None).await.unwrap().unwrap();
    assert_eq!((page.deliveries.len(), page.next), (1, None));
    let lost = &page.deliveries[0];
    assert_ne!(lost.status, "OK");
    let webhook = client.delivery(lost.number).await.unwrap().unwrap();
    let Webhook::Job(event) = read(&webhook.event, webhook.body.as_bytes(), Timestamp::now()).unwrap() else {
        panic!("{webhook:?}")
    };
    assert_eq!((event.action, &event.facts.repository), (JobAction::Queued, &app()));
    assert_eq!(client.delivery(lost.number + 1).await.unwrap(), None);
}

#[tokio::test]
async fn all_deliveries_are_found_page_by_page_the_latest_first() {
    let (fake, control) = start(options(Some(hook()))).await;
    lose(&control, 201).await;
    let client = app_client(fake.url());
    let mut numbers = Vec::new();
    let mut cursor = None;
    for count in [100, 100, 1] {
        let page = client.deliveries(cursor.as_deref()).await.unwrap().unwrap();
        assert_eq!(page.deliveries.len(), count);
        numbers.extend(page.deliveries.iter().map(|delivery| delivery.number));
        cursor = page.next;
    }
    assert_eq!(cursor, None);
    assert!(numbers.is_sorted_by(|a, b| a > b), "{numbers:?}");
}

#[tokio::test]
async fn another_apps_key_lists_nothing() {
    let mut options = options(None);
    options.app.as_mut().unwrap().id = 99;
    let (fake, _) = start(options).await;
    let error = app_client(fake.url()).deliveries(None).await.unwrap_err();
    assert!(matches!(error, GitHubError::Refused { .. }), "{error:?}");
}
