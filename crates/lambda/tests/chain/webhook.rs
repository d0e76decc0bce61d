//! Webhooks that the fake GitHub does not send.

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

/// A webhook's headers and raw body.
pub(crate) struct Webhook {
    pub(crate) event: &'static str,
    pub(crate) delivery: String,
    pub(crate) signature: String,
    pub(crate) body: Vec<u8>,
}

impl Webhook {
    pub(crate) fn signed(secret: &str, event: &'static str, body: Vec<u8>) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signature = hmac::sign(&key, &body);
        Self { event, delivery: guid(), signature: format!("sha256={}", hex(signature.as_ref())), body }
    }

    /// Posts the webhook to the template's server, which stands in for API Gateway.
    pub(crate) async fn post(&self, url: &str) {
        let (status, text) = self.send(url).await;
        assert!((200..300).contains(&status), "{}: {status} {text}", self.event);
    }

    /// Posts the webhook, and returns the answer's status and text.
    pub(crate) async fn send(&self, url: &str) -> (u16, String) {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = http
            .post(url)
            .header("content-type", "application/json")
            .header("x-github-event", self.event)
            .header("x-github-delivery", &self.delivery)
            .header("x-hub-signature-256", &self.signature)
            .body(self.body.clone());
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Returns the event that the template makes of the webhook.
    pub(crate) fn published(&self) -> Value {
        let encoded = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        json!({
            "source": "ecsrunner.webhook",
            "detail-type": self.event,
            "detail": {
                "v": 1,
                "action": "other",
                "event": encoded(self.event.as_bytes()),
                "delivery": encoded(self.delivery.as_bytes()),
                "signature": encoded(self.signature.as_bytes()),
                "content_type": encoded(b"application/json"),
                "body": encoded(&self.body),
            },
        })
    }
}

/// Makes a unique secret or part of an id.
pub(crate) fn random_hex(bytes: usize) -> String {
    let mut random = vec![0; bytes];
    aws_lc_rs::rand::fill(&mut random).unwrap();
    hex(&random)
}

fn guid() -> String {
    let text = random_hex(16);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
