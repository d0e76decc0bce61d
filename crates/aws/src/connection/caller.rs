//! The credentials and the Region of the caller, as AWS's SDKs find them: in the
//! environment, in profiles (keys, roles, single sign-on, `aws login`, processes), and
//! from containers and instances.
//!
//! Single sign-on and roles give keys for an hour, and `ecsrunner ui` runs for longer. So clients ask again when a key
//! is about to expire. A Lambda does not come here: its credentials are in its environment.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
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
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use secrecy::SecretString;

use super::http::Http;
use super::{AccessKey, ConnectionError, tls};

/// How long finding credentials may take: single sign-on and roles make calls.
pub(super) const LIMIT: Duration = Duration::from_secs(30);
/// How long before its end a key is replaced.
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

/// Asks for a key, once for all calls that wait for it.
type Renewal = Shared<BoxFuture<'static, Result<Credentials, Words>>>;

/// Gives the last key until shortly before it expires, and then asks for a new one. No client keeps another copy.
#[derive(Debug)]
struct Renewed {
    state: Mutex<State>,
    provider: SharedCredentialsProvider,
}

#[derive(Debug)]
struct State {
    last: Credentials,
    /// When to ask for another.
    until: SystemTime,
    /// It stays if a call gives up, and the next one goes on with it.
    renewal: Option<Renewal>,
}

impl Renewed {
    fn new(first: Credentials, provider: SharedCredentialsProvider) -> Self {
        let until = until(&first, SystemTime::now());
        Self { state: Mutex::new(State { last: first, until, renewal: None }), provider }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self) -> Renewal {
        let provider = self.provider.clone();
        let asking = async move {
            let found = tokio::time::timeout(LIMIT, provider.provide_credentials()).await;
            let late = |_| Words(format!("no new AWS credentials within {} s", LIMIT.as_secs()));
            found.map_err(late)?.map_err(|error| Words(chain(&error)))
        };
        asking.boxed().shared()
    }

    async fn renewed(&self, renewal: Renewal) -> Result<Credentials, CredentialsError> {
        let found = renewal.clone().await;
        let mut state = self.state();
        // The first call that has waited for it keeps the key.
        if state.renewal.as_ref().is_some_and(|own| own.ptr_eq(&renewal)) {
            state.renewal = None;
            if let Ok(found) = &found {
                state.until = until(found, SystemTime::now());
                state.last = found.clone();
            }
        }
        found.map_err(CredentialsError::provider_error)
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
        let mut state = self.state();
        if SystemTime::now() < state.until {
            return Provided::ready(Ok(state.last.clone()));
        }
        let renewal = state.renewal.get_or_insert_with(|| self.ask()).clone();
        Provided::new(self.renewed(renewal))
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
#[derive(Clone, Debug, thiserror::Error)]
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::super::{Connection, Environment, Service};
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

    /// Gives a key when it is told to.
    #[derive(Debug)]
    struct Slow {
        asked: Arc<AtomicU32>,
        go: Arc<Notify>,
    }

    impl ProvideCredentials for Slow {
        fn provide_credentials<'a>(&'a self) -> Provided<'a>
        where
            Self: 'a,
        {
            self.asked.fetch_add(1, Ordering::Relaxed);
            Provided::new(async {
                self.go.notified().await;
                Ok(Credentials::new("AKID2", "s", None, None, "test"))
            })
        }
    }

    #[tokio::test]
    async fn a_renewal_is_one_for_all_calls_and_outlives_those_that_give_up() {
        let (asked, go): (Arc<AtomicU32>, Arc<Notify>) = Default::default();
        let slow = Slow { asked: Arc::clone(&asked), go: Arc::clone(&go) };
        let expired = Credentials::new("AKID1", "s", None, Some(SystemTime::UNIX_EPOCH), "test");
        let renewed = Renewed::new(expired, SharedCredentialsProvider::new(slow));
        for _ in 0..3 {
            let given_up = renewed.provide_credentials().now_or_never();
            assert!(given_up.is_none());
        }
        go.notify_one();
        let (first, second) = tokio::join!(renewed.provide_credentials(), renewed.provide_credentials());
        assert_eq!([first, second].map(|found| found.unwrap().access_key_id().to_owned()), ["AKID2"; 2]);
        assert_eq!(renewed.provide_credentials().await.unwrap().access_key_id(), "AKID2");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn after_a_renewal_that_fails_the_next_call_asks_again() {
        #[derive(Debug)]
        struct Failing(AtomicU32);

        impl ProvideCredentials for Failing {
            fn provide_credentials<'a>(&'a self) -> Provided<'a>
            where
                Self: 'a,
            {
                let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
                Provided::ready(Err(CredentialsError::provider_error(format!("sign in, {number}"))))
            }
        }
        let expired = Credentials::new("AKID1", "s", None, Some(SystemTime::UNIX_EPOCH), "test");
        let renewed = Renewed::new(expired, SharedCredentialsProvider::new(Failing(AtomicU32::new(0))));
        for number in 1..3 {
            let words = chain(&renewed.provide_credentials().await.unwrap_err());
            assert!(words.contains(&format!("sign in, {number}")), "{words}");
        }
    }

    #[test]
    fn a_call_of_a_caller_has_time_for_a_renewal() {
        for service in [Service::DynamoDb, Service::Ecs, Service::Lambda, Service::Ssm] {
            let (plain, of_caller) = (service.timeouts(Duration::ZERO), service.timeouts(LIMIT));
            let [plain, of_caller] =
                [plain, of_caller].map(|limits| limits.operation_attempt_timeout().unwrap());
            assert_eq!(of_caller, plain + LIMIT, "{service:?}");
        }
        let environment = |name: &str| {
            Some(match name {
                "AWS_REGION" => "eu-west-1".to_owned(),
                "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => "AKIA".to_owned(),
                _ => return None,
            })
        };
        let environment = Environment::read(environment).unwrap();
        let credentials = SharedCredentialsProvider::new(Credentials::new("AKIA", "s", None, None, "test"));
        let connection = Connection::of_caller(environment, credentials).unwrap();
        let limits = connection.dynamodb().config().timeout_config().unwrap().clone();
        assert!(limits.operation_attempt_timeout().unwrap() > LIMIT, "{limits:?}");
        assert!(limits.operation_timeout().unwrap() > LIMIT, "{limits:?}");
    }

    #[test]
    fn a_key_without_an_end_is_read_again_at_times() {
        let now = SystemTime::UNIX_EPOCH;
        let key = Credentials::new("AKID", "s", None, None, "test");
        assert_eq!(until(&key, now).duration_since(now).unwrap(), UNKNOWN);
    }
}
