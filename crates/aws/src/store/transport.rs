//! The transport to an embedded implementation of DynamoDB, without a network.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

/// Answers requests in DynamoDB's JSON protocol.
pub trait Transport: Send + Sync + 'static {
    /// `operation` is the last part of `X-Amz-Target`, such as `PutItem`.
    fn call(&self, operation: &str, body: &[u8]) -> impl Future<Output = Answer> + Send;
}

/// An answer in DynamoDB's JSON protocol.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

struct Connector<T>(Arc<T>);

impl<T> fmt::Debug for Connector<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl<T: Transport> HttpConnector for Connector<T> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let transport = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default();
            let body = request.body().bytes().unwrap_or_default();
            let answer = transport.call(operation, body).await;
            let status = aws_smithy_runtime_api::http::StatusCode::try_from(answer.status)
                .map_err(|error| ConnectorError::other(error.into(), None))?;
            Ok(HttpResponse::new(status, SdkBody::from(answer.body)))
        })
    }
}

pub(super) fn http_client(transport: impl Transport) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(Connector(Arc::new(transport)));
    http_client_fn(move |_settings: &HttpConnectorSettings, _components: &RuntimeComponents| {
        connector.clone()
    })
}
