//! A token that can only be written to a request header.

use std::sync::Arc;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// A bearer token of any length. Installation tokens can have 520 characters.
#[derive(Clone, Debug)]
pub(crate) struct Bearer(Arc<SecretString>);

impl Bearer {
    /// Trims white space, such as a file's last line feed. `None` if the token is
    /// empty or has characters other than visible ASCII.
    pub(crate) fn new(token: SecretString) -> Option<Self> {
        let text = token.expose_secret();
        let trimmed = text.trim();
        if trimmed.is_empty() || !trimmed.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        let token = if trimmed.len() == text.len() { token } else { SecretString::from(trimmed) };
        Some(Self(Arc::new(token)))
    }

    /// Returns the value of the `authorization` header, marked as sensitive.
    pub(crate) fn header(&self) -> HeaderValue {
        let text = format!("Bearer {}", self.0.expose_secret());
        let mut value = HeaderValue::try_from(text).expect("visible ASCII only");
        value.set_sensitive(true);
        value
    }

    /// Returns whether both are the same token object, not just equal tokens.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
