//! The deployment's secrets in Secrets Manager: the webhook secrets and the
//! credentials for GitHub.
//!
//! No error and no log line has a secret's value.

mod format;

use std::sync::Arc;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::SdkError;
use ecsrunner_engine::ports::Disposition;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};

use crate::cache::{Ages, Cache};
use crate::connection::Connection;
use crate::fault::Fault;

pub use format::{GitHubApp, GitHubCredentials};
#[cfg(feature = "operate")]
pub(crate) use format::{
    github_credentials as parse_github_credentials, webhook_secrets as parse_webhook_secrets,
};

/// How long a value is used before it is read again.
const AGE: SignedDuration = SignedDuration::from_mins(5);
/// The same after a signature matched no secret. A rotation takes effect soon, and
/// wrong signatures cause at most two calls a minute.
const AGE_WHEN_NONE_FITS: SignedDuration = SignedDuration::from_secs(30);
/// How long a value is used if it cannot be read again.
const AGE_WHEN_UNREADABLE: SignedDuration = SignedDuration::from_hours(1);

/// The secrets of a deployment.
#[derive(Debug)]
pub struct Secrets {
    client: Client,
    webhook: Secret<Vec<SecretString>>,
    github: Secret<GitHubCredentials>,
}

#[derive(Debug)]
struct Secret<T> {
    /// Its name or ARN.
    id: String,
    cache: Cache<T>,
}

/// How a secret's text is parsed, and whether two values are the same.
type Form<T> = (fn(&str) -> Result<T, &'static str>, fn(&T, &T) -> bool);

/// How recently secrets must have been read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freshness {
    /// Within the last five minutes.
    Usual,
    /// Within the last 30 seconds, because a signature matched none of the known secrets.
    NoneFitted,
}

/// A secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("secret `{secret}` cannot be read")]
    Unread {
        /// Its name or ARN.
        secret: String,
        /// Whether a retry may succeed.
        passes: bool,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// AWS knows no value of it: none is stored yet, or there is no such secret. AWS's code does not tell which.
    #[error("secret `{secret}` has no value, or does not exist")]
    Absent {
        /// Its name or ARN.
        secret: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It does not have the expected form.
    #[error("secret `{secret}`: {fault}")]
    Malformed {
        /// Its name or ARN.
        secret: String,
        /// The fault, without the value.
        fault: &'static str,
    },
}

impl SecretError {
    /// How the caller is to react.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unread { passes: true, .. } => Disposition::Retry { after: None },
            Self::Unread { .. } | Self::Absent { .. } | Self::Malformed { .. } => Disposition::Permanent,
        }
    }
}

impl Secrets {
    /// The secrets with these names or ARNs.
    #[must_use]
    pub fn new(connection: &Connection, webhook_secret: &str, github_secret: &str) -> Self {
        let client = connection.secrets_manager().clone();
        Self { client, webhook: Secret::new(webhook_secret), github: Secret::new(github_secret) }
    }

    /// The secrets that webhooks are signed with. A signature may match any of
    /// them, for rotation. The secret's text is a JSON list of strings,
    /// `{"secrets": ["…"]}`, or one bare string that begins with neither `[` nor
    /// `{`.
    ///
    /// # Errors
    ///
    /// The secret cannot be read, or holds none.
    pub async fn webhook_secrets(
        &self,
        freshness: Freshness,
        now: Timestamp,
    ) -> Result<Arc<Vec<SecretString>>, SecretError> {
        let age = match freshness {
            Freshness::Usual => AGE,
            Freshness::NoneFitted => AGE_WHEN_NONE_FITS,
        };
        let form: Form<Vec<SecretString>> =
            (format::webhook_secrets, |one, other| format::are_same_webhook_secrets(one, other));
        self.webhook.get(&self.client, age, now, form).await
    }

    /// The credentials for GitHub. The secret's text is
    /// `{"app_id": 1234, "private_key": "-----BEGIN …", "installation_id": 5678}` or
    /// `{"token": "…"}`. The installation may be missing, and ids may be texts.
    ///
    /// # Errors
    ///
    /// The secret cannot be read, or has another form.
    pub async fn github_credentials(&self, now: Timestamp) -> Result<Arc<GitHubCredentials>, SecretError> {
        let form: Form<_> = (format::github_credentials, format::are_same_github_credentials);
        self.github.get(&self.client, AGE, now, form).await
    }
}

/// The secret with the headers of an OTLP endpoint, in the form of `OTEL_EXPORTER_OTLP_HEADERS`.
#[derive(Debug)]
pub struct HeadersSecret {
    client: Client,
    secret: Secret<SecretString>,
}

impl HeadersSecret {
    /// The secret with this name or ARN.
    #[must_use]
    pub fn new(connection: &Connection, secret: &str) -> Self {
        Self { client: connection.secrets_manager().clone(), secret: Secret::new(secret) }
    }

    /// Returns the headers: `name=value`, separated by commas.
    ///
    /// # Errors
    ///
    /// The secret cannot be read, or is empty.
    pub async fn headers(&self, now: Timestamp) -> Result<Arc<SecretString>, SecretError> {
        let form: Form<SecretString> =
            (format::headers, |one, other| one.expose_secret() == other.expose_secret());
        self.secret.get(&self.client, AGE, now, form).await
    }
}

impl<T> Secret<T> {
    fn new(id: &str) -> Self {
        Self { id: id.to_owned(), cache: Cache::new() }
    }

    async fn get(
        &self,
        client: &Client,
        age: SignedDuration,
        now: Timestamp,
        (parse, is_same): Form<T>,
    ) -> Result<Arc<T>, SecretError> {
        let ages = Ages { usual: age, unreadable: AGE_WHEN_UNREADABLE };
        self.cache.get_or_read("secret", ages, now, is_same, self.read(client, parse)).await
    }

    async fn read(
        &self,
        client: &Client,
        parse: fn(&str) -> Result<T, &'static str>,
    ) -> Result<T, SecretError> {
        // Always AWSCURRENT: rotation works by the list in the secret.
        let answer = client.get_secret_value().secret_id(&self.id).send().await.map_err(|error| {
            let is_absent =
                matches!(&error, SdkError::ServiceError(it) if it.err().is_resource_not_found_exception());
            let (secret, fault) = (self.id.clone(), Fault::of(&error));
            if is_absent {
                return SecretError::Absent { secret, source: Box::new(fault) };
            }
            SecretError::Unread { secret, passes: fault.passes, source: Box::new(fault) }
        })?;
        let malformed = |fault| SecretError::Malformed { secret: self.id.clone(), fault };
        let text = answer.secret_string().ok_or_else(|| malformed("a text is expected, not bytes"))?;
        parse(text).map_err(malformed)
    }
}
