//! Signed webhooks of jobs' states.

use ecsrunner_core::id::{DeliveryId, JobId};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::json;
use sha2::Sha256;

use super::HubJob;

/// The secret of the webhook.
pub const SECRET: &str = "the webhook's secret";

/// A delivery that GitHub made.
#[derive(Clone, Debug)]
pub struct HubDelivery {
    /// GitHub's number of the delivery.
    pub number: u64,
    /// `X-GitHub-Delivery`.
    pub id: DeliveryId,
    /// When it was made.
    pub at: Timestamp,
    /// The job of the event.
    pub job: JobId,
    /// `queued`, `in_progress` or `completed`.
    pub action: &'static str,
    /// The payload as JSON text.
    pub body: String,
}

/// Returns the signature of a body for `X-Hub-Signature-256`.
#[must_use]
pub fn sign(body: &str) -> String {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()) else { return String::new() };
    let digest = mac.chain_update(body).finalize().into_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

pub(super) fn body(job: &HubJob, action: &str) -> String {
    let (started_at, completed_at) = job.times();
    // GitHub uses whole seconds.
    let second = |at: Timestamp| format!("{at:.0}");
    json!({
        "action": action,
        "workflow_job": {
            "id": job.id.get(),
            "run_id": job.run.get(),
            "run_attempt": job.attempt,
            "name": job.name,
            "workflow_name": "CI",
            "labels": job.order.labels,
            "status": job.status(),
            "conclusion": job.conclusion(),
            "created_at": second(job.created_at),
            "started_at": started_at.map(second),
            "completed_at": completed_at.map(second),
            "runner_name": job.runner(),
        },
        "repository": {"full_name": job.order.repository.as_str(), "private": true},
    })
    .to_string()
}
