//! The errors that the engine gets when a call to GitHub fails.

use std::time::Duration;

use ecsrunner_core::text::chain;
use ecsrunner_engine::ports::Disposition;
use ecsrunner_engine::ports::github::{GitHub, GitHubError};
use ecsrunner_github::{ApiUrl, Client, Credentials};
use secrecy::SecretString;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::responder::{Answer, Responder};
use crate::{TOKEN, client, in_repository, runner_name};

async fn refusal_by(answer: impl Fn() -> Answer + Send + Sync + 'static) -> GitHubError {
    let github = Responder::start(move |_| Some(answer())).await;
    let labels = ["self-hosted".to_owned()];
    let error =
        client(&github).generate_jitconfig(&in_repository(), &runner_name(), &labels).await.unwrap_err();
    assert_eq!(github.asked().len(), 1, "a refused jitconfig is asked for once");
    error
}

#[tokio::test]
async fn a_refusal_carries_githubs_own_message_and_is_permanent() {
    for status in [401, 403, 404, 410, 422] {
        let error = refusal_by(move || Answer::new(status, &json!({"message": "Not you"}))).await;
        assert_eq!(error.disposition(), Disposition::Permanent);
        let text = format!("GitHub refuses generate-jitconfig of acme/app with {status}: Not you");
        assert_eq!(error.to_string(), text);
    }
}

#[tokio::test]
async fn a_message_is_bounded_and_a_page_of_a_proxy_is_left_out() {
    let long =
        refusal_by(|| Answer::new(404, &json!({"message": format!("a\nb{}", "x".repeat(9_000))}))).await;
    let GitHubError::Refused { message, .. } = long else { panic!("{long:?}") };
    assert_eq!(message.len(), 200);
    assert!(message.starts_with("abx"));

    let page = refusal_by(|| Answer::text(403, "<html>no way</html>")).await;
    let GitHubError::Refused { message, .. } = page else { panic!("{page:?}") };
    assert_eq!(message, "Forbidden");
}

#[tokio::test]
async fn rate_limits_say_how_long_they_last() {
    let limited = refusal_by(|| Answer::new(429, &json!({})).header("retry-after", "17")).await;
    assert_eq!(limited.disposition(), Disposition::Retry { after: Some(Duration::from_secs(17)) });

    let limited = refusal_by(|| {
        Answer::new(403, &json!({"message": "You have exceeded a secondary rate limit. Please wait."}))
    })
    .await;
    assert_eq!(limited.disposition(), Disposition::Retry { after: Some(Duration::from_secs(60)) });
}

#[tokio::test]
async fn githubs_own_faults_may_be_tried_again() {
    let error = refusal_by(|| Answer::text(502, "<html>")).await;
    assert!(matches!(error, GitHubError::Server { status: 502, .. }), "{error:?}");
    assert_eq!(error.disposition(), Disposition::Retry { after: None });
}

#[tokio::test]
async fn a_taken_name_is_told_apart() {
    let error = refusal_by(|| Answer::new(409, &json!({"message": "Already exists"}))).await;
    assert!(matches!(error, GitHubError::NameTaken), "{error:?}");
}

#[tokio::test]
async fn a_success_that_cannot_be_read_is_unreachable_and_its_body_is_not_repeated() {
    let error =
        refusal_by(|| Answer::new(201, &json!({"runner": "TOP", "encoded_jit_config": "SECRET"}))).await;
    assert_eq!(error.disposition(), Disposition::Retry { after: None });
    let text = format!("{} {error:?}", chain(&error));
    assert!(text.contains("is not as described"), "{text}");
    assert!(!text.contains("TOP") && !text.contains("SECRET"), "{text}");
}

#[tokio::test]
async fn a_call_without_an_answer_ends_at_its_limit() {
    let github = Responder::start(|_| None).await;
    let credentials = Credentials::Token(SecretString::from(TOKEN));
    let client = Client::with_call_limit(github.api(), &credentials, Duration::from_millis(50)).unwrap();
    let error = client.runner(&in_repository(), &runner_name()).await.unwrap_err();
    assert!(matches!(error, GitHubError::Unreachable { .. }), "{error:?}");
    assert_eq!(github.asked().len(), 1, "a timeout is not retried");
}

/// Closes the first connection once a request has arrived, and answers the next one.
async fn hangs_up_once(listener: TcpListener) -> usize {
    let mut requests = 0;
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        requests += usize::from(read > 0);
        if requests == 1 {
            continue;
        }
        let body = r#"{"total_count":0,"runners":[]}"#;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        return requests;
    }
}

#[tokio::test]
async fn a_reading_call_outlives_one_lost_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = ApiUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let client = Client::new(api, &Credentials::Token(SecretString::from(TOKEN))).unwrap();
    let (scope, name) = (in_repository(), runner_name());
    let (found, requests) = tokio::join!(client.runner(&scope, &name), hangs_up_once(listener));
    assert_eq!(found.unwrap(), None);
    assert_eq!(requests, 2);
}

#[tokio::test]
async fn a_registering_call_is_never_sent_twice() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = ApiUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let client = Client::new(api, &Credentials::Token(SecretString::from(TOKEN))).unwrap();
    let (scope, name, labels) = (in_repository(), runner_name(), ["self-hosted".to_owned()]);
    tokio::select! {
        outcome = client.generate_jitconfig(&scope, &name, &labels) => {
            let error = outcome.unwrap_err();
            assert!(matches!(error, GitHubError::Unreachable { .. }), "{error:?}");
        }
        requests = hangs_up_once(listener) => panic!("{requests} requests"),
    }
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = ApiUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let client = Client::new(api, &Credentials::Token(SecretString::from(TOKEN))).unwrap();
    let error = client.runner(&in_repository(), &runner_name()).await.unwrap_err();
    assert_eq!(error.to_string(), "no usable answer from GitHub to list-runners of acme/app");
}

#[tokio::test]
async fn a_renamed_repository_is_followed_within_the_api_only() {
    let elsewhere = Responder::start(|_| Some(Answer::new(200, &json!({})))).await;
    let away = format!("{}/repositories/5/actions/runners", elsewhere.base());
    let github = Responder::start(move |asked| {
        Some(if asked.line.starts_with("GET /repositories/1") {
            Answer::new(200, &json!({"total_count": 0, "runners": []}))
        } else if asked.line.starts_with("DELETE") {
            Answer::new(307, &json!({"message": "Moved Permanently"})).header("location", away.clone())
        } else {
            Answer::new(301, &json!({"message": "Moved Permanently"}))
                .header("location", "/repositories/1/actions/runners")
        })
    })
    .await;
    let client = client(&github);
    assert_eq!(client.runner(&in_repository(), &runner_name()).await.unwrap(), None);

    let id = ecsrunner_core::id::RunnerId::new(5);
    let error = client.delete_runner(&in_repository(), id).await.unwrap_err();
    assert!(matches!(error, GitHubError::Refused { status: 307, .. }), "{error:?}");
    assert_eq!(elsewhere.asked().len(), 0, "the token went to another host");
}
