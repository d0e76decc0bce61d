//! Receives a webhook: checks its signature, parses it, records it.

use ecsrunner_core::decide::record::Outcome;
use ecsrunner_core::id::DeliveryId;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::wire::event::{Event, JobEvent};
use ecsrunner_core::wire::webhook::envelope::Envelope;
use ecsrunner_core::wire::webhook::{MAX_BODY_BYTES, Webhook, read, verify};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tracing::{info, warn};

use crate::ports::Clock;
use crate::ports::store::{Store, StoreError, Unreadable};
use crate::{Engine, World};

/// A webhook request with GitHub's headers.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// `X-GitHub-Event`
    pub event: &'a str,
    /// `X-GitHub-Delivery`
    pub id: &'a str,
    /// `X-Hub-Signature-256`
    pub signature: Option<&'a str>,
    /// `Content-Type`
    pub content_type: Option<&'a str>,
    pub body: &'a [u8],
}

impl<'a> From<&'a Envelope> for Delivery<'a> {
    fn from(envelope: &'a Envelope) -> Self {
        Self {
            event: &envelope.event,
            id: &envelope.delivery,
            signature: envelope.signature.as_deref(),
            content_type: envelope.content_type.as_deref(),
            body: &envelope.body,
        }
    }
}

impl Delivery<'_> {
    /// Returns whether the signature is valid under one of these secrets.
    #[must_use]
    pub fn is_signed(&self, secrets: &[SecretString]) -> bool {
        let secrets: Vec<&[u8]> = secrets.iter().map(|secret| secret.expose_secret().as_bytes()).collect();
        verify(&secrets, self.body, self.signature).is_ok()
    }

    /// Parses the webhook. It does not check the signature: see [`Self::is_signed`].
    ///
    /// # Errors
    ///
    /// The content type is not JSON, or the body cannot be parsed.
    pub fn read(&self, received_at: Timestamp) -> Result<Webhook, Reason> {
        if let Some(other) = self.content_type.filter(|content_type| !is_json(content_type)) {
            return Err(Reason::with(Code::ContentType, other));
        }
        read(self.event, self.body, received_at).map_err(|error| Reason::with(Code::BodyUnreadable, error))
    }
}

/// Returns the job event that a webhook contains.
///
/// # Errors
///
/// The webhook contains no job event; the error is its outcome.
pub fn event_of(webhook: Webhook) -> Result<JobEvent, Outcome> {
    match webhook {
        Webhook::Job(event) => Ok(event),
        Webhook::Ping => Err(Outcome::Accepted(Code::Ping.into())),
        Webhook::Other(event) => Err(Outcome::Ignored(Reason::with(Code::OtherEvent, event))),
        Webhook::OtherAction(action) => {
            Err(Outcome::Ignored(Reason::with(Code::OtherEvent, format_args!("workflow_job.{action}"))))
        }
    }
}

/// The result of receiving a webhook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Receipt {
    Understood(Outcome),
    /// The body is larger than a webhook can be.
    TooLarge(Reason),
    /// The signature is not valid; the body was not parsed.
    Unsigned(Reason),
    /// The signature is valid, but the webhook cannot be parsed. A broken body was kept.
    Unreadable(Reason),
}

impl Receipt {
    #[must_use]
    pub fn reason(&self) -> &Reason {
        match self {
            Self::Understood(outcome) => outcome.reason(),
            Self::TooLarge(reason) | Self::Unsigned(reason) | Self::Unreadable(reason) => reason,
        }
    }
}

impl<W: World> Engine<W> {
    /// Receives a webhook and records it before returning.
    ///
    /// # Errors
    ///
    /// The store is unavailable, and the sender has to deliver the webhook again.
    pub async fn receive(
        &self,
        delivery: Delivery<'_>,
        secrets: &[SecretString],
    ) -> Result<Receipt, StoreError> {
        let receipt = self.take_in(delivery, secrets).await?;
        let code = receipt.reason().code();
        // Only an id in GitHub's form is logged: the sender of an unsigned request can choose any text.
        let id = DeliveryId::parse(delivery.id).ok();
        let id = id.as_ref().map(DeliveryId::as_str);
        self.counts.add(code);
        self.metrics.received(&receipt);
        match &receipt {
            Receipt::Understood(outcome) => {
                info!(delivery = id, outcome = outcome.as_str(), reason = code.as_str(), "received webhook");
            }
            Receipt::TooLarge(_) | Receipt::Unsigned(_) | Receipt::Unreadable(_) => {
                let now = self.ports.clock.now();
                let admitted = self.refusals.as_ref().map_or(Some(0), |it| it.admit(code.as_str(), now));
                if let Some(left_out) = admitted {
                    let left_out = (left_out > 0).then_some(left_out);
                    warn!(delivery = id, reason = code.as_str(), left_out, "refused webhook");
                }
            }
        }
        Ok(receipt)
    }

    async fn take_in(&self, delivery: Delivery<'_>, secrets: &[SecretString]) -> Result<Receipt, StoreError> {
        if delivery.body.len() > MAX_BODY_BYTES {
            return Ok(Receipt::TooLarge(Reason::with(Code::BodyTooLarge, MAX_BODY_BYTES)));
        }
        if !delivery.is_signed(secrets) {
            return Ok(Receipt::Unsigned(Code::SignatureInvalid.into()));
        }
        let received_at = self.ports.clock.now();
        let webhook = match delivery.read(received_at) {
            Ok(webhook) => webhook,
            Err(reason) => {
                // Keep a broken body. With another content type, GitHub can redeliver the webhook.
                if reason.code() == Code::BodyUnreadable {
                    let kept = Unreadable {
                        what: "webhook",
                        id: delivery.id,
                        content: delivery.body,
                        reason: &reason,
                        at: received_at,
                    };
                    self.ports.store.set_aside(kept).await?;
                }
                return Ok(Receipt::Unreadable(reason));
            }
        };
        let outcome = match event_of(webhook) {
            Ok(event) => {
                let id = DeliveryId::parse(delivery.id).ok();
                self.record_delivery(&Event::Job(event), id.as_ref()).await?.outcome
            }
            Err(outcome) => outcome,
        };
        Ok(Receipt::Understood(outcome))
    }
}

fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}
