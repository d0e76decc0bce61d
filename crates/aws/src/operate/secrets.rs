//! Stores what `ecsrunner setup` gets from GitHub: the App's credentials and the
//! webhook's secret.
//!
//! No error and no log line has a secret's value.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::SdkError;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{OperateError, Operator, failed};
use crate::fault::Fault;
use crate::secrets::{GitHubCredentials, parse_github_credentials, parse_webhook_secrets};

/// The content of a secret.
#[derive(Clone, Debug)]
pub enum Content<T> {
    /// It has no value yet.
    Empty,
    /// It has another form than expected. The text says what is wrong, without the value.
    Malformed(&'static str),
    Value(T),
}

const READ: &str = "secretsmanager:GetSecretValue";
const WRITE: &str = "secretsmanager:PutSecretValue";

impl Operator<'_> {
    /// The credentials for GitHub that a deployment uses.
    ///
    /// # Errors
    ///
    /// [`OperateError::Missing`] if there is no such secret, [`OperateError::Deleted`] if it is scheduled for deletion,
    /// and those of AWS.
    pub async fn github_credentials(&self, secret: &str) -> Result<Content<GitHubCredentials>, OperateError> {
        Ok(self.read_secret(secret).await?.parsed(parse_github_credentials))
    }

    /// The secrets that a deployment accepts for webhooks.
    ///
    /// # Errors
    ///
    /// As for [`Self::github_credentials`].
    pub async fn webhook_secrets(&self, secret: &str) -> Result<Content<Vec<SecretString>>, OperateError> {
        Ok(self.read_secret(secret).await?.parsed(parse_webhook_secrets))
    }

    /// Stores an App's credentials in the form that the control plane reads. Earlier ones are replaced.
    ///
    /// # Errors
    ///
    /// As for [`Self::github_credentials`].
    pub async fn store_app(
        &self,
        secret: &str,
        app_id: u64,
        private_key: &SecretString,
    ) -> Result<(), OperateError> {
        let text = json!({"app_id": app_id, "private_key": private_key.expose_secret()});
        self.write_secret(secret, SecretString::from(text.to_string())).await
    }

    /// Makes `first` the first webhook secret of the list. The others stay valid, so that webhooks of another App or
    /// repository are still accepted. Storing the same one again changes nothing.
    ///
    /// # Errors
    ///
    /// As for [`Self::github_credentials`]. A value of another form is not replaced: [`OperateError::Form`].
    pub async fn store_webhook_secret(&self, secret: &str, first: &SecretString) -> Result<(), OperateError> {
        let others = match self.webhook_secrets(secret).await? {
            Content::Empty => Vec::new(),
            Content::Value(secrets) => secrets,
            Content::Malformed(fault) => {
                return Err(OperateError::Form { secret: secret.to_owned(), fault });
            }
        };
        let first = first.expose_secret();
        if others.first().is_some_and(|current| current.expose_secret() == first) {
            return Ok(());
        }
        let others = others.iter().map(ExposeSecret::expose_secret).filter(|other| *other != first);
        let list: Vec<&str> = std::iter::once(first).chain(others).collect();
        self.write_secret(secret, SecretString::from(json!(list).to_string())).await
    }

    async fn read_secret(&self, secret: &str) -> Result<Content<SecretString>, OperateError> {
        let client: &Client = self.connection.secrets_manager();
        let answer = match client.get_secret_value().secret_id(secret).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let is_missing = matches!(&error, SdkError::ServiceError(it) if it.err().is_resource_not_found_exception());
                let fault = Fault::of(&error);
                // The same error means that there is no secret, or that it has no value.
                return if is_missing && self.exists(secret).await? {
                    Ok(Content::Empty)
                } else {
                    Err(told(READ, secret, fault))
                };
            }
        };
        let text = answer.secret_string.map(SecretString::from);
        Ok(text.map_or(Content::Malformed("a text is expected, not bytes"), |text| {
            if text.expose_secret().trim().is_empty() { Content::Empty } else { Content::Value(text) }
        }))
    }

    async fn exists(&self, secret: &str) -> Result<bool, OperateError> {
        const ACTION: &str = "secretsmanager:DescribeSecret";
        let client = self.connection.secrets_manager();
        match client.describe_secret().secret_id(secret).send().await {
            Ok(described) if described.deleted_date.is_some() => {
                Err(OperateError::Deleted(secret.to_owned()))
            }
            Ok(_) => Ok(true),
            Err(error) => {
                let is_missing = matches!(&error, SdkError::ServiceError(it) if it.err().is_resource_not_found_exception());
                if is_missing { Ok(false) } else { Err(told(ACTION, secret, Fault::of(&error))) }
            }
        }
    }

    async fn write_secret(&self, secret: &str, text: SecretString) -> Result<(), OperateError> {
        let client = self.connection.secrets_manager();
        let sent = client.put_secret_value().secret_id(secret).secret_string(text.expose_secret()).send();
        sent.await.map(|_stored| ()).map_err(|error| told(WRITE, secret, Fault::of(&error)))
    }
}

fn told(action: &'static str, secret: &str, fault: Fault) -> OperateError {
    match fault.code.as_deref() {
        Some("ResourceNotFoundException") => OperateError::Missing(format!("secret `{secret}`")),
        // Secrets Manager's only sentence of this code that names a deletion.
        Some("InvalidRequestException") if fault.words.contains("deletion") => {
            OperateError::Deleted(secret.to_owned())
        }
        _ => failed(action, secret, fault),
    }
}

impl Content<SecretString> {
    fn parsed<T>(self, parse: fn(&str) -> Result<T, &'static str>) -> Content<T> {
        match self {
            Self::Empty => Content::Empty,
            Self::Malformed(fault) => Content::Malformed(fault),
            Self::Value(text) => match parse(text.expose_secret()) {
                Ok(value) => Content::Value(value),
                Err(fault) => Content::Malformed(fault),
            },
        }
    }
}
