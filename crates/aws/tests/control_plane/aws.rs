//! A stand-in for AWS: it gives scripted answers in order and records the requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use ecsrunner_aws::connection::{Connection, Environment};
use serde_json::{Value, json};

#[derive(Clone, Default)]
pub(crate) struct Aws(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    answers: VecDeque<(u16, Value)>,
    requests: Vec<(String, Value)>,
}

impl Aws {
    /// A stand-in that gives these answers, then errors.
    pub(crate) fn answering(answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        let script = Script { answers: answers.into_iter().collect(), requests: Vec::new() };
        Self(Arc::new(Mutex::new(script)))
    }

    pub(crate) fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }

    /// Listens on a free port and connects to it.
    pub(crate) async fn connection(&self) -> Connection {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = self.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        connection(&[("AWS_ENDPOINT_URL", &url)])
    }

    /// The requests in order: each operation with its body.
    pub(crate) fn requests(&self) -> Vec<(String, Value)> {
        self.0.lock().unwrap().requests.clone()
    }
}

/// A connection with these variables and an invalid access key.
pub(crate) fn connection(variables: &[(&str, &str)]) -> Connection {
    let key =
        [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "s3cret")];
    let lookup = |name: &str| {
        let mut all = key.iter().chain(variables);
        all.find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    Connection::new(Environment::read(lookup).unwrap()).unwrap()
}

async fn answer(State(aws): State<Aws>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let target = headers.get("x-amz-target").unwrap().to_str().unwrap();
    let operation = target.rsplit('.').next().unwrap().to_owned();
    let mut script = aws.0.lock().unwrap();
    script.requests.push((operation, serde_json::from_slice(&body).unwrap()));
    let unscripted = (400, json!({"__type": "Unscripted", "message": "no answer is left"}));
    let (status, answer) = script.answers.pop_front().unwrap_or(unscripted);
    (StatusCode::from_u16(status).unwrap(), answer.to_string())
}
