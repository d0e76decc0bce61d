//! Webhooks: first the signature over the raw body, then a tolerant reading of
//! `workflow_job`.
//!
//! A body is neither trusted nor parsed before its signature has been verified.

pub mod envelope;

use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use sha2::Sha256;
use std::sync::Arc;

use crate::id::{JobId, Repository, RunId};
use crate::rules::labels::Labels;
use crate::wire::event::{JobAction, JobEvent};
use crate::wire::job::{Conclusion, JobFacts, TakenBy};

/// The largest body accepted: in base64 it must fit into EventBridge's 1 MB.
pub const MAX_BODY_BYTES: usize = 700 * 1024;

/// A signature that matches no secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignatureError {
    #[error("no signature was sent: set a secret on the webhook")]
    Missing,
    /// It is not `sha256=` and 64 hexadecimal digits.
    #[error("the signature is not of the form sha256=<64 hexadecimal digits>")]
    Malformed,
    /// It was made for another body or with another secret.
    #[error("the signature matches no configured secret")]
    Wrong,
}

/// Checks `X-Hub-Signature-256` over the raw body against each of several
/// secrets, each in constant time.
///
/// # Errors
///
/// No secret matches.
pub fn verify<S: AsRef<[u8]>>(
    secrets: &[S],
    body: &[u8],
    signature: Option<&str>,
) -> Result<(), SignatureError> {
    let signature = signature.ok_or(SignatureError::Missing)?;
    let digest = signature.strip_prefix("sha256=").and_then(from_hex).ok_or(SignatureError::Malformed)?;
    // Every secret is tried, so that the time does not reveal which one matches.
    let fitting = secrets
        .iter()
        .filter(|secret| !secret.as_ref().is_empty())
        .filter(|secret| {
            Hmac::<Sha256>::new_from_slice(secret.as_ref())
                .is_ok_and(|mac| mac.chain_update(body).verify_slice(&digest).is_ok())
        })
        .count();
    if fitting > 0 { Ok(()) } else { Err(SignatureError::Wrong) }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |b: u8| char::from(b).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

/// The content of a webhook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Webhook {
    Job(JobEvent),
    Ping,
    /// An action of `workflow_job` that GitHub added later.
    OtherAction(Arc<str>),
    Other(Arc<str>),
}

/// A body that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Not JSON, or without a required field of `workflow_job`.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A malformed name or number.
    #[error(transparent)]
    Id(#[from] crate::id::ParseIdError),
    /// The payload of a webhook whose content type is a form.
    #[error("the payload is form-encoded: set the webhook's content type to application/json")]
    Form,
}

/// Reads a body whose signature is valid. `event` is `X-GitHub-Event`.
///
/// # Errors
///
/// The body of a `workflow_job` cannot be read.
pub fn read(event: &str, body: &[u8], received_at: Timestamp) -> Result<Webhook, BodyError> {
    match event {
        "ping" => Ok(Webhook::Ping),
        "workflow_job" if body.starts_with(b"payload=") => Err(BodyError::Form),
        "workflow_job" => {
            let payload: Payload = serde_json::from_slice(body)?;
            payload.into_webhook(received_at)
        }
        other => Ok(Webhook::Other(JobFacts::cut(other))),
    }
}

/// The fields of a `workflow_job` payload that are read. All but the ids and
/// the repository may be missing: GitHub's oldest samples lack them.
#[derive(Deserialize)]
struct Payload {
    action: String,
    workflow_job: PayloadJob,
    repository: PayloadRepository,
}

#[derive(Deserialize)]
struct PayloadJob {
    id: u64,
    run_id: u64,
    run_attempt: Option<u32>,
    name: Option<String>,
    workflow_name: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
    status: Option<String>,
    conclusion: Option<String>,
    created_at: Option<String>,
    started_at: Option<String>,
    completed_at: Option<String>,
    runner_name: Option<String>,
}

#[derive(Deserialize)]
struct PayloadRepository {
    full_name: String,
    private: Option<bool>,
}

impl Payload {
    fn into_webhook(self, received_at: Timestamp) -> Result<Webhook, BodyError> {
        let job = self.workflow_job;
        let runner = TakenBy::from_name(job.runner_name.as_deref());
        let action = match self.action.as_str() {
            // The queued payload of a job that needs an approval has that status.
            "queued" if job.status.as_deref() == Some("waiting") => JobAction::Waiting,
            "queued" => JobAction::Queued,
            "waiting" => JobAction::Waiting,
            "in_progress" => {
                JobAction::InProgress { runner, started_at: moment(job.started_at.as_deref(), received_at) }
            }
            "completed" => JobAction::Completed {
                runner,
                conclusion: Conclusion::parse(job.conclusion.as_deref().unwrap_or("unknown")),
                started_at: moment(job.started_at.as_deref(), received_at),
                completed_at: moment(job.completed_at.as_deref(), received_at),
            },
            other => return Ok(Webhook::OtherAction(JobFacts::cut(other))),
        };
        Ok(Webhook::Job(JobEvent {
            action,
            facts: Arc::new(JobFacts {
                id: JobId::new(job.id),
                run: RunId::new(job.run_id),
                attempt: job.run_attempt.unwrap_or(1),
                repository: Repository::parse(&self.repository.full_name)?,
                name: JobFacts::cut(job.name.as_deref().unwrap_or_default()),
                workflow: job.workflow_name.as_deref().map(JobFacts::cut),
                labels: Labels::of_job(&job.labels),
            }),
            private: self.repository.private,
            created_at: moment(job.created_at.as_deref(), received_at)
                .or_else(|| moment(job.started_at.as_deref(), received_at)),
            received_at,
        }))
    }
}

/// How far GitHub's clock may be ahead of ours.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Reads a time that GitHub gave. A time that cannot be read, or that is
/// [`AHEAD`] of ours, counts as missing.
fn moment(text: Option<&str>, received_at: Timestamp) -> Option<Timestamp> {
    let at: Timestamp = text?.parse().ok()?;
    (at >= Timestamp::UNIX_EPOCH && at.duration_since(received_at) < AHEAD).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "It's a Secret to Everybody";
    // GitHub's own example, from "Validating webhook deliveries".
    const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn githubs_own_example_of_a_signature_holds() {
        assert_eq!(verify(&[SECRET], b"Hello, World!", Some(SIGNATURE)), Ok(()));
    }

    #[test]
    fn any_of_several_secrets_will_do_and_an_empty_one_never_does() {
        assert_eq!(verify(&["other", SECRET], b"Hello, World!", Some(SIGNATURE)), Ok(()));
        assert_eq!(verify(&["other"], b"Hello, World!", Some(SIGNATURE)), Err(SignatureError::Wrong));
        assert_eq!(verify::<&str>(&[], b"Hello, World!", Some(SIGNATURE)), Err(SignatureError::Wrong));
        let empty = "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
        assert_eq!(verify(&[""], b"", Some(empty)), Err(SignatureError::Wrong));
    }

    #[test]
    fn a_changed_body_or_a_malformed_signature_is_refused() {
        assert_eq!(verify(&[SECRET], b"Hello, World?", Some(SIGNATURE)), Err(SignatureError::Wrong));
        assert_eq!(verify(&[SECRET], b"", None), Err(SignatureError::Missing));
        for malformed in
            ["", "sha1=00", "sha256=", &SIGNATURE[..70], "sha256=zz", &SIGNATURE.replace('7', "g")]
        {
            assert_eq!(
                verify(&[SECRET], b"Hello, World!", Some(malformed)),
                Err(SignatureError::Malformed),
                "{malformed}"
            );
        }
    }

    #[test]
    fn a_queued_job_that_waits_for_an_approval_is_waiting() {
        let body = br#"{"action":"queued","workflow_job":{"id":5000000001,"run_id":7,"status":"waiting",
            "labels":["Self-Hosted"]},"repository":{"full_name":"acme/app"}}"#;
        let Webhook::Job(event) = read("workflow_job", body, Timestamp::UNIX_EPOCH).unwrap() else {
            panic!("a job")
        };
        assert_eq!(event.action, JobAction::Waiting);
        assert_eq!(event.facts.id.get(), 5_000_000_001);
        assert_eq!(event.facts.attempt, 1);
    }

    #[test]
    fn what_is_not_json_or_not_a_job_is_told_apart() {
        let at = Timestamp::UNIX_EPOCH;
        assert!(read("workflow_job", b"{", at).is_err());
        assert!(matches!(read("workflow_job", b"payload=%7B", at), Err(BodyError::Form)));
        assert_eq!(read("ping", b"{", at).unwrap(), Webhook::Ping);
        assert!(matches!(read("push", b"", at), Ok(Webhook::Other(_))));
    }
}
