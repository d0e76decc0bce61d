//! The credentials and the Region of the caller, as AWS's SDKs find them: in the
//! environment, in profiles (keys, roles, single sign-on, `aws login`, processes), and
//! from containers and instances.
//!
//! Single sign-on and roles give keys for an hour, and `ecsrunner ui` runs for longer. So clients ask again when a key
//! is about to expire. A Lambda does not come here: its credentials are in its environment.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

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
/// How long before its end a key is replaced. The SDK's clients begin 10 seconds before.
const RESERVE: Duration = Duration::from_secs(30);
/// How long a key is used that does not say when it expires; the SDK's own default.
const UNKNOWN: Duration = Duration::from_secs(15 * 60);

/// Who calls AWS, and where.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The key that was found first.
    pub access_key: AccessKey,
    /// Finds the same caller's keys, also later.
    pub credentials: SharedCredentialsProvider,
    pub region: String,
}

/// Gives the last key until shortly before it expires, and then asks for a new one.
#[derive(Debug)]
struct Renewed {
    /// The key, and when to ask for another.
    last: Mutex<(Credentials, SystemTime)>,
    provider: SharedCredentialsProvider,
}

impl Renewed {
    fn new(first: Credentials, provider: SharedCredentialsProvider) -> Self {
        let until = until(&first, SystemTime::now());
        Self { last: Mutex::new((first, until)), provider }
    }

    fn last(&self) -> Option<Credentials> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        (SystemTime::now() < last.1).then(|| last.0.clone())
    }

    async fn renew(&self) -> Result<Credentials, CredentialsError> {
        let found = self.provider.provide_credentials().await?;
        let until = until(&found, SystemTime::now());
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = (found.clone(), until);
        Ok(found)
    }
}

/// When to ask for another key. Files with keys do not say when they expire, so they are read again at times.
fn until(key: &Credentials, now: SystemTime) -> SystemTime {
    let end = key.expiry().map_or_else(|| now.checked_add(UNKNOWN), |end| end.checked_sub(RESERVE));
    end.unwrap_or(now)
}

impl ProvideCredentials for Renewed {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        match self.last() {
            Some(last) => Provided::ready(Ok(last)),
            None => Provided::new(self.renew()),
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
    let credentials = SharedCredentialsProvider::new(Renewed::new(found, provider));
    Ok(Caller { access_key, credentials, region })
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Gives numbered keys that are valid for so long.
    #[derive(Debug)]
    struct Numbered(AtomicU32, Option<Duration>);

    impl Numbered {
        fn next(&self) -> Credentials {
            let end = self.1.and_then(|long| SystemTime::now().checked_add(long));
            let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            Credentials::new(format!("AKID{number}"), "s", None, end, "test")
        }
    }

    impl ProvideCredentials for Numbered {
        fn provide_credentials<'a>(&'a self) -> Provided<'a>
        where
            Self: 'a,
        {
            Provided::ready(Ok(self.next()))
        }
    }

    /// The keys of three calls in a row.
    async fn keys(valid: Option<Duration>) -> [String; 3] {
        let numbered = Numbered(AtomicU32::new(0), valid);
        let first = numbered.next();
        let renewed = Renewed::new(first, SharedCredentialsProvider::new(numbered));
        let key = async || renewed.provide_credentials().await.unwrap().access_key_id().to_owned();
        [key().await, key().await, key().await]
    }

    #[tokio::test]
    async fn a_key_is_used_until_it_nears_its_end() {
        let secs = Duration::from_secs;
        assert_eq!(keys(Some(secs(3600))).await, ["AKID1"; 3], "no call is made for nothing");
        assert_eq!(keys(Some(secs(20))).await, ["AKID2", "AKID3", "AKID4"]);
        assert_eq!(keys(None).await, ["AKID1"; 3]);
    }

    #[test]
    fn a_key_without_an_end_is_read_again_at_times() {
        let now = SystemTime::UNIX_EPOCH;
        let key = Credentials::new("AKID", "s", None, None, "test");
        assert_eq!(until(&key, now).duration_since(now).unwrap(), UNKNOWN);
    }
}
