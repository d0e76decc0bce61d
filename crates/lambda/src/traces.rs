//! Exports the traces of jobs that are over, when an invocation has done everything else.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ecsrunner_aws::connection::Connection;
use ecsrunner_aws::secrets::HeadersSecret;
use ecsrunner_engine::chain;
use ecsrunner_engine::metrics::Metric;
use ecsrunner_engine::traces::Finished;
use ecsrunner_traces::{Exporter, Origin, TOTAL_LIMIT};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use crate::control_plane::Desk;
use crate::environment::Environment;

/// The time before the function's timeout by which every export ends.
const MARGIN: SignedDuration = SignedDuration::from_millis(500);
/// How long nothing is sent after an endpoint did not answer: waiting for it takes time of each invocation.
const REST: SignedDuration = SignedDuration::from_secs(60);

/// Where traces go. It outlives an invocation.
#[derive(Debug)]
pub(crate) struct Traces {
    exporter: Exporter,
    headers: Option<HeadersSecret>,
    rest: Rest,
}

/// Until when nothing is sent.
#[derive(Default, Debug)]
struct Rest(Mutex<Option<Timestamp>>);

impl Rest {
    fn begin(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now + REST);
    }

    fn goes_on(&self, now: Timestamp) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| now < until)
    }
}

/// Returns how long an export may take if the function ends at `deadline`.
fn time_left(now: Timestamp, deadline: Timestamp) -> Duration {
    Duration::try_from((deadline - MARGIN).duration_since(now)).unwrap_or_default().min(TOTAL_LIMIT)
}

impl Traces {
    /// Returns `None` if no endpoint is set. It connects to nothing yet.
    pub(crate) fn new(environment: &Environment, connection: &Connection) -> Option<Self> {
        let endpoint = environment.traces.clone()?;
        let origin = Origin::new(environment.deployment.clone(), &environment.github_api.to_string());
        let headers = environment.otlp_headers_secret.as_deref();
        match Exporter::new(endpoint, origin, Some(&connection.tls())) {
            Ok(exporter) => {
                let headers = headers.map(|secret| HeadersSecret::new(connection, secret));
                Some(Self { exporter, headers, rest: Rest::default() })
            }
            Err(error) => {
                error!(error = %chain(&error), "no traces are exported");
                None
            }
        }
    }

    /// Exports the jobs that this invocation found to be over, within two seconds and well before `deadline`, or drops
    /// them.
    pub(crate) async fn export(&self, desk: &Desk, deadline: Timestamp) {
        let pending = desk.engine.pending_traces();
        if pending == 0 {
            return;
        }
        let until = Instant::now() + time_left(Timestamp::now(), deadline);
        let dropped = match timeout_at(until, desk.engine.take_finished()).await {
            Ok(finished) => self.send(&finished, until).await,
            Err(_) => {
                warn!(dropped = pending, "traces were dropped: their records could not be read in time");
                pending
            }
        };
        for _ in 0..dropped {
            desk.engine.metrics().count(Metric::TracesDropped);
        }
    }

    /// Returns how many jobs were dropped.
    async fn send(&self, finished: &[Finished], until: Instant) -> usize {
        let now = Timestamp::now();
        if finished.is_empty() {
            return 0;
        }
        if self.rest.goes_on(now) {
            info!(
                dropped = finished.len(),
                "traces were dropped: the endpoint did not answer a short time ago"
            );
            return finished.len();
        }
        let exporter = match timeout_at(until, self.with_headers()).await {
            Ok(Some(exporter)) => exporter,
            Ok(None) => return finished.len(),
            Err(_) => {
                let dropped = finished.len();
                warn!(dropped, "traces were dropped: Secrets Manager did not answer in time");
                return dropped;
            }
        };
        let exported = exporter.export(finished, until).await;
        if exported.is_late {
            self.rest.begin(now);
        }
        exported.dropped
    }

    /// Returns `None` if the headers cannot be read: without them, the endpoint would refuse.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_ends_before_the_function_does_and_takes_two_seconds_at_most() {
        let now = Timestamp::UNIX_EPOCH;
        let left = |millis| time_left(now, now + SignedDuration::from_millis(millis)).as_millis();
        assert_eq!([60_000, 1500, 400, -5].map(left), [2000, 1000, 0, 0]);
    }

    #[test]
    fn nothing_is_sent_for_a_minute_after_an_endpoint_did_not_answer() {
        let (rest, now) = (Rest::default(), Timestamp::UNIX_EPOCH);
        assert!(!rest.goes_on(now));
        rest.begin(now);
        let after = |secs| rest.goes_on(now + SignedDuration::from_secs(secs));
        assert_eq!([0, 59, 60].map(after), [true, true, false]);
    }
}
