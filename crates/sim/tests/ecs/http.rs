//! The fake over HTTP, with the real clock.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use ecsrunner_sim::ecs::FakeEcs;
use ecsrunner_world::ecs::{CallFault, Durations, FaultAnswer, StopCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{options, request};

/// The limit of every wait, so that a missing event fails the test.
const LIMIT: Duration = Duration::from_secs(20);

struct Caller {
    fake: FakeEcs,
    client: reqwest::Client,
}

impl Caller {
    async fn start() -> Self {
        let mut options = options();
        options.durations = Durations::each(Duration::from_millis(5));
        let client = reqwest::Client::builder().timeout(LIMIT).no_proxy().build().unwrap();
        Self { fake: FakeEcs::start(options).await.unwrap(), client }
    }

    async fn send(&self, operation: &str, request: &Value) -> reqwest::Result<(u16, Value)> {
        let sent = self
            .client
            .post(self.fake.url())
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("AmazonEC2ContainerServiceV20141113.{operation}"))
            .body(request.to_string());
        let response = sent.send().await?;
        assert_eq!(response.headers()["content-type"], "application/x-amz-json-1.1");
        Ok((response.status().as_u16(), response.json().await?))
    }

    /// Calls the control API, with GET if there is no body.
    async fn sim(&self, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}/_sim/{path}", self.fake.url());
        let sent = match body {
            None => self.client.get(url),
            Some(body) => self.client.post(url).json(&body),
        };
        let response = sent.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Waits for an event with this status and returns it.
    async fn event(&self, status: &str) -> Value {
        let mut known = 0;
        loop {
            let path = format!("events?after={known}&wait_ms={}", LIMIT.as_millis());
            let (_, answer) = self.sim(&path, None).await;
            let events = answer["events"].as_array().unwrap();
            assert!(!events.is_empty(), "no {status} in time");
            if let Some(event) = events.iter().find(|event| event["detail"]["lastStatus"] == status) {
                return event.clone();
            }
            known += events.len();
        }
    }
}

#[tokio::test]
async fn a_task_lives_by_the_real_clock() {
    let caller = Caller::start().await;
    let (status, answer) = caller.send("RunTask", &request(json!({}))).await.unwrap();
    assert_eq!(status, 200);
    let arn = answer["tasks"][0]["taskArn"].as_str().unwrap();
    let id = arn.rsplit('/').next().unwrap();
    caller.event("RUNNING").await;
    let (_, alive) = caller.sim("tasks?alive=true", None).await;
    assert_eq!(alive["tasks"][0]["last_status"], "RUNNING");
    assert_eq!(caller.sim(&format!("tasks/{id}/exit"), Some(json!({"code": 3}))).await.0, 204);
    let stopped = caller.event("STOPPED").await;
    assert_eq!(stopped["detail"]["containers"][0]["exitCode"], 3);
    assert_eq!(caller.sim("tasks?alive=true", None).await.1, json!({"tasks": []}));
    assert_eq!(caller.sim(&format!("tasks/{id}/exit"), Some(json!({"code": 3}))).await.0, 409);
    assert_eq!(caller.sim("tasks/0/exit", Some(json!({"code": 3}))).await.0, 404);
    assert_eq!(caller.sim("calls", None).await.1, json!({"RunTask": 1}));
    caller.fake.shut_down().await.unwrap();
}

#[tokio::test]
async fn an_exception_has_its_type_and_its_status() {
    let caller = Caller::start().await;
    let (status, body) = caller.send("RunTask", &request(json!({"cluster": "x"}))).await.unwrap();
    assert_eq!(status, 400);
    assert_eq!(body, json!({"__type": "ClusterNotFoundException", "message": "Cluster not found."}));
    let unknown = caller.send("RegisterTaskDefinition", &json!({})).await.unwrap();
    assert_eq!((unknown.0, &unknown.1["__type"]), (400, &json!("UnknownOperationException")));
    let broken = caller.send("RunTask", &json!("not an object")).await.unwrap();
    assert_eq!((broken.0, &broken.1["__type"]), (400, &json!("SerializationException")));
    let fault = json!({"calls": [{
        "operation": "RunTask", "times": 1,
        "answer": {"error": {"code": "ServerException", "message": "Server Exception"}},
    }]});
    assert_eq!(caller.sim("faults", Some(fault)).await.0, 200);
    assert_eq!(caller.send("RunTask", &request(json!({}))).await.unwrap().0, 500);
    assert_eq!(caller.sim("faults", Some(json!({"unknown": 1}))).await.0, 422);
}

#[tokio::test]
async fn a_dropped_connection_may_have_started_the_task() {
    let caller = Caller::start().await;
    caller.fake.with(|ecs, _| {
        ecs.faults_mut().calls.push(CallFault::once_after_effect("RunTask", FaultAnswer::Lost));
    });
    let once = request(json!({"clientToken": "a"}));
    let error = caller.send("RunTask", &once).await.unwrap_err();
    assert!(error.status().is_none() && !error.is_timeout(), "{error:?}");
    assert_eq!(caller.fake.with(|ecs, _| ecs.alive()), 1);
    let (status, answer) = caller.send("RunTask", &once).await.unwrap();
    assert_eq!((status, answer["tasks"].as_array().unwrap().len()), (200, 1));
    assert_eq!(caller.fake.with(|ecs, _| ecs.tasks().count()), 1);
}

#[tokio::test]
async fn faults_and_interruptions_can_be_asked_for() {
    let caller = Caller::start().await;
    let short = json!({"short": [{"subnet": "subnet-a", "provider": "FARGATE", "arch": "x64"}]});
    assert_eq!(caller.sim("faults", Some(short)).await.0, 200);
    let (status, answer) = caller.send("RunTask", &request(json!({}))).await.unwrap();
    assert_eq!((status, &answer["tasks"]), (200, &json!([])));
    let (_, answer) = caller.send("RunTask", &request(super::spot())).await.unwrap();
    let id = answer["tasks"][0]["taskArn"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    caller.event("RUNNING").await;
    assert_eq!(caller.sim(&format!("tasks/{id}/interrupt"), Some(json!({}))).await.0, 204);
    caller.event("STOPPED").await;
    let stop_code = caller.fake.with(|ecs, _| ecs.task(&id).unwrap().stop_code);
    assert_eq!(stop_code, Some(StopCode::SpotInterruption));
    let failed = json!({"start": [{"reason": "CannotPullContainerError: x", "times": 1}], "short": []});
    assert_eq!(caller.sim("faults", Some(failed)).await.0, 200);
    let known = caller.fake.events_after(0).await.len();
    caller.send("RunTask", &request(json!({}))).await.unwrap();
    let mut events = Vec::new();
    while !events.iter().any(|event: &Value| event["detail"]["lastStatus"] == "STOPPED") {
        events.extend(caller.fake.events_after(known + events.len()).await);
    }
    assert_eq!(events.last().unwrap()["detail"]["stopCode"], "TaskFailedToStart");
}

#[tokio::test]
async fn events_are_posted_where_they_are_wanted() {
    let (sender, mut posted) = mpsc::unbounded_channel::<Value>();
    let receive = async |State(sender): State<mpsc::UnboundedSender<Value>>, axum::Json(event)| {
        sender.send(event).unwrap();
    };
    let router = Router::new().route("/events", post(receive)).with_state(sender);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let server = tokio::spawn(async { axum::serve(listener, router).await });
    let caller = Caller::start().await;
    assert_eq!(caller.sim("target", Some(json!({"url": url}))).await.0, 204);
    caller.send("RunTask", &request(json!({}))).await.unwrap();
    for expected in ["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING"] {
        let event = tokio::time::timeout(LIMIT, posted.recv()).await.unwrap().unwrap();
        assert_eq!(event["detail"]["lastStatus"], expected);
    }
    server.abort();
}
