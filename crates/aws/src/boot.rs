//! The agent's one request: `DeleteItem` on its boot item, signed by itself.
//!
//! The item is taken by deleting it, so only one task ever holds it. A request
//! is never sent twice in here: whether to ask again is the agent's to decide,
//! by [`TakeError::disposition`]. Waiting and limits do not belong here. The
//! SDK does not either: this lives in a process of a few megabytes.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as SigningCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use ecsrunner_core::boot::{BootItem, Fail, attribute};
use ecsrunner_core::id::RunnerName;
use ecsrunner_core::policy::Policy;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

const TARGET: &str = "DynamoDB_20120810.DeleteItem";
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
/// DynamoDB's items are at most 400 KB; JSON can double that.
const REPLY_LIMIT_BYTES: u64 = 1024 * 1024;
/// Shorter than a request, so that a slow connection is not taken for a sent request.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// Credentials of the task's role.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The access key's id, which is no secret.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: SecretString,
    /// The session token of temporary credentials.
    pub session_token: Option<SecretString>,
}

/// The boot table, as one task sees it.
pub struct BootTable {
    endpoint: String,
    region: String,
    table: String,
    credentials: Credentials,
    http: ureq::Agent,
}

/// What the task took. Nobody else holds it from now on.
#[derive(Debug)]
pub struct Taken {
    /// Everything that may be shown.
    pub item: BootItem,
    /// GitHub's encoded just-in-time configuration.
    pub jit: SecretString,
}

/// What to do after a request that took nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// The request had no effect: ask again.
    PollAgain,
    /// The item may be gone: if it does not show up soon, nobody has it.
    Ambiguous,
    /// Asking again changes nothing.
    Permanent,
}

/// A request that brought no item and no clear "there is none".
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// No connection came about: the request was not sent.
    #[error("boot table endpoint `{endpoint}` cannot be reached")]
    Unreachable {
        /// The endpoint's URL.
        endpoint: String,
        /// What the connection failed with.
        source: io::Error,
    },
    /// The request was sent, and no complete or definite answer came back.
    #[error("boot table endpoint `{endpoint}` gave no definite answer")]
    Ambiguous {
        /// The endpoint's URL.
        endpoint: String,
        /// What the exchange failed with.
        source: io::Error,
    },
    /// The table's service refused the request and did nothing.
    #[error("boot table `{table}` refuses the request: {code}")]
    Refused {
        /// The table's name.
        table: String,
        /// The service's error code. Its message is left out: for a wrong
        /// signature it quotes the request's headers, the session token too.
        code: String,
    },
    /// The item is taken, but it is not one that this release understands.
    #[error("boot item `{owner}` cannot be read: {fault}")]
    Unreadable {
        /// The item's key.
        owner: String,
        /// What is wrong with it, without the value of a secret.
        fault: String,
    },
    /// The request could not be made from the settings given.
    #[error("a request to boot table `{table}` cannot be made: {fault}")]
    Malformed {
        /// The table's name.
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
            Self::Refused { .. } | Self::Unreadable { .. } | Self::Malformed { .. } => Disposition::Permanent,
        }
    }
}

/// Codes that say "not now". The hand-over is a transaction, so a conflict
/// with it means that the item is just being written.
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
    pub fn new(endpoint: &str, region: &str, table: &str, credentials: Credentials) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A proxy of the environment has no business in between.
            .proxy(None)
            // A kept connection that the server closes meanwhile would make a
            // request ambiguous that was never read.
            .max_idle_connections(0)
            .max_idle_connections_per_host(0)
            .user_agent(concat!("ecsrunner-agent/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            region: region.to_owned(),
            table: table.to_owned(),
            credentials,
            http: config.new_agent(),
        }
    }

    /// Takes the item of `owner` with one request: `None` if there is none yet.
    ///
    /// Blocks for at most `limit`, half of it (and 2 seconds) for the connection.
    ///
    /// # Errors
    ///
    /// See [`TakeError`]; none shows a secret.
    pub fn take(&self, owner: &str, limit: Duration) -> Result<Option<Taken>, TakeError> {
        let (status, reply) = self.exchange(&self.request_body(owner), limit)?;
        match status {
            200 => read_item(owner, &reply),
            // A write that ends in a server's error may have happened all the same.
            500.. => Err(self.ambiguous(io::Error::other(format!("HTTP status {status}")))),
            _ => Err(TakeError::Refused { table: self.table.clone(), code: error_code(status, &reply) }),
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

    fn exchange(&self, body: &[u8], limit: Duration) -> Result<(u16, Vec<u8>), TakeError> {
        let url = format!("{}/", self.endpoint);
        let mut request = self
            .http
            .post(&url)
            .config()
            .timeout_global(Some(limit))
            .timeout_connect(Some(CONNECT_LIMIT.min(limit / 2)))
            .build()
            .header("content-type", CONTENT_TYPE)
            .header("x-amz-target", TARGET);
        for (name, value) in self.signature(&url, body)? {
            request = request.header(name, value);
        }
        let mut response = request.send(body).map_err(|error| self.exchange_error(error))?;
        let status = response.status().as_u16();
        let reply = response
            .body_mut()
            .with_config()
            .limit(REPLY_LIMIT_BYTES)
            .read_to_vec()
            .map_err(|error| self.ambiguous(error.into_io()))?;
        Ok((status, reply))
    }

    /// The headers that a signed request carries (AWS Signature Version 4).
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
            .time(SystemTime::now())
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

    /// Only what certainly failed before the request was sent counts as unreachable.
    fn exchange_error(&self, error: ureq::Error) -> TakeError {
        use ureq::Error as E;
        let unsent = match &error {
            E::HostNotFound | E::ConnectionFailed => true,
            E::Timeout(which) => matches!(which, ureq::Timeout::Resolve | ureq::Timeout::Connect),
            E::Io(error) => matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::AddrNotAvailable
            ),
            E::Http(_) | E::BadUri(_) | E::TlsRequired | E::Tls(_) => {
                return TakeError::Malformed { table: self.table.clone(), fault: error.to_string() };
            }
            _ => false,
        };
        if unsent {
            TakeError::Unreachable { endpoint: self.endpoint.clone(), source: error.into_io() }
        } else {
            self.ambiguous(error.into_io())
        }
    }
}

impl fmt::Debug for BootTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot table:{} at {}", self.table, self.endpoint)
    }
}

#[derive(Deserialize)]
struct Reply {
    #[serde(rename = "Attributes")]
    attributes: Option<BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct Value {
    #[serde(rename = "S")]
    text: Option<String>,
}

/// Reads the reply. Errors of the JSON parser are not passed on where they
/// could quote the secret.
fn read_item(owner: &str, reply: &[u8]) -> Result<Option<Taken>, TakeError> {
    let unreadable = |fault: String| TakeError::Unreadable { owner: owner.to_owned(), fault };
    let reply: Reply = serde_json::from_slice(reply)
        .map_err(|_| unreadable("the table's reply is not that of a DeleteItem".to_owned()))?;
    let Some(mut attributes) = reply.attributes else { return Ok(None) };
    if attributes.is_empty() {
        return Ok(None);
    }
    let mut text = |name: &str| attributes.remove(name).and_then(|value| value.text);
    let missing = |name: &str| unreadable(format!("attribute `{name}` is missing or no string"));
    let wrong = |name: &str, error: &dyn fmt::Display| unreadable(format!("attribute `{name}`: {error}"));

    let jit = text(attribute::JIT).filter(|jit| !jit.is_empty()).map(SecretString::from);
    let jit = jit.ok_or_else(|| missing(attribute::JIT))?;
    let runner = text(attribute::RUNNER).ok_or_else(|| missing(attribute::RUNNER))?;
    let runner = RunnerName::parse(&runner).map_err(|error| wrong(attribute::RUNNER, &error))?;
    let policy = text(attribute::POLICY).ok_or_else(|| missing(attribute::POLICY))?;
    let policy: Policy = serde_json::from_str(&policy).map_err(|error| wrong(attribute::POLICY, &error))?;
    let fail: Option<Fail> = text(attribute::FAIL)
        .map(|fail| serde_json::from_str(&fail))
        .transpose()
        .map_err(|error| wrong(attribute::FAIL, &error))?;
    Ok(Some(Taken { item: BootItem { runner, policy, fail }, jit }))
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type")]
    code: String,
}

/// `ResourceNotFoundException` of `com.amazonaws.dynamodb.v20120810#ResourceNotFoundException`.
fn error_code(status: u16, reply: &[u8]) -> String {
    let code = serde_json::from_slice::<Refusal>(reply).ok().map(|refusal| refusal.code);
    let code = code.as_deref().and_then(|code| code.rsplit('#').next()).unwrap_or_default();
    let plain = !code.is_empty() && code.len() <= 80 && code.bytes().all(|b| b.is_ascii_alphanumeric());
    if plain { code.to_owned() } else { format!("HTTP status {status}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNER: &str = "ecsr-test-abcdefg234-01arz3ndektsv4rrffq69g5fav";

    fn item(attributes: serde_json::Value) -> Vec<u8> {
        serde_json::json!({ "Attributes": attributes }).to_string().into_bytes()
    }

    fn unreadable(attributes: serde_json::Value) -> String {
        read_item("me", &item(attributes)).unwrap_err().to_string()
    }

    #[test]
    fn an_item_reads_back_with_its_policy() {
        let reply = item(serde_json::json!({
            "owner": {"S": "me"}, "jit": {"S": "secret"}, "runner": {"S": RUNNER},
            "policy": {"S": r#"{"repositories":["acme/*"]}"#}, "expires_at": {"N": "1"},
        }));
        let taken = read_item("me", &reply).unwrap().unwrap();
        assert_eq!(taken.item.runner.as_str(), RUNNER);
        assert_eq!(taken.jit.expose_secret(), "secret");
        assert!(taken.item.fail.is_none());
    }

    #[test]
    fn a_deletion_that_returns_nothing_means_no_item() {
        assert!(read_item("me", b"{}").unwrap().is_none());
    }

    #[test]
    fn a_broken_item_is_named_by_attribute_and_never_by_its_secret() {
        assert_eq!(
            unreadable(serde_json::json!({"jit": {"N": "1"}})),
            "boot item `me` cannot be read: attribute `jit` is missing or no string"
        );
        let text = unreadable(serde_json::json!({"jit": {"S": "s3cret"}, "runner": {"S": "x"}}));
        assert!(text.contains("attribute `runner`") && !text.contains("s3cret"), "{text}");
        let text = read_item("me", br#"{"Attributes":"s3cret"}"#).unwrap_err().to_string();
        assert!(!text.contains("s3cret"), "{text}");
    }

    #[test]
    fn an_error_code_is_the_part_behind_the_hash_and_nothing_longer() {
        let reply =
            br#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"x"}"#;
        assert_eq!(error_code(400, reply), "ResourceNotFoundException");
        assert_eq!(error_code(403, b"<html>"), "HTTP status 403");
    }

    #[test]
    fn a_conflict_with_the_hand_over_is_asked_again_and_a_missing_table_is_not() {
        let refused = |code: &str| TakeError::Refused { table: "t".into(), code: code.into() };
        assert_eq!(refused("TransactionConflictException").disposition(), Disposition::PollAgain);
        assert_eq!(refused("ResourceNotFoundException").disposition(), Disposition::Permanent);
    }
}
