//! A webhook comes in: signature, reading, record.

use ecsrunner_core::event::Event;
use ecsrunner_core::id::DeliveryId;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::record::Outcome;
use ecsrunner_core::webhook::{MAX_BODY_BYTES, Webhook, read, verify};
use secrecy::{ExposeSecret, SecretString};
use tracing::{info, warn};

use crate::ports::Clock;
use crate::ports::store::{Store, StoreError, Unreadable};
use crate::{Engine, World};

/// A webhook as it came, with GitHub's headers.
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
    /// The raw body.
    pub body: &'a [u8],
}

impl Delivery<'_> {
    /// Whether its signature fits one of these secrets.
    #[must_use]
    pub fn is_signed(&self, secrets: &[SecretString]) -> bool {
        let secrets: Vec<&[u8]> = secrets.iter().map(|secret| secret.expose_secret().as_bytes()).collect();
        verify(&secrets, self.body, self.signature).is_ok()
    }
}

/// What became of a webhook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Receipt {
    /// It was understood.
    Understood(Outcome),
    /// It is too large to be one.
    TooLarge(Reason),
    /// Its signature does not hold: nothing of it was read.
    Unsigned(Reason),
    /// Its signature holds and it cannot be read: a broken body was kept.
    Unreadable(Reason),
}

impl Receipt {
    /// The reason.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        match self {
            Self::Understood(outcome) => outcome.reason(),
            Self::TooLarge(reason) | Self::Unsigned(reason) | Self::Unreadable(reason) => reason,
        }
    }
}

impl<W: World> Engine<W> {
    /// Takes a webhook in: when this returns, it is recorded.
    ///
    /// # Errors
    ///
    /// The store is out of reach: the sender is to deliver it again.
    pub async fn receive(
        &self,
        delivery: Delivery<'_>,
        secrets: &[SecretString],
    ) -> Result<Receipt, StoreError> {
        let receipt = self.take_in(delivery, secrets).await?;
        let code = receipt.reason().code();
        self.counts.add(code);
        self.metrics.received(&receipt);
        match &receipt {
            Receipt::Understood(outcome) => {
                info!(
                    delivery = delivery.id,
                    outcome = outcome.as_str(),
                    reason = code.as_str(),
                    "received webhook"
                );
            }
            Receipt::TooLarge(_) | Receipt::Unsigned(_) | Receipt::Unreadable(_) => {
                warn!(delivery = delivery.id, reason = code.as_str(), "refused webhook");
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
        if let Some(other) = delivery.content_type.filter(|content_type| !is_json(content_type)) {
            return Ok(Receipt::Unreadable(Reason::with(Code::ContentType, other)));
        }
        let received_at = self.ports.clock.now();
        let outcome = match read(delivery.event, delivery.body, received_at) {
            Err(error) => {
                let reason = Reason::with(Code::BodyUnreadable, error);
                let kept = Unreadable {
                    what: "webhook",
                    id: delivery.id,
                    content: delivery.body,
                    reason: &reason,
                    at: received_at,
                };
                self.ports.store.set_aside(kept).await?;
                return Ok(Receipt::Unreadable(reason));
            }
            Ok(Webhook::Ping) => Outcome::Accepted(Code::Ping.into()),
            Ok(Webhook::Other(event)) => Outcome::Ignored(Reason::with(Code::OtherEvent, event)),
            Ok(Webhook::OtherAction(action)) => {
                Outcome::Ignored(Reason::with(Code::OtherEvent, format_args!("workflow_job.{action}")))
            }
            Ok(Webhook::Job(event)) => {
                let id = DeliveryId::parse(delivery.id).ok();
                self.record_delivery(&Event::Job(event), id.as_ref()).await?.outcome
            }
        };
        Ok(Receipt::Understood(outcome))
    }
}

fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}
