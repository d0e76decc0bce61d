//! A token on its way into a header, and nowhere else.

use std::sync::Arc;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// A bearer token of any length: installation tokens can be 520 characters.
#[derive(Clone, Debug)]
pub(crate) struct Bearer(Arc<SecretString>);

impl Bearer {
    /// White space at either end, such as a file's last line feed, is left out.
    pub(crate) fn new(token: SecretString) -> Option<Self> {
        let text = token.expose_secret();
        let trimmed = text.trim();
        if trimmed.is_empty() || !trimmed.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        let token = if trimmed.len() == text.len() { token } else { SecretString::from(trimmed) };
        Some(Self(Arc::new(token)))
    }

    /// The value of the `authorization` header, marked as sensitive.
    pub(crate) fn header(&self) -> HeaderValue {
        let text = format!("Bearer {}", self.0.expose_secret());
        let mut value = HeaderValue::try_from(text).expect("visible ASCII only");
        value.set_sensitive(true);
        value
    }

    /// Whether this is that very token, not just an equal one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
