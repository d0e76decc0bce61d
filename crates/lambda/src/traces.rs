//! Exports the traces of jobs that are over, when an invocation has done everything else.

use ecsrunner_aws::connection::Connection;
use ecsrunner_aws::secrets::HeadersSecret;
use ecsrunner_engine::chain;
use ecsrunner_engine::metrics::Metric;
use ecsrunner_traces::{Exporter, Origin, TOTAL_LIMIT};
use jiff::Timestamp;
use tracing::{error, warn};

use crate::control_plane::Desk;
use crate::environment::Environment;

/// Where traces go.
#[derive(Debug)]
pub(crate) struct Traces {
    exporter: Exporter,
    headers: Option<HeadersSecret>,
}

impl Traces {
    /// Returns `None` if no endpoint is set. It connects to nothing yet.
    pub(crate) fn new(environment: &Environment, connection: &Connection) -> Option<Self> {
        let endpoint = environment.traces.clone()?;
        let origin = Origin::new(environment.deployment.clone(), &environment.github_api.to_string());
        let headers = environment.otlp_headers_secret.as_deref();
        match Exporter::new(endpoint, origin, Some(&connection.tls())) {
            Ok(exporter) => {
                Some(Self { exporter, headers: headers.map(|secret| HeadersSecret::new(connection, secret)) })
            }
            Err(error) => {
                error!(error = %chain(&error), "no traces are exported");
                None
            }
        }
    }

    /// Exports the jobs that this invocation found to be over, within two seconds, or drops them.
    pub(crate) async fn export(&self, desk: &Desk) {
        let pending = desk.engine.pending_traces();
        if pending == 0 {
            return;
        }
        let exported = tokio::time::timeout(TOTAL_LIMIT, async {
            let finished = desk.engine.take_finished().await;
            if finished.is_empty() {
                return 0;
            }
            match self.with_headers().await {
                Some(exporter) => exporter.export(&finished).await,
                None => finished.len(),
            }
        });
        let dropped = exported.await.unwrap_or_else(|_| {
            warn!(dropped = pending, "traces were dropped: there was no time left for them");
            pending
        });
        for _ in 0..dropped {
            desk.engine.metrics().count(Metric::TracesDropped);
        }
    }

    /// Returns `None` if the headers cannot be had: without them, the endpoint would refuse.
    async fn with_headers(&self) -> Option<Exporter> {
        let Some(secret) = &self.headers else { return Some(self.exporter.clone()) };
        let words = match secret.headers(Timestamp::now()).await {
            Ok(headers) => match self.exporter.with_headers(&headers) {
                Ok(exporter) => return Some(exporter),
                Err(error) => chain(&error),
            },
            Err(error) => chain(&error),
        };
        warn!(error = words, "traces were dropped: the headers of the OTLP endpoint cannot be used");
        None
    }
}
