use ecsrunner_aws::secrets::{Freshness, SecretError, Secrets};
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
async fn a_secret_is_read_once_and_foreign_signatures_do_not_have_it_read_again_and_again() {
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
    assert!(matches!(error, SecretError::Absent { .. }), "{error:?}");
    assert_eq!(error.to_string(), "secret `arn:github` has no value, or does not exist");
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

#[cfg(feature = "operate")]
mod stored {
    use ecsrunner_aws::operate::{Content, OperateError, Operator};
    use secrecy::SecretString;

    use super::*;

    fn refusal(code: &str, words: &str) -> (u16, Value) {
        (400, json!({"__type": code, "message": words}))
    }

    #[tokio::test]
    async fn a_webhook_secret_becomes_the_first_and_the_others_stay() {
        for (before, after) in [
            (r#"["old", "older"]"#, Some(json!(["new", "old", "older"]))),
            (r#"{"secrets": ["old", "new"]}"#, Some(json!(["new", "old"]))),
            ("bare", Some(json!(["new", "bare"]))),
            (r#"["new", "old"]"#, None),
        ] {
            let aws = Aws::answering([secret(before), (200, json!({"ARN": "arn:webhook"}))]);
            let connection = aws.connection().await;
            let new = SecretString::from("new");
            Operator::new(&connection).store_webhook_secret("arn:webhook", &new).await.unwrap();
            let written = aws.requests().get(1).map(|(operation, request)| {
                assert_eq!(operation, "PutSecretValue");
                serde_json::from_str::<Value>(request["SecretString"].as_str().unwrap()).unwrap()
            });
            assert_eq!(written, after, "{before}");
        }
    }

    #[tokio::test]
    async fn a_list_that_cannot_be_read_is_not_replaced() {
        let aws = Aws::answering([secret("[1]")]);
        let connection = aws.connection().await;
        let new = SecretString::from("new");
        let error = Operator::new(&connection).store_webhook_secret("arn:webhook", &new).await.unwrap_err();
        assert!(matches!(error, OperateError::Form { .. }), "{error:?}");
        assert_eq!(aws.requests().len(), 1);
    }

    #[tokio::test]
    async fn a_secret_without_a_value_a_missing_one_and_a_deleted_one_are_told_apart() {
        let no_value = "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT";
        let missing = || refusal("ResourceNotFoundException", no_value);
        let read = async |answers: Vec<(u16, Value)>| {
            let aws = Aws::answering(answers);
            let connection = aws.connection().await;
            Operator::new(&connection).github_credentials("arn:github").await
        };
        let empty = read(vec![missing(), (200, json!({"ARN": "arn:github"}))]).await;
        assert!(matches!(empty, Ok(Content::Empty)), "{empty:?}");
        assert!(matches!(read(vec![missing(), missing()]).await, Err(OperateError::Missing(_))));
        let marked = (200, json!({"ARN": "arn:github", "DeletedDate": 1_764_000_000.0}));
        assert!(matches!(read(vec![missing(), marked]).await, Err(OperateError::Deleted(_))));
        let words = "You can't perform this operation on the secret because it was marked for deletion.";
        let deleted = read(vec![refusal("InvalidRequestException", words)]).await;
        assert!(matches!(deleted, Err(OperateError::Deleted(_))), "{deleted:?}");
    }
}
