//! The HTTP client that all clients of the SDK share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector as SdkConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

use super::{Calls, Service};

/// How long a TCP connection may take.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// How long an idle connection is kept. This is less than at AWS's endpoints, so
/// a request is seldom sent on a connection that is just being closed.
const IDLE_LIMIT: Duration = Duration::from_secs(20);

type Pool = Client<HttpsConnector<HttpConnector>, SdkBody>;

/// The pool of connections.
pub(super) struct Http(Pool);

impl Http {
    pub(super) fn new(tls: &ClientConfig) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_LIMIT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.clone())
            // Stand-ins on this machine use plain HTTP.
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let pool = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_LIMIT)
            .build(connector);
        Self(pool)
    }

    /// The client for one service: it uses the shared pool and counts the calls.
    pub(super) fn client(&self, service: Service, calls: &Arc<Calls>) -> SharedHttpClient {
        self.counting(Some((service, Arc::clone(calls))))
    }

    /// The client for finding credentials, whose calls are not counted.
    #[cfg(feature = "operate")]
    pub(super) fn plain(&self) -> SharedHttpClient {
        self.counting(None)
    }

    /// Sends a request that no client of the SDK makes.
    #[cfg(feature = "operate")]
    pub(super) async fn send(
        &self,
        request: http::Request<SdkBody>,
    ) -> Result<http::Response<SdkBody>, hyper_util::client::legacy::Error> {
        Ok(self.0.request(request).await?.map(SdkBody::from_body_1_x))
    }

    fn counting(&self, calls: Option<(Service, Arc<Calls>)>) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(Counted { pool: self.0.clone(), calls });
        // The operation and the pool limit the time, so the settings here are ignored.
        http_client_fn(move |_settings: &HttpConnectorSettings, _components: &RuntimeComponents| {
            connector.clone()
        })
    }
}

struct Counted {
    pool: Pool,
    /// Where calls are counted, and as which service's.
    calls: Option<(Service, Arc<Calls>)>,
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "connector of {}",
            self.calls.as_ref().map_or("any service", |(service, _)| service.prefix())
        )
    }
}

impl SdkConnector for Counted {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if let Some((service, calls)) = &self.calls {
            // These services use AWS's JSON protocols, which name the operation here.
            let target = request.headers().get("x-amz-target").unwrap_or_default();
            calls.record(*service, target.rsplit('.').next().unwrap_or_default());
        }
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        let answer = self.pool.request(request);
        HttpConnectorFuture::new(async move {
            // Any error here may be transient. The SDK retries I/O errors.
            let answer = answer.await.map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}
