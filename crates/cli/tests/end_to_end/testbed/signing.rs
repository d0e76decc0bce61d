//! Signed webhooks, as GitHub sends them.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{REPOSITORY, SECRET};

/// The value of `X-Hub-Signature-256`.
pub(crate) fn signature(body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

/// A `workflow_job` payload with only the fields that are read.
pub(crate) struct Payload(Value);

impl Payload {
    pub(crate) fn queued(job: u64, labels: &[&str]) -> Self {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Self(json!({
            "action": "queued",
            "workflow_job": {"id": job, "run_id": 7, "run_attempt": 1, "name": "build", "workflow_name": "CI",
                "labels": labels, "status": "queued", "conclusion": null, "created_at": now,
                "started_at": now, "completed_at": null, "runner_id": null, "runner_name": null},
            "repository": {"id": 1, "full_name": REPOSITORY, "private": true},
        }))
    }

    pub(crate) fn repository(mut self, name: &str, private: bool) -> Self {
        self.0["repository"] = json!({"id": 2, "full_name": name, "private": private});
        self
    }

    pub(crate) fn action(mut self, action: &str) -> Self {
        self.0["action"] = json!(action);
        self
    }
}

impl From<Payload> for Vec<u8> {
    fn from(payload: Payload) -> Self {
        payload.0.to_string().into_bytes()
    }
}
