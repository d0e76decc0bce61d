//! Answers and errors of the services.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

pub(in crate::github) const BROKER: &str = "actions-broker-listener";
pub(in crate::github) const RUN_SERVICE: &str = "actions-run-service";

/// Returns JSON with the content type that runners require.
pub(super) fn json(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// An error in the broker's and the run service's format.
#[derive(Debug)]
pub(super) struct ServiceError {
    source: String,
    status: StatusCode,
    kind: Option<String>,
    message: String,
}

impl ServiceError {
    pub(super) fn new(source: &str, status: StatusCode, kind: Option<&str>, message: &str) -> Self {
        Self { source: source.to_owned(), status, kind: kind.map(str::to_owned), message: message.to_owned() }
    }

    pub(super) fn broker(status: StatusCode, kind: &str, message: &str) -> Self {
        Self::new(BROKER, status, Some(kind), message)
    }

    pub(super) fn run(status: StatusCode, message: &str) -> Self {
        Self::new(RUN_SERVICE, status, None, message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(BROKER, StatusCode::UNAUTHORIZED, None, "The token is missing, unknown or expired")
    }
}

impl IntoResponse for ServiceError {
    fn into_response(self) -> Response {
        let mut body = json!({
            "source": self.source,
            "statusCode": self.status.as_u16(),
            "errorMessage": self.message,
        });
        if let Some(kind) = self.kind {
            body["errorKind"] = kind.into();
        }
        json(self.status, &body)
    }
}
