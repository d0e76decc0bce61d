//! The boot table and its one request.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as SigningCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use ecsrunner_core::wire::boot::attribute;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;

use super::Credentials;
use super::http::{Answer, Exchange, Http, Request};
use crate::boot_item::{self, BootItemError, Taken};

const TARGET: &str = "DynamoDB_20120810.DeleteItem";
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
/// DynamoDB's items are at most 400 KB; JSON can double that.
const REPLY_LIMIT_BYTES: u64 = 1024 * 1024;
/// AWS refuses signatures that are more than five minutes in the past or the future.
const MAX_SKEW: SignedDuration = SignedDuration::from_mins(4);

/// The boot table, as one task sees it.
pub struct BootTable {
    endpoint: String,
    region: String,
    table: String,
    credentials: Credentials,
    http: Http,
    /// How far this machine's clock is behind AWS's, once AWS has refused a request for it.
    skew: Cell<SignedDuration>,
}

/// What to do after a request that took no item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// The request had no effect: ask again.
    PollAgain,
    /// The request had no effect: ask again, with new credentials.
    Renew,
    /// The item may be gone: if it does not appear soon, it is lost.
    Ambiguous,
    /// Asking again changes nothing.
    Permanent,
}

/// A request that got neither an item nor the answer that there is none.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// There was no connection, so the request was not sent.
    #[error("boot table endpoint `{endpoint}` cannot be reached")]
    Unreachable { endpoint: String, source: io::Error },
    /// The request was sent, but no complete and definite answer came back.
    #[error("boot table endpoint `{endpoint}` gave no definite answer")]
    Ambiguous { endpoint: String, source: io::Error },
    /// DynamoDB refused the request, which had no effect.
    #[error("boot table `{table}` refuses the request: {code}")]
    Refused {
        table: String,
        /// The error code. The message is left out: for a wrong signature it quotes
        /// the request's headers with the session token.
        code: String,
    },
    /// The item was taken, but this release cannot read it.
    #[error("boot item `{owner}` cannot be read: {fault}")]
    Unreadable {
        owner: String,
        /// What is wrong with the item, without a secret's value.
        fault: String,
    },
    /// The request could not be built from the settings.
    #[error("a request to boot table `{table}` cannot be made: {fault}")]
    Malformed {
        table: String,
        /// What is wrong with the endpoint or the credentials.
        fault: String,
    },
}

impl TakeError {
    /// What to do next.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unreachable { .. } => Disposition::PollAgain,
            Self::Ambiguous { .. } => Disposition::Ambiguous,
            Self::Refused { code, .. } if is_transient(code) => Disposition::PollAgain,
            Self::Refused { code, .. } if code == "ExpiredTokenException" => Disposition::Renew,
            Self::Refused { .. } | Self::Unreadable { .. } | Self::Malformed { .. } => Disposition::Permanent,
        }
    }
}

/// Whether the code is that of a transient error. The hand-over is a transaction,
/// so a conflict means that the item is just being written.
fn is_transient(code: &str) -> bool {
    matches!(
        code,
        "ThrottlingException"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "TransactionConflictException"
            | "TransactionInProgressException"
    )
}

impl BootTable {
    /// The table behind an endpoint such as `https://dynamodb.eu-west-1.amazonaws.com`.
    ///
    /// Nothing is sent yet.
    #[must_use]
    pub fn new(http: Http, endpoint: &str, region: &str, table: &str, credentials: Credentials) -> Self {
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            region: region.to_owned(),
            table: table.to_owned(),
            credentials,
            http,
            skew: Cell::new(SignedDuration::ZERO),
        }
    }

    /// Signs further requests with these credentials.
    pub fn renew(&mut self, credentials: Credentials) {
        self.credentials = credentials;
    }

    /// Returns how long the credentials are still valid, by AWS's clock; `None` if that is not known.
    #[must_use]
    pub fn valid_for(&self) -> Option<SignedDuration> {
        let expires_at = self.credentials.expires_at?;
        Some(expires_at.duration_since(Timestamp::now()) - self.skew())
    }

    /// How far this machine's clock is behind AWS's. Zero unless AWS has refused a
    /// request for it.
    #[must_use]
    pub fn skew(&self) -> SignedDuration {
        self.skew.get()
    }

    /// Takes the item of `owner` with one request: `None` if there is none yet.
    ///
    /// Blocks for at most `limit`. The connection may take half of it, at most 2 seconds.
    ///
    /// # Errors
    ///
    /// See [`TakeError`], which shows no secret.
    pub fn take(&self, owner: &str, limit: Duration) -> Result<Option<Taken>, TakeError> {
        let body = self.request_body(owner);
        let mut answer = self.exchange(&body, limit)?;
        // AWS checks the time first, so the refused request had no effect.
        if refuses_time(&answer) && self.learn_time(answer.date.as_deref()) {
            answer = self.exchange(&body, limit)?;
        }
        match answer.status {
            200 => boot_item::read(&answer.body)
                .map_err(|BootItemError(fault)| TakeError::Unreadable { owner: owner.to_owned(), fault }),
            // A write can have succeeded although the answer is a server error.
            status @ 500.. => Err(self.ambiguous(io::Error::other(format!("HTTP status {status}")))),
            status => {
                let code = boot_item::error_code(status, &answer.body);
                Err(TakeError::Refused { table: self.table.clone(), code })
            }
        }
    }

    fn request_body(&self, owner: &str) -> Vec<u8> {
        serde_json::json!({
            "TableName": self.table,
            "Key": { attribute::OWNER: { "S": owner } },
            "ReturnValues": "ALL_OLD",
        })
        .to_string()
        .into_bytes()
    }

    fn exchange(&self, body: &[u8], limit: Duration) -> Result<Answer, TakeError> {
        let url = format!("{}/", self.endpoint);
        let mut headers =
            vec![("content-type", CONTENT_TYPE.to_owned()), ("x-amz-target", TARGET.to_owned())];
        headers.extend(self.signature(&url, body)?);
        let max_bytes = REPLY_LIMIT_BYTES;
        let answer = self.http.exchange(Request { url: &url, headers, body: Some(body), limit, max_bytes });
        answer.map_err(|error| match error {
            Exchange::Unsent(source) => TakeError::Unreachable { endpoint: self.endpoint.clone(), source },
            Exchange::Broken(source) => self.ambiguous(source),
            Exchange::Malformed(fault) => TakeError::Malformed { table: self.table.clone(), fault },
        })
    }

    /// Learns the skew from AWS's time. Returns false if that changes nothing.
    fn learn_time(&self, date: Option<&str>) -> bool {
        let Some(theirs) = date.and_then(|date| rfc2822::parse(date).ok()) else { return false };
        let skew = theirs.timestamp().duration_since(Timestamp::now());
        let differs = (skew - self.skew.get()).abs() > MAX_SKEW;
        if differs {
            self.skew.set(skew);
        }
        differs
    }

    fn now(&self) -> SystemTime {
        let (now, skew) = (SystemTime::now(), self.skew.get());
        let corrected = if skew.is_negative() {
            now.checked_sub(skew.unsigned_abs())
        } else {
            now.checked_add(skew.unsigned_abs())
        };
        corrected.unwrap_or(now)
    }

    /// The headers of the signature (AWS Signature Version 4).
    fn signature(&self, url: &str, body: &[u8]) -> Result<Vec<(&'static str, String)>, TakeError> {
        let malformed = |fault: String| TakeError::Malformed { table: self.table.clone(), fault };
        let identity: Identity = SigningCredentials::new(
            &self.credentials.access_key_id,
            self.credentials.secret_access_key.expose_secret(),
            self.credentials.session_token.as_ref().map(|token| token.expose_secret().to_owned()),
            None,
            "ecsrunner-agent",
        )
        .into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("dynamodb")
            .time(self.now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| malformed(error.to_string()))?
            .into();
        let headers = [("content-type", CONTENT_TYPE), ("x-amz-target", TARGET)];
        let request = SignableRequest::new("POST", url, headers.iter().copied(), SignableBody::Bytes(body))
            .map_err(|error| malformed(error.to_string()))?;
        let (headers, _) =
            sign(request, &params).map_err(|error| malformed(error.to_string()))?.into_parts().0.into_parts();
        Ok(headers.into_iter().map(|header| (header.name(), header.value().to_owned())).collect())
    }

    fn ambiguous(&self, source: io::Error) -> TakeError {
        TakeError::Ambiguous { endpoint: self.endpoint.clone(), source }
    }
}

impl fmt::Debug for BootTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot table:{} at {}", self.table, self.endpoint)
    }
}

/// Whether AWS refuses the request for its time or its signature.
fn refuses_time(answer: &Answer) -> bool {
    let code = boot_item::error_code(answer.status, &answer.body);
    (400..500).contains(&answer.status)
        && matches!(code.as_str(), "InvalidSignatureException" | "RequestExpired" | "RequestTimeTooSkewed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_credentials_are_valid_for_is_by_awss_clock() {
        let valid_for = |expires_at: Option<Timestamp>, behind: SignedDuration| {
            let credentials = Credentials {
                access_key_id: "AKIATEST".into(),
                secret_access_key: "secret".into(),
                session_token: None,
                expires_at,
            };
            let http = Http::new(None).unwrap();
            let table = BootTable::new(http, "http://127.0.0.1:1", "eu-west-1", "boot", credentials);
            table.skew.set(behind);
            table.valid_for().map(|left| left.round(jiff::Unit::Minute).unwrap().as_mins())
        };
        let hour = Some(Timestamp::now() + SignedDuration::from_hours(1));
        assert_eq!(valid_for(None, SignedDuration::ZERO), None);
        assert_eq!(valid_for(hour, SignedDuration::ZERO), Some(60));
        assert_eq!(valid_for(hour, SignedDuration::from_mins(20)), Some(40));
        assert_eq!(valid_for(hour, SignedDuration::from_mins(-20)), Some(80));
    }

    #[test]
    fn a_conflict_with_the_hand_over_is_asked_again_and_a_missing_table_is_not() {
        let refused = |code: &str| TakeError::Refused { table: "t".into(), code: code.into() };
        assert_eq!(refused("TransactionConflictException").disposition(), Disposition::PollAgain);
        assert_eq!(refused("ResourceNotFoundException").disposition(), Disposition::Permanent);
        assert_eq!(refused("ExpiredTokenException").disposition(), Disposition::Renew);
        assert_eq!(refused("UnrecognizedClientException").disposition(), Disposition::Permanent);
    }
}
