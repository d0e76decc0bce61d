//! The detail of a webhook's event on the event bus, as
//! `terraform/modules/webhook/put_events.vtl` renders it.
//!
//! Its content is untrusted until [`super::verify`] has accepted the signature
//! over the body. The plain-text `action` is only for EventBridge's rules and is
//! not read here.

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Deserialize;

/// EventBridge's source of webhooks.
pub const SOURCE: &str = "ecsrunner.webhook";
/// The version of the detail that is read here.
pub const VERSION: u64 = 1;

/// A webhook as API Gateway received it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Envelope {
    /// `X-GitHub-Event`, or empty.
    pub event: String,
    /// `X-GitHub-Delivery`, or empty.
    pub delivery: String,
    /// `X-Hub-Signature-256`
    pub signature: Option<String>,
    /// `Content-Type`
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

/// A detail that is not that of a webhook.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON, or without a required field.
    #[error("the detail is not that of a webhook")]
    Form(#[source] serde_json::Error),
    /// Rendered by another version of the template.
    #[error("the detail of the webhook has version {0}, not {VERSION}")]
    Version(u64),
    /// A field that cannot be decoded.
    #[error("`{field}` of the webhook is not base64")]
    Base64 {
        field: &'static str,
        #[source]
        source: base64::DecodeError,
    },
}

/// Read first, since another version may lack the other fields.
#[derive(Deserialize)]
struct Versioned {
    v: u64,
}

#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    delivery: Cow<'a, str>,
    #[serde(borrow)]
    signature: Cow<'a, str>,
    /// Templates of the first form of the contract do not send it.
    #[serde(borrow, default)]
    content_type: Cow<'a, str>,
    #[serde(borrow)]
    body: Cow<'a, str>,
}

impl Envelope {
    /// Reads the `detail` of an event, which is JSON. Unknown fields are ignored.
    ///
    /// # Errors
    ///
    /// The detail has another version or form, or a field cannot be decoded.
    pub fn read(detail: &str) -> Result<Self, EnvelopeError> {
        let Versioned { v } = serde_json::from_str(detail).map_err(EnvelopeError::Form)?;
        if v != VERSION {
            return Err(EnvelopeError::Version(v));
        }
        let detail: Detail<'_> = serde_json::from_str(detail).map_err(EnvelopeError::Form)?;
        Ok(Self {
            event: header("event", &detail.event)?,
            delivery: header("delivery", &detail.delivery)?,
            signature: sent(header("signature", &detail.signature)?),
            content_type: sent(header("content_type", &detail.content_type)?),
            body: bytes("body", &detail.body)?,
        })
    }
}

fn bytes(field: &'static str, encoded: &str) -> Result<Vec<u8>, EnvelopeError> {
    BASE64_STANDARD.decode(encoded).map_err(|source| EnvelopeError::Base64 { field, source })
}

/// Reads a header as it was sent. GitHub's headers are ASCII: invalid UTF-8 comes
/// from another sender, whose signature will not be valid.
fn header(field: &'static str, encoded: &str) -> Result<String, EnvelopeError> {
    Ok(String::from_utf8_lossy(&bytes(field, encoded)?).into_owned())
}

/// Returns `None` for an empty header, which the template cannot tell from a missing one.
fn sent(header: String) -> Option<String> {
    (!header.is_empty()).then_some(header)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::text::chain;

    fn detail() -> Value {
        json!({
            "v": 1,
            "action": "queued",
            "event": "d29ya2Zsb3dfam9i",
            "delivery": "ZDE=",
            "signature": "c2hhMjU2PTAw",
            "content_type": "YXBwbGljYXRpb24vanNvbg==",
            "body": "eyLDqSI6IvCfmoAifQ==",
        })
    }

    fn with(field: &str, value: impl Into<Value>) -> Result<Envelope, EnvelopeError> {
        let mut detail = detail();
        detail[field] = value.into();
        Envelope::read(&detail.to_string())
    }

    fn told(result: Result<Envelope, EnvelopeError>) -> String {
        chain(&result.unwrap_err())
    }

    #[test]
    fn what_github_sent_is_read_byte_for_byte() {
        let envelope = Envelope::read(&detail().to_string()).unwrap();
        assert_eq!(
            envelope,
            Envelope {
                event: "workflow_job".to_owned(),
                delivery: "d1".to_owned(),
                signature: Some("sha256=00".to_owned()),
                content_type: Some("application/json".to_owned()),
                body: r#"{"é":"🚀"}"#.into(),
            }
        );
    }

    #[test]
    fn a_header_that_was_not_sent_is_missing_and_a_body_may_be_empty() {
        assert_eq!(with("signature", "").unwrap().signature, None);
        assert_eq!(with("content_type", "").unwrap().content_type, None);
        assert_eq!(with("event", "").unwrap().event, "");
        assert_eq!(with("body", "").unwrap().body, b"");
    }

    #[test]
    fn a_body_or_a_header_that_is_not_text_is_no_error() {
        assert_eq!(with("body", "//4A").unwrap().body, [0xff, 0xfe, 0]);
        assert_eq!(with("signature", "//4A").unwrap().signature.as_deref(), Some("\u{fffd}\u{fffd}\0"));
    }

    #[test]
    fn a_detail_of_the_contracts_first_form_has_no_content_type() {
        let mut first = detail();
        first.as_object_mut().unwrap().remove("content_type");
        assert_eq!(Envelope::read(&first.to_string()).unwrap().content_type, None);
    }

    #[test]
    fn fields_may_be_added_and_the_action_in_the_clear_counts_for_nothing() {
        assert_eq!(with("added", 1).unwrap(), with("action", "anything").unwrap());
    }

    #[test]
    fn json_may_be_written_otherwise_on_its_way() {
        let written = detail().to_string().replace('=', r"\u003d").replace("eyLD", r"e\u0079LD");
        assert_ne!(written, detail().to_string());
        assert_eq!(Envelope::read(&written).unwrap(), Envelope::read(&detail().to_string()).unwrap());
    }

    #[test]
    fn another_version_is_named_whatever_its_other_fields() {
        assert_eq!(told(with("v", 2)), "the detail of the webhook has version 2, not 1");
        assert_eq!(told(Envelope::read(r#"{"v":7}"#)), "the detail of the webhook has version 7, not 1");
    }

    #[test]
    fn a_field_that_is_not_base64_is_named() {
        for field in ["event", "delivery", "signature", "content_type", "body"] {
            for broken in ["*", "ZDE", "ZDE=\n", "ZD-_", "$util.base64Encode($x)"] {
                let told = told(with(field, broken));
                assert!(told.starts_with(&format!("`{field}` of the webhook is not base64: ")), "{told}");
            }
        }
    }

    #[test]
    fn what_is_not_a_webhooks_detail_is_refused_with_what_is_wrong_with_it() {
        let start = "the detail is not that of a webhook: ";
        for other in ["", "{", "[]", "null", r#"{"v":"1"}"#, r#"{"v":-1}"#, r#"{"action":"queued"}"#] {
            assert!(told(Envelope::read(other)).starts_with(start), "{other}");
        }
        let mut lacking = detail();
        lacking.as_object_mut().unwrap().remove("body");
        assert!(
            told(Envelope::read(&lacking.to_string())).starts_with(&format!("{start}missing field `body`"))
        );
        assert!(told(with("signature", Value::Null)).starts_with(&format!("{start}invalid type: null")));
    }
}
