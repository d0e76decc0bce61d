//! A client for AWS's APIs: plain HTTP with a signature that ministack does not check.

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::eventually;

pub(crate) const REGION: &str = "us-east-1";
pub(crate) const ACCOUNT: &str = "000000000000";
/// ministack takes twelve digits as an account id, and anything else as the account above.
pub(crate) const ACCESS_KEY: &str = "test";

/// A service that speaks AWS's JSON protocol.
#[derive(Clone, Copy)]
pub(crate) struct Service {
    name: &'static str,
    target: &'static str,
    version: &'static str,
}

const fn service(name: &'static str, target: &'static str, version: &'static str) -> Service {
    Service { name, target, version }
}

pub(crate) const DYNAMODB: Service = service("dynamodb", "DynamoDB_20120810", "1.0");
pub(crate) const EVENTS: Service = service("events", "AWSEvents", "1.1");
pub(crate) const LOGS: Service = service("logs", "Logs_20140328", "1.1");
pub(crate) const SECRETS: Service = service("secretsmanager", "secretsmanager", "1.1");
pub(crate) const SQS: Service = service("sqs", "AmazonSQS", "1.0");
pub(crate) const SSM: Service = service("ssm", "AmazonSSM", "1.1");

#[derive(Clone)]
pub(crate) struct Aws {
    url: String,
    http: reqwest::Client,
}

impl Aws {
    pub(crate) fn new(url: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(crate::LIMIT).build().unwrap();
        Self { url: url.to_owned(), http }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Calls an operation, which has to succeed.
    pub(crate) async fn call(&self, service: Service, operation: &str, input: Value) -> Value {
        let request = signed(self.http.post(&self.url), service.name)
            .header("content-type", format!("application/x-amz-json-{}", service.version))
            .header("x-amz-target", format!("{}.{operation}", service.target))
            .body(input.to_string());
        succeeded(operation, request).await.1
    }

    /// Sends a request to Lambda's API, which has to succeed.
    pub(crate) async fn lambda(&self, method: Method, path: &str, input: Value) -> Value {
        let request = signed(self.http.request(method, format!("{}{path}", self.url)), "lambda").json(&input);
        succeeded(path, request).await.1
    }

    /// Invokes a function, waits, and returns its answer or its error.
    pub(crate) async fn invoke(&self, function: &str, payload: &Value) -> Result<Value, Value> {
        let (response, answer) = self.invocation(function, "RequestResponse", payload).await;
        if response.contains_key("x-amz-function-error") { Err(answer) } else { Ok(answer) }
    }

    /// Invokes a function as EventBridge does: asynchronously, with retries after a failure.
    pub(crate) async fn invoke_later(&self, function: &str, payload: &Value) {
        self.invocation(function, "Event", payload).await;
    }

    async fn invocation(
        &self,
        function: &str,
        kind: &str,
        payload: &Value,
    ) -> (reqwest::header::HeaderMap, Value) {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let request = signed(self.http.post(format!("{}{path}", self.url)), "lambda")
            .header("x-amz-invocation-type", kind)
            .json(payload);
        succeeded(&path, request).await
    }

    /// Sends messages that arrive in one batch.
    pub(crate) async fn send_messages(&self, queue_url: &str, bodies: &[&str]) {
        let entry = |(id, body): (usize, &&str)| json!({"Id": id.to_string(), "MessageBody": body});
        let entries: Vec<Value> = bodies.iter().enumerate().map(entry).collect();
        self.call(SQS, "SendMessageBatch", json!({"QueueUrl": queue_url, "Entries": entries})).await;
    }

    /// Returns how many messages of a queue are available or in flight.
    pub(crate) async fn count_messages(&self, queue_url: &str) -> usize {
        let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let input = json!({"QueueUrl": queue_url, "AttributeNames": names});
        let got = self.call(SQS, "GetQueueAttributes", input).await;
        let count = |name: &&str| got["Attributes"][*name].as_str().unwrap().parse::<usize>().unwrap();
        names.iter().map(count).sum()
    }

    /// Waits until a queue has `count` messages, then takes them and returns their
    /// bodies. ministack can lose a message that is sent during a receive.
    pub(crate) async fn take_when(&self, queue_url: &str, count: usize) -> Vec<String> {
        eventually("messages in a queue", async || {
            (self.count_messages(queue_url).await >= count).then_some(())
        })
        .await;
        self.take_messages(queue_url).await
    }

    /// Takes up to ten messages off a queue and returns their bodies.
    pub(crate) async fn take_messages(&self, queue_url: &str) -> Vec<String> {
        let input = json!({"QueueUrl": queue_url, "MaxNumberOfMessages": 10});
        let received = self.call(SQS, "ReceiveMessage", input).await;
        let messages = received["Messages"].as_array().cloned().unwrap_or_default();
        for message in &messages {
            let handle = json!({"QueueUrl": queue_url, "ReceiptHandle": message["ReceiptHandle"]});
            self.call(SQS, "DeleteMessage", handle).await;
        }
        messages.iter().map(|message| message["Body"].as_str().unwrap().to_owned()).collect()
    }
}

/// ministack reads the Region and the service from it.
fn signed(request: RequestBuilder, service: &str) -> RequestBuilder {
    let scope = format!("{ACCESS_KEY}/20260101/{REGION}/{service}/aws4_request");
    let signature = "0".repeat(64);
    let header =
        format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature={signature}");
    request.header("authorization", header).header("x-amz-date", "20260101T000000Z")
}

async fn succeeded(what: &str, request: RequestBuilder) -> (reqwest::header::HeaderMap, Value) {
    let response: Response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "{what}: {status} {text}");
    (headers, serde_json::from_str(&text).unwrap_or(Value::Null))
}
