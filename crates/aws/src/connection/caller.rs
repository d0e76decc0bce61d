//! The credentials and the Region of the caller, as AWS's SDKs find them: in the
//! environment, in profiles (keys, roles, single sign-on, `aws login`, processes), and
//! from containers and instances.
//!
//! Single sign-on and roles give keys for an hour, and `ecsrunner ui` runs for longer. So clients ask again when a key
//! is about to expire. A Lambda does not come here: its credentials are in its environment.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as Provided;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use ecsrunner_engine::chain;
use secrecy::SecretString;

use super::http::Http;
use super::{AccessKey, ConnectionError, tls};

/// How long finding credentials may take: single sign-on and roles make calls.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// Who calls AWS, and where.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The key that was found first.
    pub access_key: AccessKey,
    /// Finds the same caller's keys, also later.
    pub credentials: SharedCredentialsProvider,
    pub region: String,
}

/// Gives the first key, which was found already, and then asks for new ones.
#[derive(Debug)]
struct Renewed {
    first: Mutex<Option<Credentials>>,
    provider: SharedCredentialsProvider,
}

impl ProvideCredentials for Renewed {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        match self.first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(first) => Provided::ready(Ok(first)),
            None => self.provider.provide_credentials(),
        }
    }
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
    let none = |error| CallerError::None { profile: named(), source: Words(chain(&error)) };
    let finding = async {
        let (region, provider) = chain_of(http, profile, region).await;
        let region = region.ok_or(CallerError::NoRegion)?;
        let provider = provider.ok_or_else(|| none(CredentialsError::not_loaded_no_source()))?;
        let found = provider.provide_credentials().await.map_err(none)?;
        Ok::<_, CallerError>((region, provider, found))
    };
    let found = tokio::time::timeout(LIMIT, finding).await;
    let (region, provider, found) = found.map_err(|_| CallerError::Late(named()))??;
    let access_key = AccessKey {
        id: found.access_key_id().to_owned(),
        secret: SecretString::from(found.secret_access_key()),
        session_token: found.session_token().map(SecretString::from),
    };
    let credentials = Renewed { first: Mutex::new(Some(found)), provider };
    Ok(Caller { access_key, credentials: SharedCredentialsProvider::new(credentials), region })
}

/// Returns the configured Region, and where the caller's keys come from.
async fn chain_of(
    http: SharedHttpClient,
    profile: Option<&str>,
    region: Option<&str>,
) -> (Option<String>, Option<SharedCredentialsProvider>) {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    let config = loader.load().await;
    let provider = match profile {
        // The default chain would take keys of the environment first.
        Some(profile) => {
            let region = config.region().cloned();
            let of_calls = ProviderConfig::without_region().with_http_client(http).with_region(region);
            let provider = ProfileFileCredentialsProvider::builder().configure(&of_calls);
            Some(SharedCredentialsProvider::new(provider.profile_name(profile).build()))
        }
        None => config.credentials_provider(),
    };
    (config.region().map(ToString::to_string), provider)
}
