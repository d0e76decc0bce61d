//! ECS's own protocol, AWS JSON 1.1: every call is a POST whose header names the operation.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State as Extract;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::Value;

use super::shared::Shared;
use ecsrunner_world::ecs::{Refusal, Reply};

const TARGET_PREFIX: &str = "AmazonEC2ContainerServiceV20141113.";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new().route("/", post(call)).with_state(shared)
}

async fn call(Extract(shared): Extract<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    match parse(&headers, &body) {
        Err(refusal) => respond(refusal.status(), &refusal.body()),
        Ok((operation, request)) => match shared.with(|ecs, now| ecs.handle(operation, &request, now)) {
            Reply::Answer(answer) => respond(200, &answer),
            Reply::Refusal(refusal) => respond(refusal.status(), &refusal.body()),
            Reply::Lost => drop_connection(),
        },
    }
}

fn parse<'a>(headers: &'a HeaderMap, body: &Bytes) -> Result<(&'a str, Value), Refusal> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some(operation) = text("x-amz-target").strip_prefix(TARGET_PREFIX) else {
        return Err(Refusal::new("UnknownOperationException", ""));
    };
    if text(header::CONTENT_TYPE.as_str()) != CONTENT_TYPE {
        return Err(Refusal::new("SerializationException", format!("{CONTENT_TYPE} is expected")));
    }
    let request = serde_json::from_slice(body);
    let request = request.map_err(|error| Refusal::new("SerializationException", error.to_string()))?;
    Ok((operation, request))
}

fn respond(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, body.to_string()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}

/// Returns a response whose body fails at once, so that the server closes the connection without an answer.
fn drop_connection() -> Response {
    let lost = io::Error::other("the answer is lost on purpose");
    Response::new(Body::from_stream(futures::stream::iter([Err::<Bytes, io::Error>(lost)])))
}
