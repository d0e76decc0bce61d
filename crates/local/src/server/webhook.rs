//! `POST /webhook`: records the same facts, reasons and counts as on AWS, and
//! sends the status at once.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ecsrunner_api::reason::{OutcomeKind, ReasonView};
use ecsrunner_core::id::DeliveryId;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::wire::webhook::MAX_BODY_BYTES;
use ecsrunner_engine::chain;
use ecsrunner_engine::intake::{Delivery, Receipt};
use serde::Serialize;
use tracing::error;

use super::App;

#[derive(Serialize)]
struct Answer<'a> {
    outcome: OutcomeKind,
    reason: ReasonView,
    delivery: &'a str,
}

pub(super) async fn receive(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // A sender chooses it, so a text that is no id is not repeated.
    let id = text("x-github-delivery").filter(|id| DeliveryId::parse(id).is_ok()).unwrap_or_default();
    let body = match body {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            app.engine.counts().add(Code::BodyTooLarge);
            let reason = Reason::with(Code::BodyTooLarge, MAX_BODY_BYTES);
            return answer(StatusCode::PAYLOAD_TOO_LARGE, OutcomeKind::Refused, &reason, id);
        }
        Err(rejection) => return rejection.into_response(),
    };
    let delivery = Delivery {
        event: text("x-github-event").unwrap_or_default(),
        id,
        signature: text("x-hub-signature-256"),
        content_type: text("content-type"),
        body: &body,
    };
    match app.engine.receive(delivery, &app.secrets).await {
        Ok(receipt) => {
            let (status, outcome) = match &receipt {
                Receipt::Understood(outcome) => (StatusCode::ACCEPTED, OutcomeKind::of(outcome)),
                Receipt::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, OutcomeKind::Refused),
                Receipt::Unsigned(_) => (StatusCode::UNAUTHORIZED, OutcomeKind::Refused),
                Receipt::Unreadable(_) => (StatusCode::BAD_REQUEST, OutcomeKind::Refused),
            };
            answer(status, outcome, receipt.reason(), id)
        }
        Err(fault) => {
            // GitHub shows the delivery as failed, and it can be redelivered.
            error!(delivery = id, error = %chain(&fault), "a webhook could not be recorded");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

fn answer(status: StatusCode, outcome: OutcomeKind, reason: &Reason, delivery: &str) -> Response {
    (status, Json(Answer { outcome, reason: ReasonView::of(reason), delivery })).into_response()
}
