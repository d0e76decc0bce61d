//! The newest release of GitHub's runner.

use ecsrunner_github::{Client, Credentials};
use secrecy::SecretString;
use serde_json::json;

use crate::responder::{Answer, Responder};

const ETAG: &str = "W/\"5e8a\"";

fn release(tag: &str) -> Answer {
    Answer::new(200, &json!({"tag_name": tag, "published_at": "2026-11-02T10:00:00Z"}))
}

fn client(server: &Responder) -> Client {
    Client::new(server.api(), &Credentials::Token(SecretString::from("secret"))).unwrap()
}

#[tokio::test]
async fn a_release_that_is_known_is_asked_for_by_its_etag_and_without_a_token() {
    let server = Responder::start(|asked| {
        Some(match asked.header("if-none-match") {
            "" => release("v2.337.0").header("etag", ETAG),
            ETAG => Answer::text(304, ""),
            other => Answer::text(400, other),
        })
    })
    .await;
    let client = client(&server);
    let first = client.newest_runner().await.unwrap().unwrap();
    assert_eq!(
        (first.tag_name.as_str(), first.published_at.to_string().as_str()),
        ("v2.337.0", "2026-11-02T10:00:00Z")
    );
    // A clone shares what is known.
    assert_eq!(client.clone().newest_runner().await.unwrap(), Some(first));
    let asked = server.asked();
    assert_eq!(asked.iter().map(|asked| asked.header("if-none-match")).collect::<Vec<_>>(), ["", ETAG]);
    assert!(asked.iter().all(|asked| asked.line == "GET /repos/actions/runner/releases/latest"));
    assert!(asked.iter().all(|asked| asked.header("authorization").is_empty()));
}

#[tokio::test]
async fn a_newer_release_takes_the_place_of_the_known_one_and_an_error_does_not() {
    let server = Responder::start(|asked| {
        Some(match asked.header("if-none-match") {
            "" => release("v2.337.0").header("etag", "\"1\""),
            "\"1\"" => release("v2.338.0").header("etag", "\"2\""),
            _ => Answer::text(503, ""),
        })
    })
    .await;
    let client = client(&server);
    for tag in ["v2.337.0", "v2.338.0"] {
        assert_eq!(client.newest_runner().await.unwrap().unwrap().tag_name, tag);
    }
    assert!(client.newest_runner().await.is_err());
}

#[tokio::test]
async fn a_304_that_was_not_asked_for_is_an_error_and_no_release() {
    let server = Responder::start(|_| Some(Answer::text(304, ""))).await;
    assert!(client(&server).newest_runner().await.is_err());
}
