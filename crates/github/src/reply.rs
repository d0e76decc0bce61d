//! GitHub's replies, and the errors that they mean to the engine.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use ecsrunner_engine::ports::github::GitHubError;
use jiff::Timestamp;
use reqwest::header::{HeaderMap, LINK, LOCATION};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::rates;

const MESSAGE_LIMIT: usize = 200;

/// A completely read reply.
pub(crate) struct Reply {
    operation: String,
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    pub(crate) fn new(operation: String, status: u16, headers: HeaderMap, body: Vec<u8>) -> Self {
        Self { operation, status, headers, body }
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the body, which is JSON.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    pub(crate) fn rate_remaining(&self) -> Option<u64> {
        rates::remaining(&self.headers)
    }

    /// Returns a query parameter of the `link` header's next page.
    pub(crate) fn next_page(&self, parameter: &str) -> Option<String> {
        let links = self.headers.get(LINK)?.to_str().ok()?;
        let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
        let url = Url::parse(next.split_once('<')?.1.split_once('>')?.0).ok()?;
        url.query_pairs().find(|(name, _)| name == parameter).map(|(_, value)| value.into_owned())
    }

    /// Returns the location of a redirect that was not followed.
    pub(crate) fn location(&self) -> Option<&str> {
        self.headers.get(LOCATION)?.to_str().ok()
    }

    /// Parses the body of a success; returns the fault of any other status.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        if !(200..300).contains(&self.status) {
            return Err(self.fault());
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Fault::unreachable(self.operation.clone(), Unreadable::new(self.status, &error)))
    }

    /// Returns the fault of a status that is not a success.
    pub(crate) fn fault(&self) -> Fault {
        let message = self.message();
        let now = Timestamp::now();
        let cause = if let Some(after) = rates::wait(self.status, &self.headers, &message, now) {
            Cause::Throttled(after)
        } else if self.status >= 500 {
            Cause::Server(self.status)
        } else {
            Cause::Refused { status: self.status, message }
        };
        Fault { operation: self.operation.clone(), cause }
    }

    /// Returns GitHub's `message`, or the name of the status if the body has none, as from a proxy.
    fn message(&self) -> String {
        #[derive(Deserialize)]
        struct Body {
            message: String,
        }
        let message = serde_json::from_slice(&self.body).map_or_else(
            |_| {
                let status = StatusCode::from_u16(self.status).ok();
                status.and_then(|s| s.canonical_reason()).unwrap_or("no message").to_owned()
            },
            |body: Body| body.message,
        );
        message.chars().filter(|c| !c.is_control()).take(MESSAGE_LIMIT).collect()
    }
}

/// A success whose body does not match GitHub's API description. The text gives
/// the position but no content, because the body may hold a token.
#[derive(Debug, thiserror::Error)]
#[error("the body of the {status} is not as described ({category:?} at line {line}, column {column})")]
struct Unreadable {
    status: u16,
    category: serde_json::error::Category,
    line: usize,
    column: usize,
}

impl Unreadable {
    fn new(status: u16, error: &serde_json::Error) -> Self {
        Self { status, category: error.classify(), line: error.line(), column: error.column() }
    }
}

/// A failed call. It can be cloned for each of several callers that waited for it.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    operation: String,
    cause: Cause,
}

#[derive(Clone, Debug)]
enum Cause {
    Unreachable(Arc<dyn Error + Send + Sync>),
    Server(u16),
    Throttled(Duration),
    Refused { status: u16, message: String },
    Credentials(String),
}

impl Fault {
    pub(crate) fn unreachable(operation: String, source: impl Error + Send + Sync + 'static) -> Self {
        Self { operation, cause: Cause::Unreachable(Arc::new(source)) }
    }

    pub(crate) fn credentials(why: impl Into<String>) -> Self {
        Self { operation: String::new(), cause: Cause::Credentials(why.into()) }
    }

    /// Returns whether GitHub asks to come back later.
    pub(crate) fn is_throttled(&self) -> bool {
        matches!(self.cause, Cause::Throttled(_))
    }

    /// Returns whether GitHub refused with this status.
    pub(crate) fn is_refusal(&self, expected: u16) -> bool {
        matches!(self.cause, Cause::Refused { status, .. } if status == expected)
    }
}

impl From<Fault> for GitHubError {
    fn from(Fault { operation, cause }: Fault) -> Self {
        match cause {
            Cause::Unreachable(source) => Self::Unreachable { operation, source: Box::new(source) },
            Cause::Server(status) => Self::Server { operation, status },
            Cause::Throttled(after) => Self::Throttled { operation, after },
            Cause::Refused { status, message } => Self::Refused { operation, status, message },
            Cause::Credentials(why) => Self::Credentials(why),
        }
    }
}
