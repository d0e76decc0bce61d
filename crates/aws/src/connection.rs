//! The connection to AWS: one connection pool, one TLS configuration, and the
//! clients that share them.
//!
//! A Lambda starts on a fraction of a core. So no certificates are loaded from the
//! system, no profile is read, and a client is created at its first use.

mod calls;
#[cfg(feature = "operate")]
pub mod caller;
mod environment;
mod http;
#[cfg(feature = "operate")]
mod query;
mod service;
#[cfg(feature = "operate")]
mod throttled;
mod tls;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::IdentityCache;
use rustls::ClientConfig;
use secrecy::ExposeSecret;

pub use calls::Calls;
pub use environment::{AccessKey, Environment, EnvironmentError, VARIABLES, Variable};
pub use service::Service;

use crate::partition;
use http::Http;

/// The clients of one process. A clone shares the connection.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    environment: Environment,
    credentials: SharedCredentialsProvider,
    /// How much longer a call may take, so that its key can be renewed within.
    renewal_limit: Duration,
    tls: Arc<ClientConfig>,
    http: Http,
    calls: Arc<Calls>,
    dynamodb: OnceLock<aws_sdk_dynamodb::Client>,
    #[cfg(feature = "operate")]
    logs: OnceLock<aws_sdk_cloudwatchlogs::Client>,
    code_build: OnceLock<aws_sdk_codebuild::Client>,
    ecr: OnceLock<aws_sdk_ecr::Client>,
    #[cfg(feature = "operate")]
    lambda: OnceLock<aws_sdk_lambda::Client>,
    #[cfg(feature = "operate")]
    service_quotas: OnceLock<aws_sdk_servicequotas::Client>,
    ecs: OnceLock<aws_sdk_ecs::Client>,
    ssm: OnceLock<aws_sdk_ssm::Client>,
    secrets_manager: OnceLock<aws_sdk_secretsmanager::Client>,
    sqs: OnceLock<aws_sdk_sqs::Client>,
}

/// The connection cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The file cannot be read.
    #[error("AWS_CA_BUNDLE names `{}`, which cannot be read", path.display())]
    Bundle {
        path: PathBuf,
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The file has no certificate, or one that cannot be used.
    #[error("AWS_CA_BUNDLE names `{}`: {fault}", path.display())]
    Certificate {
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// The cryptographic library supports no usable TLS version.
    #[error("no TLS configuration can be made")]
    Tls(#[source] rustls::Error),
}

/// Builds a client of the SDK. The clients have different types and the same settings.
macro_rules! client {
    ($sdk:ident, $inner:expr, $service:expr) => {{
        let (inner, service): (&Inner, Service) = ($inner, $service);
        let mut config = $sdk::Config::builder()
            .behavior_version($sdk::config::BehaviorVersion::latest())
            .region($sdk::config::Region::new(inner.environment.region.clone()))
            .credentials_provider(inner.credentials.clone())
            // A key of the environment does not change, and the caller's are kept where they are renewed.
            .identity_cache(IdentityCache::no_cache())
            .stalled_stream_protection($sdk::config::StalledStreamProtectionConfig::disabled())
            .retry_config(service.retries())
            .timeout_config(service.timeouts(inner.renewal_limit))
            .http_client(inner.http.client(service, &inner.calls));
        #[cfg(feature = "operate")]
        config.push_interceptor(throttled::notes(service));
        config.set_endpoint_url(inner.environment.endpoint(service).map(str::to_owned));
        $sdk::Client::from_conf(config.build())
    }};
}

impl Connection {
    /// Creates the clients' settings. Opens no connection yet.
    ///
    /// # Errors
    ///
    /// `AWS_CA_BUNDLE` names a file that cannot be used.
    pub fn new(environment: Environment) -> Result<Self, ConnectionError> {
        let credentials = SharedCredentialsProvider::new(credentials(&environment.access_key));
        Self::with(environment, credentials, Duration::ZERO)
    }

    /// Creates the clients' settings, with keys that are renewed before they expire. Opens no connection yet.
    ///
    /// # Errors
    ///
    /// `AWS_CA_BUNDLE` names a file that cannot be used.
    #[cfg(feature = "operate")]
    pub fn of_caller(
        environment: Environment,
        credentials: SharedCredentialsProvider,
    ) -> Result<Self, ConnectionError> {
        Self::with(environment, credentials, caller::LIMIT)
    }

    fn with(
        environment: Environment,
        credentials: SharedCredentialsProvider,
        renewal_limit: Duration,
    ) -> Result<Self, ConnectionError> {
        let tls = Arc::new(tls::config(environment.ca_bundle.as_deref())?);
        Ok(Self(Arc::new(Inner {
            credentials,
            renewal_limit,
            http: Http::new(&tls),
            tls,
            calls: Arc::default(),
            dynamodb: OnceLock::new(),
            #[cfg(feature = "operate")]
            logs: OnceLock::new(),
            code_build: OnceLock::new(),
            ecr: OnceLock::new(),
            #[cfg(feature = "operate")]
            lambda: OnceLock::new(),
            #[cfg(feature = "operate")]
            service_quotas: OnceLock::new(),
            ecs: OnceLock::new(),
            ssm: OnceLock::new(),
            secrets_manager: OnceLock::new(),
            sqs: OnceLock::new(),
            environment,
        })))
    }

    /// The TLS configuration, for clients of other services. It is created once,
    /// and its sessions are shared. It offers no protocol by ALPN.
    #[must_use]
    pub fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0.tls)
    }

    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> &Calls {
        &self.0.calls
    }

    #[must_use]
    pub fn region(&self) -> &str {
        &self.0.environment.region
    }

    /// The key of the environment, which is not renewed.
    pub(crate) fn credentials(&self) -> Credentials {
        credentials(&self.0.environment.access_key)
    }

    /// Whether the environment names a service's URL.
    pub(crate) fn names_endpoint(&self, service: Service) -> bool {
        self.0.environment.endpoint(service).is_some()
    }

    /// A service's URL, as the SDK knows the Region's partition.
    #[must_use]
    pub fn endpoint(&self, service: Service) -> String {
        if let Some(named) = self.0.environment.endpoint(service) {
            return named.to_owned();
        }
        let region = self.region();
        format!("https://{}.{region}.{}", service.prefix(), partition::domain(region))
    }

    pub(crate) fn dynamodb(&self) -> &aws_sdk_dynamodb::Client {
        self.0.dynamodb.get_or_init(|| client!(aws_sdk_dynamodb, &self.0, Service::DynamoDb))
    }

    #[cfg(feature = "operate")]
    pub(crate) fn logs(&self) -> &aws_sdk_cloudwatchlogs::Client {
        self.0.logs.get_or_init(|| client!(aws_sdk_cloudwatchlogs, &self.0, Service::Logs))
    }

    pub(crate) fn code_build(&self) -> &aws_sdk_codebuild::Client {
        self.0.code_build.get_or_init(|| client!(aws_sdk_codebuild, &self.0, Service::CodeBuild))
    }

    pub(crate) fn ecr(&self) -> &aws_sdk_ecr::Client {
        self.0.ecr.get_or_init(|| client!(aws_sdk_ecr, &self.0, Service::Ecr))
    }

    #[cfg(feature = "operate")]
    pub(crate) fn lambda(&self) -> &aws_sdk_lambda::Client {
        self.0.lambda.get_or_init(|| client!(aws_sdk_lambda, &self.0, Service::Lambda))
    }

    #[cfg(feature = "operate")]
    pub(crate) fn service_quotas(&self) -> &aws_sdk_servicequotas::Client {
        self.0.service_quotas.get_or_init(|| client!(aws_sdk_servicequotas, &self.0, Service::ServiceQuotas))
    }

    pub(crate) fn ecs(&self) -> &aws_sdk_ecs::Client {
        self.0.ecs.get_or_init(|| client!(aws_sdk_ecs, &self.0, Service::Ecs))
    }

    pub(crate) fn ssm(&self) -> &aws_sdk_ssm::Client {
        self.0.ssm.get_or_init(|| client!(aws_sdk_ssm, &self.0, Service::Ssm))
    }

    pub(crate) fn secrets_manager(&self) -> &aws_sdk_secretsmanager::Client {
        self.0
            .secrets_manager
            .get_or_init(|| client!(aws_sdk_secretsmanager, &self.0, Service::SecretsManager))
    }

    pub(crate) fn sqs(&self) -> &aws_sdk_sqs::Client {
        self.0.sqs.get_or_init(|| client!(aws_sdk_sqs, &self.0, Service::Sqs))
    }
}

fn credentials(key: &AccessKey) -> Credentials {
    let token = key.session_token.as_ref().map(|token| token.expose_secret().to_owned());
    Credentials::new(&key.id, key.secret.expose_secret(), token, None, "environment")
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("environment", &self.0.environment).finish_non_exhaustive()
    }
}
