//! The App's webhook deliveries: list, details and redelivery.

use axum::extract::{OriginalUri, Path, Query, State as Extract};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::reply::{Refusal, add_link, json as reply, per_page, with_parameter};
use super::{App, Parameters};
use crate::github::delivery::Delivery;
use crate::github::representation::seconds;

/// Lists deliveries, the newest first. A page starts below the id `cursor`.
pub(super) async fn list(
    Extract(shared): App,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    Query(parameters): Parameters,
) -> Result<Response, Refusal> {
    let state = shared.state();
    state.authorize_app(&headers)?;
    let before = match parameters.get("cursor") {
        None => u64::MAX,
        Some(cursor) => cursor
            .strip_prefix("v1_")
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "Invalid cursor"))?,
    };
    let wanted = |delivery: &Delivery| match parameters.get("status").map(String::as_str) {
        Some("success") => delivery.status == "OK",
        // GitHub's own filter omits deliveries that timed out.
        Some("failure") => delivery.status != "OK" && delivery.status != "timed out",
        _ => true,
    };
    let mut found: Vec<&Delivery> =
        state.deliveries.iter().filter(|one| one.outgoing.id < before && wanted(one)).collect();
    found.sort_by_key(|delivery| std::cmp::Reverse(delivery.outgoing.id));
    let per_page = per_page(&parameters);
    let more = found.len() > per_page;
    found.truncate(per_page);
    let items: Vec<Value> = found.iter().map(|delivery| Value::Object(item(delivery))).collect();
    let mut response = reply(StatusCode::OK, &Value::Array(items));
    if let Some(last) = found.last().filter(|_| more) {
        let next = with_parameter(&uri, "cursor", &format!("v1_{}", last.outgoing.id));
        add_link(&mut response, &[format!("<{}{next}>; rel=\"next\"", state.base)]);
    }
    Ok(response)
}

pub(super) async fn get(
    Extract(shared): App,
    headers: HeaderMap,
    Path(id): Path<u64>,
) -> Result<Response, Refusal> {
    let state = shared.state();
    state.authorize_app(&headers)?;
    let delivery =
        state.deliveries.iter().find(|delivery| delivery.outgoing.id == id).ok_or_else(Refusal::not_found)?;
    let mut body = item(delivery);
    let sent: Map<String, Value> =
        delivery.headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let payload: Value = serde_json::from_slice(&delivery.outgoing.body).unwrap_or_default();
    body.insert("url".into(), json!(state.hook.as_ref().map(|hook| &hook.url)));
    body.insert("request".into(), json!({"headers": sent, "payload": payload}));
    body.insert("response".into(), json!({"headers": {}, "payload": delivery.answer}));
    Ok(reply(StatusCode::OK, &Value::Object(body)))
}

pub(super) async fn redeliver(
    Extract(shared): App,
    headers: HeaderMap,
    Path(id): Path<u64>,
) -> Result<Response, Refusal> {
    let mut state = shared.state();
    state.authorize_app(&headers)?;
    if state.redeliver(id) { Ok(reply(StatusCode::ACCEPTED, &json!({}))) } else { Err(Refusal::not_found()) }
}

fn item(delivery: &Delivery) -> Map<String, Value> {
    let outgoing = &delivery.outgoing;
    let fields = [
        ("id", json!(outgoing.id)),
        ("guid", json!(outgoing.guid)),
        ("delivered_at", json!(seconds(delivery.delivered_at))),
        ("redelivery", json!(outgoing.redelivery)),
        ("duration", json!(delivery.duration.as_secs_f64())),
        ("status", json!(delivery.status)),
        ("status_code", json!(delivery.status_code)),
        ("event", json!(outgoing.event)),
        ("action", json!(outgoing.action)),
        ("installation_id", json!(outgoing.installation)),
        ("repository_id", json!(outgoing.repository)),
        ("throttled_at", Value::Null),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
