use ecsrunner_aws::secrets::{Freshness, Secrets};
use ecsrunner_engine::ports::Disposition;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::aws::Aws;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000 + secs).unwrap()
}

fn secret(text: &str) -> (u16, Value) {
    (200, json!({"ARN": "arn:webhook", "Name": "webhook", "VersionId": "1", "SecretString": text}))
}

#[tokio::test]
async fn a_secret_is_read_once_and_somebody_elses_signatures_do_not_have_it_read_again_and_again() {
    let aws = Aws::answering([secret(r#"["new", "old"]"#)]);
    let secrets = Secrets::new(&aws.connection().await, "arn:webhook", "arn:github");
    for freshness in [Freshness::Usual, Freshness::Usual, Freshness::NoneFitted] {
        let read = secrets.webhook_secrets(freshness, at(0)).await.unwrap();
        assert_eq!(read.iter().map(|secret| secret.expose_secret()).collect::<Vec<_>>(), ["new", "old"]);
    }
    assert_eq!(aws.requests(), [("GetSecretValue".to_owned(), json!({"SecretId": "arn:webhook"}))]);
}

#[tokio::test]
async fn a_replaced_secret_is_taken_up_within_30_seconds_where_no_signature_fits_and_else_within_5_minutes() {
    let aws = Aws::answering([secret("first"), secret("second"), secret("third")]);
    let secrets = Secrets::new(&aws.connection().await, "arn:webhook", "arn:github");
    for (secs, freshness, expected) in [
        (0, Freshness::Usual, "first"),
        (29, Freshness::NoneFitted, "first"),
        (30, Freshness::Usual, "first"),
        (30, Freshness::NoneFitted, "second"),
        (329, Freshness::Usual, "second"),
        (330, Freshness::Usual, "third"),
    ] {
        let read = secrets.webhook_secrets(freshness, at(secs)).await.unwrap();
        assert_eq!(read[0].expose_secret(), expected, "after {secs} s, {freshness:?}");
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_again_is_believed_for_an_hour() {
    let aws = Aws::answering([secret("first")]);
    let secrets = Secrets::new(&aws.connection().await, "arn:webhook", "arn:github");
    for secs in [0, 3599] {
        let read = secrets.webhook_secrets(Freshness::Usual, at(secs)).await.unwrap();
        assert_eq!(read[0].expose_secret(), "first", "after {secs} s");
    }
    secrets.webhook_secrets(Freshness::Usual, at(3600)).await.unwrap_err();
}

#[tokio::test]
async fn a_secret_without_a_value_is_told_by_its_name() {
    let words = "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT";
    let aws = Aws::answering([(400, json!({"__type": "ResourceNotFoundException", "message": words}))]);
    let secrets = Secrets::new(&aws.connection().await, "arn:webhook", "arn:github");
    let error = secrets.github_credentials(at(0)).await.unwrap_err();
    assert_eq!(error.to_string(), "secret `arn:github` cannot be read");
    assert_eq!(error.disposition(), Disposition::Permanent);
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), format!("ResourceNotFoundException: {words}"));
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_told_without_the_secret_in_it() {
    let broken = || (200, json!({"SecretString": {"s3cret": 1}}));
    let aws = Aws::answering([broken(), broken(), broken()]);
    let secrets = Secrets::new(&aws.connection().await, "arn:webhook", "arn:github");
    let error = secrets.webhook_secrets(Freshness::Usual, at(0)).await.unwrap_err();
    let shown = format!("{error:?} {error}");
    assert!(!shown.contains("s3cret"), "{shown}");
}
