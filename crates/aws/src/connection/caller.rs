//! The credentials and the Region of the caller, as AWS's SDKs find them: in the
//! environment, in profiles (keys, roles, single sign-on, `aws login`, processes), and
//! from containers and instances.
//!
//! Commands run for minutes, so the credentials are resolved once. A Lambda does not
//! come here: its credentials are in its environment.

use std::path::Path;
use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use ecsrunner_engine::chain;
use secrecy::SecretString;

use super::http::Http;
use super::{AccessKey, ConnectionError, tls};

/// How long finding credentials may take: single sign-on and roles make calls.
const LIMIT: Duration = Duration::from_secs(30);

/// Who calls AWS, and where.
#[derive(Clone, Debug)]
pub struct Caller {
    pub access_key: AccessKey,
    pub region: String,
}

/// Why there are no credentials. The text has no secret.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    #[error("no AWS credentials found{}", of(.profile.as_deref()))]
    None {
        profile: Option<String>,
        /// What the SDK says.
        #[source]
        source: Words,
    },
    #[error("no AWS Region given")]
    NoRegion,
    #[error("finding AWS credentials{} took more than {} s", of(.0.as_deref()), LIMIT.as_secs())]
    Late(Option<String>),
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

/// The chain of an error as one text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Words(String);

fn of(profile: Option<&str>) -> String {
    profile.map(|name| format!(" in profile `{name}`")).unwrap_or_default()
}

/// Finds the caller. A `profile` stands above keys in the environment, and these above `AWS_PROFILE`. A `region` stands
/// above the configured one.
///
/// # Errors
///
/// No Region is configured, there are no credentials, or they have expired.
pub async fn find(
    profile: Option<&str>,
    region: Option<&str>,
    ca_bundle: Option<&Path>,
) -> Result<Caller, CallerError> {
    let http = Http::new(&tls::config(ca_bundle)?).plain();
    let named = || profile.map(str::to_owned);
    let found = tokio::time::timeout(LIMIT, find_with(http, profile, region)).await;
    let (region, found) = found.map_err(|_| CallerError::Late(named()))?;
    let region = region.ok_or(CallerError::NoRegion)?;
    let found =
        found.map_err(|error| CallerError::None { profile: named(), source: Words(chain(&error)) })?;
    let access_key = AccessKey {
        id: found.access_key_id().to_owned(),
        secret: SecretString::from(found.secret_access_key()),
        session_token: found.session_token().map(SecretString::from),
    };
    Ok(Caller { access_key, region })
}

async fn find_with(
    http: SharedHttpClient,
    profile: Option<&str>,
    region: Option<&str>,
) -> (Option<String>, Result<Credentials, CredentialsError>) {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    let config = loader.load().await;
    let found = match (profile, config.credentials_provider()) {
        // The default chain would take keys of the environment first.
        (Some(profile), _) => {
            let region = config.region().cloned();
            let of_calls = ProviderConfig::without_region().with_http_client(http).with_region(region);
            let provider = ProfileFileCredentialsProvider::builder().configure(&of_calls);
            provider.profile_name(profile).build().provide_credentials().await
        }
        (None, Some(provider)) => provider.provide_credentials().await,
        (None, None) => Err(CredentialsError::not_loaded_no_source()),
    };
    (config.region().map(ToString::to_string), found)
}
