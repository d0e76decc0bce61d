use std::collections::BTreeMap;
use std::time::Duration;

use ecsrunner_aws::queue::SqsQueue;
use ecsrunner_engine::ports::queue::Queue;
use serde_json::json;

use crate::aws::Aws;

const URL: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/kicks";

#[tokio::test]
async fn a_kick_is_posted_again_after_a_fault_and_each_call_is_counted() {
    let sent = json!({"MessageId": "1", "MD5OfMessageBody": "007df87aeebce022ec869941517e5ece"});
    let aws = Aws::answering([(500, json!({"__type": "InternalFailure"})), (200, sent)]);
    let connection = aws.connection().await;
    let posted = SqsQueue::new(&connection, URL).post_kick(Duration::from_millis(1500)).await;
    // The SDK checks the digest of the message's body.
    posted.unwrap_or_else(|error| panic!("{error:?}"));
    let requests = aws.requests();
    assert_eq!(requests.len(), 2);
    let body = json!({"QueueUrl": URL, "MessageBody": "{\"kick\":1}", "DelaySeconds": 2});
    assert_eq!(requests[1], ("SendMessage".to_owned(), body));
    assert_eq!(connection.calls().named(), BTreeMap::from([("sqs:SendMessage".to_owned(), 2)]));
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_told_in_awss_words() {
    let gone = json!({"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no such queue"});
    let aws = Aws::answering([(400, gone)]);
    let error = SqsQueue::new(&aws.connection().await, URL).post_kick(Duration::ZERO).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "QueueDoesNotExist: no such queue");
}
