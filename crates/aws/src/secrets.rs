//! The deployment's secrets in Secrets Manager: what webhooks are signed with,
//! and who we are to GitHub.
//!
//! A secret's value is in no error, and no log.

mod format;

use std::sync::Arc;

use aws_sdk_secretsmanager::Client;
use ecsrunner_engine::chain;
use ecsrunner_engine::ports::Disposition;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tracing::warn;

use crate::cache::Cache;
use crate::connection::Connection;
use crate::fault::Fault;

pub use format::{GitHubApp, GitHubCredentials};

/// How long a value is believed.
const AGE: SignedDuration = SignedDuration::from_mins(5);
/// How long it is when a signature fitted none: a rotation is seen at once, and
/// somebody who sends wrong signatures costs two calls a minute.
const AGE_WHEN_NONE_FITS: SignedDuration = SignedDuration::from_secs(30);
/// How long it is where it cannot be read again.
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

/// How a secret's text is read, and whether two readings say the same.
type Form<T> = (fn(&str) -> Result<T, &'static str>, fn(&T, &T) -> bool);

/// How fresh secrets must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freshness {
    /// Read within the last five minutes.
    Usual,
    /// A signature fitted none of those that were known: read within the last 30 seconds.
    NoneFitted,
}

/// A secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It could not be read.
    #[error("secret `{secret}` cannot be read")]
    Unread {
        /// Its name or ARN.
        secret: String,
        /// Whether asking again may help.
        passes: bool,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is not in the form that is expected.
    #[error("secret `{secret}`: {fault}")]
    Malformed {
        /// Its name or ARN.
        secret: String,
        /// What is wrong, without the value.
        fault: &'static str,
    },
}

impl SecretError {
    /// What a caller can do about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unread { passes: true, .. } => Disposition::Retry { after: None },
            Self::Unread { .. } | Self::Malformed { .. } => Disposition::Permanent,
        }
    }
}

impl Secrets {
    /// The secrets of those names or ARNs.
    #[must_use]
    pub fn new(connection: &Connection, webhook_secret: &str, github_secret: &str) -> Self {
        let client = connection.secrets_manager().clone();
        Self { client, webhook: Secret::new(webhook_secret), github: Secret::new(github_secret) }
    }

    /// What webhooks are signed with: any of these, for rotation. The secret is
    /// a JSON list of strings, `{"secrets": ["…"]}`, or one bare string that
    /// begins with neither `[` nor `{`.
    ///
    /// # Errors
    ///
    /// It cannot be read, or holds none.
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

    /// Who we are to GitHub. The secret is
    /// `{"app_id": 1234, "private_key": "-----BEGIN …", "installation_id": 5678}`,
    /// where the installation may be missing and ids may be texts, or
    /// `{"token": "…"}`.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is something else.
    pub async fn github_credentials(&self, now: Timestamp) -> Result<Arc<GitHubCredentials>, SecretError> {
        let form: Form<_> = (format::github_credentials, format::are_same_github_credentials);
        self.github.get(&self.client, AGE, now, form).await
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
        let kept = self.cache.get();
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_younger(age, now)) {
            return Ok(Arc::clone(&kept.value));
        }
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_younger(AGE_WHEN_UNREADABLE, now))
            && self.cache.has_just_failed(now)
        {
            return Ok(Arc::clone(&kept.value));
        }
        match self.read(client, parse).await {
            Ok(value) => Ok(self.cache.keep(value, now, is_same)),
            Err(error) => match kept.filter(|kept| kept.is_younger(AGE_WHEN_UNREADABLE, now)) {
                Some(kept) => {
                    self.cache.failed(now);
                    warn!(error = %chain(&error), "the secret read before is used");
                    Ok(kept.value)
                }
                None => Err(error),
            },
        }
    }

    async fn read(
        &self,
        client: &Client,
        parse: fn(&str) -> Result<T, &'static str>,
    ) -> Result<T, SecretError> {
        // AWSCURRENT, as nothing else is asked for: the list in it is what rotates.
        let answer = client.get_secret_value().secret_id(&self.id).send().await.map_err(|error| {
            let fault = Fault::of(&error);
            SecretError::Unread { secret: self.id.clone(), passes: fault.passes, source: Box::new(fault) }
        })?;
        let malformed = |fault| SecretError::Malformed { secret: self.id.clone(), fault };
        let text = answer.secret_string().ok_or_else(|| malformed("a text is expected, not bytes"))?;
        parse(text).map_err(malformed)
    }
}
