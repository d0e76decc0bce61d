//! `POST /webhook`: the outcome of each kind of delivery.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::testbed::{Payload, Server, Setup, Testbed, bounded, signature};

const OURS: [&str; 2] = ["self-hosted", "class:small"];

/// Starts a server that launches nothing, so that only webhooks have an effect.
async fn listening() -> (Testbed, Server) {
    let testbed = Testbed::set_up(Setup { top: "paused = true", ..Setup::default() }).await;
    let server = testbed.serve_unheard().await;
    (testbed, server)
}

/// Status, outcome and reason.
fn told((status, answer): (u16, Value)) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    format!("{status} {} {}", text(&answer["outcome"]), text(&answer["reason"]["code"]))
}

#[tokio::test]
async fn a_queued_job_of_ours_is_accepted_and_its_second_delivery_ignored() {
    bounded(async {
        let (_scene, server) = listening().await;
        let body = || Payload::queued(1, &OURS);
        let first = server.deliver("workflow_job", body()).await;
        insta::assert_json_snapshot!(first, @r#"
        [
          202,
          {
            "delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
            "outcome": "accepted",
            "reason": {
              "code": "recorded",
              "text": "recorded"
            }
          }
        ]
        "#);
        assert_eq!(told(server.deliver("workflow_job", body()).await), "202 ignored nothing_new");
        assert_eq!(server.api().listed().await.jobs.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_missing_or_wrong_signature_is_refused_before_anything_is_parsed() {
    bounded(async {
        let (_scene, server) = listening().await;
        let broken = br#"{"action":"#.to_vec();
        let other = signature(b"another body");
        let no_hex = format!("sha256={}", "g".repeat(64));
        for signature in [None, Some(""), Some("sha256=00"), Some(no_hex.as_str()), Some(other.as_str())] {
            // Form-encoded and invalid: if the body were parsed, the answer would be 400.
            let mut headers = vec![
                ("content-type", "application/x-www-form-urlencoded"),
                ("x-github-event", "workflow_job"),
                ("x-github-delivery", "d"),
            ];
            headers.extend(signature.map(|signature| ("x-hub-signature-256", signature)));
            let answer = server.post(&headers, broken.clone()).await;
            assert_eq!(told(answer), "401 refused signature_invalid", "{signature:?}");
        }
        let (_, counts) = server.api().get("/api/v1/counts").await;
        assert_eq!(counts, json!({"webhooks": {"signature_invalid": 5}}));
    })
    .await;
}

#[tokio::test]
async fn a_broken_body_under_a_good_signature_is_refused_and_kept() {
    bounded(async {
        let (testbed, server) = listening().await;
        let marker = r#"{"action": "queued", "kept for inspection": "#;
        let (status, answer) = server.deliver("workflow_job", marker).await;
        insta::assert_json_snapshot!((status, answer), @r#"
        [
          400,
          {
            "delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
            "outcome": "refused",
            "reason": {
              "code": "body_unreadable",
              "text": "the body cannot be read: EOF while parsing a value at line 1 column 44"
            }
          }
        ]
        "#);
        let without = r#"{"action": "queued", "workflow_job": {"id": 1}}"#;
        assert_eq!(told(server.deliver("workflow_job", without).await), "400 refused body_unreadable");
        server.terminate().await;
        assert!(is_kept(&testbed, marker), "the body is not in the database");
    })
    .await;
}

/// Returns whether the database's files contain this text.
fn is_kept(testbed: &Testbed, text: &str) -> bool {
    let files = std::fs::read_dir(testbed.state()).unwrap().map(|entry| entry.unwrap().path());
    let needle = BASE64_STANDARD.encode(text);
    files
        .filter(|path| path.is_file())
        .any(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).contains(&needle))
}

#[tokio::test]
async fn other_content_types_are_refused_with_the_one_that_is_expected() {
    bounded(async {
        let (_scene, server) = listening().await;
        let body: Vec<u8> = Payload::queued(1, &OURS).into();
        let signature = signature(&body);
        let post = |content_type| {
            let headers = [
                ("content-type", content_type),
                ("x-github-event", "workflow_job"),
                ("x-hub-signature-256", signature.as_str()),
            ];
            let (server, body) = (&server, body.clone());
            async move { server.post(&headers, body).await }
        };
        for content_type in ["application/x-www-form-urlencoded", "text/plain", "application/jsonx"] {
            let (status, answer) = post(content_type).await;
            assert_eq!(told((status, answer.clone())), "400 refused content_type");
            let text = answer["reason"]["text"].as_str().unwrap();
            assert!(text.contains(content_type) && text.contains("application/json"), "{text}");
        }
        assert_eq!(told(post("application/json; charset=utf-8").await), "202 accepted recorded");
    })
    .await;
}

#[tokio::test]
async fn a_form_encoded_payload_is_refused_whatever_its_content_type_says() {
    bounded(async {
        let (_scene, server) = listening().await;
        let (status, answer) =
            server.deliver("workflow_job", "payload=%7B%22action%22%3A%22queued%22%7D").await;
        assert_eq!(status, 400);
        insta::assert_snapshot!(answer["reason"]["text"].as_str().unwrap(), @r#"
        the body cannot be read: the payload is form-encoded: set the webhook's content type to application/json
        "#);
    })
    .await;
}

#[tokio::test]
async fn a_body_may_be_700_kib_and_no_larger() {
    bounded(async {
        let (_scene, server) = listening().await;
        let mut body: Vec<u8> = Payload::queued(1, &OURS).into();
        body.resize(700 * 1024, b' ');
        assert_eq!(told(server.deliver("workflow_job", body.clone()).await), "202 accepted recorded");
        body.push(b' ');
        assert_eq!(told(server.deliver("workflow_job", body.clone()).await), "413 refused body_too_large");
        // Larger than the limit of what the server reads.
        body.resize(1500 * 1024, b' ');
        assert_eq!(told(server.deliver("workflow_job", body).await), "413 refused body_too_large");
    })
    .await;
}

#[tokio::test]
async fn pings_are_accepted_and_other_events_and_actions_ignored() {
    bounded(async {
        let (_scene, server) = listening().await;
        assert_eq!(
            told(server.deliver("ping", r#"{"zen": "Design for failure."}"#).await),
            "202 accepted ping"
        );
        assert_eq!(told(server.deliver("push", "{}").await), "202 ignored other_event");
        assert_eq!(told(server.deliver("", "{}").await), "202 ignored other_event");
        let later = Payload::queued(1, &OURS).action("paused");
        assert_eq!(told(server.deliver("workflow_job", later).await), "202 ignored other_event");
        let elsewhere = Payload::queued(2, &["ubuntu-latest"]).action("in_progress");
        assert_eq!(told(server.deliver("workflow_job", elsewhere).await), "202 ignored not_ours");
        assert!(server.api().listed().await.jobs.is_empty());
        let (_, counts) = server.api().get("/api/v1/counts").await;
        assert_eq!(counts, json!({"webhooks": {"ping": 1, "other_event": 3, "not_ours": 1}}));
    })
    .await;
}

#[tokio::test]
async fn the_fake_githubs_own_deliveries_are_understood() {
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        let server = testbed.serve().await;
        testbed.github.ping().await;
        testbed.github.submit_one(&OURS, 10).await;
        server.api().until("one job to be done", |api| api.is_done(1)).await;
        let deliveries = testbed.github.deliveries().await;
        assert_eq!(deliveries.len(), 4);
        assert!(deliveries.iter().all(|delivery| delivery["status_code"] == 202), "{deliveries:#?}");
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}
