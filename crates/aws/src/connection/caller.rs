//! The credentials and the Region of the caller, as AWS's SDKs find them: in the
//! environment, in profiles (keys, roles, single sign-on, `aws login`, processes), and
//! from containers and instances.
//!
//! Commands run for minutes, so the credentials are resolved once. A Lambda does not
//! come here: its credentials are in its environment.

use std::path::Path;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use ecsrunner_engine::chain;
use secrecy::SecretString;

use super::http::Http;
use super::{AccessKey, ConnectionError, tls};

/// How long finding credentials may take: single sign-on and roles make calls.
const LIMIT: Duration = Duration::from_secs(30);
/// The Region of calls for credentials, where none is configured: the services that answer them are in each Region.
const ANY_REGION: &str = "us-east-1";

/// Who calls AWS, and where.
#[derive(Clone, Debug)]
pub struct Caller {
    pub access_key: AccessKey,
    /// `None` if neither the environment nor the profile names one.
    pub region: Option<String>,
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
/// There are no credentials, or they have expired.
pub async fn find(
    profile: Option<&str>,
    region: Option<&str>,
    ca_bundle: Option<&Path>,
) -> Result<Caller, CallerError> {
    let http = Http::new(&tls::config(ca_bundle)?).plain();
    let region = match region {
        Some(region) => Some(region.to_owned()),
        None => configured_region(profile).await,
    };
    let near = aws_config::Region::new(region.clone().unwrap_or_else(|| ANY_REGION.to_owned()));
    let credentials = async {
        match profile {
            Some(name) => {
                let config = ProviderConfig::without_region().with_http_client(http).with_region(Some(near));
                let provider = ProfileFileCredentialsProvider::builder().configure(&config);
                provider.profile_name(name).build().provide_credentials().await
            }
            None => {
                let timeouts = TimeoutConfig::builder().operation_timeout(LIMIT).build();
                let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
                let config = loader.region(near).timeout_config(timeouts).load().await;
                match config.credentials_provider() {
                    Some(provider) => provider.provide_credentials().await,
                    None => Err(CredentialsError::not_loaded_no_source()),
                }
            }
        }
    };
    let named = || profile.map(str::to_owned);
    let found = tokio::time::timeout(LIMIT, credentials).await.map_err(|_| CallerError::Late(named()))?;
    let found =
        found.map_err(|error| CallerError::None { profile: named(), source: Words(chain(&error)) })?;
    let access_key = AccessKey {
        id: found.access_key_id().to_owned(),
        secret: SecretString::from(found.secret_access_key()),
        session_token: found.session_token().map(SecretString::from),
    };
    Ok(Caller { access_key, region })
}

async fn configured_region(profile: Option<&str>) -> Option<String> {
    let region = match profile {
        Some(name) => ProfileFileRegionProvider::builder().profile_name(name).build().region().await,
        None => aws_config::default_provider::region::default_provider().region().await,
    };
    region.map(|region| region.to_string())
}
