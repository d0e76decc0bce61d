//! Lambda's Runtime API, version 2018-06-01: sends events one by one and receives the answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Mutex, mpsc};

use crate::serve::Server;

/// The timeout of an event: the peer's own limit.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

const FUNCTION_ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:bench";

/// What the function did.
#[derive(Debug)]
pub(crate) enum Happened {
    /// It asked for an event.
    Asked,
    /// It received an event.
    Handed(Instant),
    Answered(Instant, Bytes),
    /// It reported an error, of an event or of its start.
    Failed(Bytes),
}

#[derive(Debug)]
pub(crate) struct RuntimeApi {
    server: Server,
    events: mpsc::Sender<String>,
    happened: mpsc::UnboundedReceiver<Happened>,
}

struct Desk {
    events: Mutex<mpsc::Receiver<String>>,
    happened: mpsc::UnboundedSender<Happened>,
    requests: AtomicU64,
}

impl Desk {
    fn tell(&self, what: Happened) {
        // The receiver is gone while the function is being ended.
        drop(self.happened.send(what));
    }
}

impl RuntimeApi {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let (events, queue) = mpsc::channel(1);
        let (sender, happened) = mpsc::unbounded_channel();
        let desk = Desk { events: Mutex::new(queue), happened: sender, requests: AtomicU64::new(0) };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(failure))
            .route("/2018-06-01/runtime/init/error", post(failure))
            .layer(DefaultBodyLimit::max(6 * 1024 * 1024))
            .with_state(Arc::new(desk));
        Ok(Self { server: Server::start(router, None).await?, events, happened })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(crate) async fn give(&self, event: &Value) -> anyhow::Result<()> {
        self.events.send(event.to_string()).await.context("the Runtime API has ended")
    }

    pub(crate) async fn happened(&mut self) -> anyhow::Result<Happened> {
        self.happened.recv().await.context("the Runtime API has ended")
    }
}

async fn next(State(desk): State<Arc<Desk>>) -> Response {
    desk.tell(Happened::Asked);
    let Some(event) = desk.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let number = desk.requests.fetch_add(1, Ordering::Relaxed);
    let deadline = Timestamp::now().as_millisecond() + i64::try_from(TIMEOUT.as_millis()).unwrap_or(i64::MAX);
    let headers = [
        ("lambda-runtime-aws-request-id", format!("00000000-0000-4000-8000-{number:012}")),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", FUNCTION_ARN.to_owned()),
        ("lambda-runtime-trace-id", format!("Root=1-00000000-{number:024};Sampled=0")),
        (header::CONTENT_TYPE.as_str(), "application/json".to_owned()),
    ];
    desk.tell(Happened::Handed(Instant::now()));
    (headers, event).into_response()
}

async fn response(State(desk): State<Arc<Desk>>, Path(_id): Path<String>, body: Bytes) -> Response {
    desk.tell(Happened::Answered(Instant::now(), body));
    accepted()
}

async fn failure(State(desk): State<Arc<Desk>>, body: Bytes) -> Response {
    desk.tell(Happened::Failed(body));
    accepted()
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], r#"{"status":"OK"}"#).into_response()
}
