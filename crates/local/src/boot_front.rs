//! The only access to the embedded DynamoDB from outside this process. Each task
//! has its own access key, and may only take its own boot item.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ecsrunner_aws::store::{Answer, Transport};
use ecsrunner_core::id::TaskName;
use ecsrunner_core::wire::boot::attribute;
use ecsrunner_engine::seldom::Seldom;
use ecsrunner_web::limit_time;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::Value;
use sha2::Sha256;
use tracing::warn;

use crate::embedded::Embedded;
use crate::task::TaskDir;

/// Derives and checks the tasks' access keys. They are not stored, so they stay
/// valid when the server restarts.
#[derive(Clone, Debug)]
pub(crate) struct AccessKeys(Arc<[u8; 32]>);

impl AccessKeys {
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        Self(Arc::new(secret))
    }

    /// Returns the access key id and secret access key of a boot item's owner.
    pub(crate) fn of(&self, owner: &str) -> (String, String) {
        let id = BASE64_URL_SAFE_NO_PAD.encode(self.mac("id", owner).finalize().into_bytes());
        let secret = BASE64_URL_SAFE_NO_PAD.encode(self.mac("secret", owner).finalize().into_bytes());
        (id, secret)
    }

    fn is_of(&self, access_key_id: &str, owner: &str) -> bool {
        BASE64_URL_SAFE_NO_PAD
            .decode(access_key_id)
            .is_ok_and(|id| self.mac("id", owner).verify_slice(&id).is_ok())
    }

    fn mac(&self, purpose: &str, owner: &str) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mac = Hmac::<Sha256>::new_from_slice(self.0.as_ref()).expect("a key of 32 bytes");
        mac.chain_update(purpose).chain_update([0]).chain_update(owner)
    }
}

/// How long a warm task's request waits for its item. An agent waits five seconds for an answer.
const HOLD: Duration = Duration::from_secs(2);
/// A request for a boot item has less than 2 KB.
const MAX_BODY_BYTES: usize = 8 * 1024;

#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) database: Embedded,
    pub(crate) keys: AccessKeys,
    pub(crate) boot_table: String,
    /// `127.0.0.1:port`. A web page that reaches this port by DNS rebinding names
    /// another host.
    pub(crate) host: String,
    /// The directory of the tasks.
    pub(crate) tasks: PathBuf,
}

pub(crate) fn router(front: Front) -> Router {
    Router::new()
        .route("/", post(take))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(limit_time))
        .with_state(Arc::new((front, Seldom::default())))
}

async fn take(State(state): State<Arc<(Front, Seldom)>>, headers: HeaderMap, body: Bytes) -> Response {
    let (front, refusals) = &*state;
    if let Err(why) = front.check(&headers, &body) {
        if let Some(left_out) = refusals.admit(why, Timestamp::now()) {
            let left_out = (left_out > 0).then_some(left_out);
            warn!(reason = why, left_out, "refused a request for a boot item");
        }
        let error = serde_json::json!({
            "__type": "com.amazonaws.dynamodb.v20120810#AccessDeniedException",
            "message": why,
        });
        return (StatusCode::BAD_REQUEST, error.to_string()).into_response();
    }
    let answer = if front.is_warm(&body) {
        front.take_when_there(&body).await
    } else {
        front.database.call("DeleteItem", &body).await
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], answer.body).into_response()
}

impl Front {
    /// Whether a warm task asks, which asks for hours.
    fn is_warm(&self, body: &[u8]) -> bool {
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let owner = request["Key"][attribute::OWNER]["S"].as_str().unwrap_or_default();
        let Some((_, task)) = owner.split_once(':') else { return false };
        let description = TaskDir::at(self.tasks.join(task)).description();
        description.is_ok_and(|description| matches!(description.name, TaskName::Warm(_)))
    }

    /// Answers when the item is there, or after [`HOLD`]. So the task has it within milliseconds, and asks seldom.
    async fn take_when_there(&self, body: &[u8]) -> Answer {
        let until = tokio::time::Instant::now() + HOLD;
        loop {
            let mut committed = std::pin::pin!(self.database.next_commit());
            // From here on, no commit is missed.
            committed.as_mut().enable();
            let answer = self.database.call("DeleteItem", body).await;
            let is_there = serde_json::from_slice::<Value>(&answer.body)
                .is_ok_and(|answered| !answered["Attributes"].is_null());
            if is_there || answer.status != 200 || tokio::time::timeout_at(until, committed).await.is_err() {
                return answer;
            }
        }
    }

    fn check(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), &'static str> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if headers.contains_key(header::ORIGIN) {
            return Err("requests from web pages are refused");
        }
        if text("host") != Some(&self.host) {
            return Err("the host is not that of this endpoint");
        }
        if text("x-amz-target") != Some("DynamoDB_20120810.DeleteItem") {
            return Err("a task may only call DeleteItem");
        }
        let request: Value = serde_json::from_slice(body).map_err(|_| "the request is not JSON")?;
        let table = request.get("TableName").and_then(Value::as_str);
        let owner = request
            .get("Key")
            .and_then(|key| key.get(attribute::OWNER))
            .and_then(|owner| owner.get("S"))
            .and_then(Value::as_str);
        let (Some(table), Some(owner)) = (table, owner) else {
            return Err("table and key are expected");
        };
        let access_key_id = text("authorization")
            .and_then(|value| value.split_once("Credential="))
            .and_then(|(_, rest)| rest.split('/').next())
            .ok_or("no access key was sent")?;
        if table != self.boot_table || !self.keys.is_of(access_key_id, owner) {
            return Err("a task may only take its own boot item");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut HeaderMap, &mut Value)) -> Result<(), &'static str> {
        let dir = tempfile::tempdir().unwrap();
        let front = Front {
            database: Embedded::open(&dir.path().join("db")).unwrap(),
            keys: AccessKeys::new([7; 32]),
            boot_table: "ecsrunner-x-boot".to_owned(),
            host: "127.0.0.1:9".to_owned(),
            tasks: dir.path().to_owned(),
        };
        let (id, _) = front.keys.of("local:1");
        let mut headers = HeaderMap::new();
        headers.insert("host", "127.0.0.1:9".parse().unwrap());
        headers.insert("x-amz-target", "DynamoDB_20120810.DeleteItem".parse().unwrap());
        let credential = format!("AWS4-HMAC-SHA256 Credential={id}/20261123/local/dynamodb/aws4_request");
        headers.insert("authorization", credential.parse().unwrap());
        let mut body =
            serde_json::json!({"TableName": "ecsrunner-x-boot", "Key": {"owner": {"S": "local:1"}}});
        change(&mut headers, &mut body);
        front.check(&headers, body.to_string().as_bytes())
    }

    #[test]
    fn a_task_may_take_its_own_boot_item() {
        assert_eq!(check(|_, _| ()), Ok(()));
    }

    #[test]
    fn a_task_may_do_nothing_else() {
        assert!(check(|_, body| body["Key"]["owner"]["S"] = "local:2".into()).is_err());
        assert!(check(|_, body| body["TableName"] = "ecsrunner-x-state".into()).is_err());
        for target in ["DynamoDB_20120810.Scan", "DynamoDB_20120810.PutItem", "DynamoDB_20120810.GetItem"] {
            let target = target.parse().unwrap();
            assert!(check(|headers, _| drop(headers.insert("x-amz-target", target))).is_err());
        }
        assert!(check(|headers, _| drop(headers.remove("authorization"))).is_err());
    }

    #[test]
    fn web_pages_are_refused_also_when_dns_leads_them_here() {
        assert!(check(|h, _| drop(h.insert("origin", "http://evil.example".parse().unwrap()))).is_err());
        assert!(check(|h, _| drop(h.insert("host", "evil.example:9".parse().unwrap()))).is_err());
    }
}
