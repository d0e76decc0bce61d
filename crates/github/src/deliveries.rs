//! The App's webhook deliveries that GitHub made or attempted.

use ecsrunner_core::id::DeliveryId;
use ecsrunner_engine::ports::github::{DeliveredWebhook, DeliveryPage, PastDelivery};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::client::Client;
use crate::http::Call;
use crate::reply::Fault;

const PAGE: usize = 100;
const DELIVERIES: &str = "app/hook/deliveries";
/// The subject of the calls. An App has one webhook.
const SUBJECT: &str = "the App's webhook";

/// Lists a page of deliveries, the latest first; `None` with a token. An App
/// without a webhook has none: a 404 counts as that if GitHub knows the App.
pub(crate) async fn page(client: &Client, cursor: Option<&str>) -> Result<Option<DeliveryPage>, Fault> {
    let mut call = list().query("per_page", PAGE);
    if let Some(cursor) = cursor {
        call = call.query("cursor", cursor);
    }
    let Some(reply) = client.ask_as_app(&call).await? else { return Ok(None) };
    if reply.status() == 404 && cursor.is_none() {
        let control = client.ask_as_app(&Call::get("get-app", "the App", "app".to_owned())).await?;
        if control.is_some_and(|control| control.status() == 200) {
            return Ok(Some(DeliveryPage { deliveries: Vec::new(), next: None }));
        }
    }
    let listed: Vec<Listed> = reply.json()?;
    let count = listed.len();
    let deliveries: Vec<PastDelivery> = listed.into_iter().filter_map(Listed::past).collect();
    if deliveries.len() < count {
        tracing::warn!(
            count = count - deliveries.len(),
            "webhook deliveries without a GUID or a time are skipped"
        );
    }
    Ok(Some(DeliveryPage { deliveries, next: reply.next_page("cursor") }))
}

/// Returns a delivery's payload; `None` with a token, or if GitHub no longer
/// keeps it. A 404 counts only if deliveries can be listed.
pub(crate) async fn one(client: &Client, number: u64) -> Result<Option<DeliveredWebhook>, Fault> {
    let call = Call::get("get-delivery", number, format!("{DELIVERIES}/{number}"));
    let Some(reply) = client.ask_as_app(&call).await? else { return Ok(None) };
    if reply.status() != 404 {
        return Ok(reply.json::<Kept>()?.webhook());
    }
    match client.ask_as_app(&list().query("per_page", 1)).await? {
        None => Ok(None),
        Some(control) => control.json::<Vec<Listed>>().map(|_| None),
    }
}

fn list() -> Call {
    Call::get("list-deliveries", SUBJECT, DELIVERIES.to_owned())
}

#[derive(Deserialize)]
struct Listed {
    id: u64,
    guid: String,
    delivered_at: String,
    event: String,
    action: Option<String>,
    repository_id: Option<u64>,
    status: String,
}

impl Listed {
    fn past(self) -> Option<PastDelivery> {
        Some(PastDelivery {
            number: self.id,
            id: DeliveryId::parse(&self.guid).ok()?,
            delivered_at: self.delivered_at.parse().ok()?,
            event: self.event,
            action: self.action,
            repository: self.repository_id,
            status: self.status,
        })
    }
}

#[derive(Deserialize)]
struct Kept {
    event: String,
    request: KeptRequest,
}

#[derive(Deserialize)]
struct KeptRequest {
    payload: Option<Map<String, Value>>,
}

impl Kept {
    fn webhook(self) -> Option<DeliveredWebhook> {
        let body = Value::Object(self.request.payload?).to_string();
        Some(DeliveredWebhook { event: self.event, body })
    }
}
