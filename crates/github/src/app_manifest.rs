//! GitHub's App-manifest flow: describes the App that a deployment needs, and
//! exchanges GitHub's code for its credentials.
//!
//! The code, the private key and the webhook's secret appear in no error and no log line.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ecsrunner_core::id::Organization;
use ecsrunner_engine::ports::github::GitHubError;
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::ClientError;
use crate::http::{ApiUrl, Call, Http};
use crate::permissions::{EVENT, METADATA, Permissions, READ};

/// How long GitHub keeps a code.
pub const CODE_LIFE: Duration = Duration::from_secs(3600);
/// GitHub's limit of an App's name, in characters.
pub const MAX_NAME: usize = 34;

/// The App to register.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest<'a> {
    /// Unique at GitHub, where it can be changed before the App is registered.
    pub name: &'a str,
    /// The page that describes the App.
    pub homepage: &'a str,
    pub description: &'a str,
    /// Where GitHub sends webhooks. GitHub refuses a URL that is not public.
    pub webhook: Option<&'a str>,
    /// Where GitHub sends the browser with the code.
    pub redirect: &'a str,
    pub permissions: &'a Permissions,
}

impl Manifest<'_> {
    /// Returns the form's parameter `manifest`.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut permissions = json!({METADATA: READ});
        for (name, level) in self.permissions.iter() {
            permissions[name] = level.into();
        }
        let mut manifest = json!({
            "name": self.name,
            "url": self.homepage,
            "description": self.description,
            "redirect_url": self.redirect,
            "public": false,
            "default_permissions": permissions,
        });
        // GitHub refuses `hook_attributes` without a URL, and events without `hook_attributes` (docs/undocumented.md).
        if let Some(url) = self.webhook {
            manifest["hook_attributes"] = json!({"url": url, "active": true});
            manifest["default_events"] = json!([EVENT]);
        }
        manifest
    }
}

/// The account that owns an App.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AppOwner {
    /// The user who registers it.
    Caller,
    Organization(Organization),
}

impl AppOwner {
    /// Returns the path of the page that takes a manifest.
    #[must_use]
    pub fn registration_path(&self) -> String {
        match self {
            Self::Caller => "settings/apps/new".to_owned(),
            Self::Organization(organization) => format!("organizations/{organization}/settings/apps/new"),
        }
    }
}

/// GitHub's temporary code. It is exchanged for the App's private key, once, so it is a secret.
#[derive(Clone, Debug)]
pub struct ManifestCode(SecretString);

/// A text that is not a code. It is not repeated, because it may hold one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this is not a code of GitHub's: letters and digits, or the address with `?code=` are expected")]
pub struct ManifestCodeError;

impl ManifestCode {
    /// Parses a code, or takes it from the address to which GitHub has sent the browser.
    ///
    /// # Errors
    ///
    /// The text is neither.
    pub fn parse(text: &str) -> Result<Self, ManifestCodeError> {
        let text = text.trim();
        let code = match text.split_once('?') {
            Some((_, query)) => {
                let query = query.split('#').next().unwrap_or_default();
                let code = query.split('&').find_map(|pair| pair.strip_prefix("code="));
                code.ok_or(ManifestCodeError)?
            }
            None => text,
        };
        let is_valid = (1..=128).contains(&code.len())
            && code.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if is_valid { Ok(Self(SecretString::from(code))) } else { Err(ManifestCodeError) }
    }

    /// Returns the code, to be kept where only its owner can read it.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

/// An App that GitHub has just made. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct NewApp {
    pub id: u64,
    /// Its name in URLs.
    pub slug: String,
    pub name: String,
    /// The address of its page.
    pub html_url: String,
    /// In PEM. GitHub does not show it again.
    pub private_key: SecretString,
    /// `None` if the App has no webhook.
    pub webhook_secret: Option<SecretString>,
}

/// GitHub's answer. `client_secret` is for logging in users and is not read.
#[derive(Deserialize)]
struct Conversion {
    id: u64,
    slug: String,
    name: String,
    html_url: String,
    pem: SecretText,
    webhook_secret: Option<SecretText>,
}

struct SecretText(SecretString);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

/// The calls of the flow, which need no credentials. Cloning shares connections.
#[derive(Clone, Debug)]
pub struct Registrar {
    http: Http,
}

/// Whether an account is a user or an organization.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccountKind {
    User,
    Organization,
}

impl Registrar {
    /// Creates a client of this API. If `tls` is given, no root certificates are loaded.
    ///
    /// # Errors
    ///
    /// Without `tls`, the machine has no root certificates.
    pub fn new(
        api: ApiUrl,
        call_limit: Duration,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Self, ClientError> {
        Ok(Self { http: Http::new(api, call_limit, tls).map_err(ClientError::Http)? })
    }

    /// Exchanges the code for the App's credentials. GitHub accepts a code once, for an hour.
    ///
    /// # Errors
    ///
    /// GitHub refuses with 404 a code that it has accepted already, or that is too old. After any other failure the
    /// code may still be valid.
    pub async fn convert(&self, code: &ManifestCode) -> Result<NewApp, GitHubError> {
        let path = format!("app-manifests/{}/conversions", code.0.expose_secret());
        let call = Call::post_alone("create-app-from-manifest", "the code", path);
        let made: Conversion = self.http.send(&call, None).await?.json()?;
        Ok(NewApp {
            id: made.id,
            slug: made.slug,
            name: made.name,
            html_url: made.html_url,
            private_key: made.pem.0,
            webhook_secret: made
                .webhook_secret
                .map(|secret| secret.0)
                .filter(|it| !it.expose_secret().is_empty()),
        })
    }

    /// Returns the kind of an account; `None` if there is no account of that name.
    ///
    /// # Errors
    ///
    /// The call fails, or the server shows nothing without a token.
    pub async fn account_kind(&self, login: &str) -> Result<Option<AccountKind>, GitHubError> {
        #[derive(Deserialize)]
        struct User {
            r#type: String,
        }
        let reply = self.http.send(&Call::get("get-user", login, format!("users/{login}")), None).await?;
        if reply.status() == 404 {
            return Ok(None);
        }
        let user: User = reply.json()?;
        Ok(Some(match user.r#type.as_str() {
            "Organization" => AccountKind::Organization,
            _ => AccountKind::User,
        }))
    }
}

impl fmt::Display for AppOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller => f.write_str("your own account"),
            Self::Organization(organization) => write!(f, "the organization {organization}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use ecsrunner_core::rules::settings::Registration;

    use super::*;

    fn manifest(webhook: Option<&str>) -> Value {
        Manifest {
            name: "ecsrunner-ci",
            homepage: "https://example.com",
            description: "Runners",
            webhook,
            redirect: "http://127.0.0.1:4000/callback",
            permissions: &Permissions::needed(&Registration::Repository, false),
        }
        .json()
    }

    #[test]
    fn a_manifest_without_a_webhook_has_neither_hook_nor_events() {
        let private = json!({
            "name": "ecsrunner-ci",
            "url": "https://example.com",
            "description": "Runners",
            "redirect_url": "http://127.0.0.1:4000/callback",
            "public": false,
            "default_permissions": {"metadata": "read", "actions": "read", "administration": "write"},
        });
        assert_eq!(manifest(None), private);
        let mut public = private;
        public["hook_attributes"] = json!({"url": "https://hooks.example.com/webhook", "active": true});
        public["default_events"] = json!(["workflow_job"]);
        assert_eq!(manifest(Some("https://hooks.example.com/webhook")), public);
    }

    #[test]
    fn a_code_is_pasted_alone_or_as_the_address_and_is_never_shown() {
        let code = |text: &str| ManifestCode::parse(text).map(|code| code.0.expose_secret().to_owned());
        for text in [
            "a180b1a3d263",
            "  a180b1a3d263\n",
            "http://127.0.0.1:4000/callback?code=a180b1a3d263&state=x",
            "127.0.0.1:4000/callback?state=x&code=a180b1a3d263#",
        ] {
            assert_eq!(code(text).unwrap(), "a180b1a3d263", "{text}");
        }
        for text in ["", "http://127.0.0.1/?state=a180b1a3d263", "a180/b1a3", "../app", &"a".repeat(129)] {
            assert_eq!(code(text).unwrap_err(), ManifestCodeError, "{text}");
        }
        assert!(!format!("{:?}", ManifestCode::parse("a180b1a3d263").unwrap()).contains("a180"));
    }
}
