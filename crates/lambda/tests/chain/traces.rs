//! Traces of jobs, as a collector gets them from the function.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;

use crate::chain::Chain;
use crate::eventually;

/// The secret with the endpoint's headers, and what it holds.
pub(crate) const HEADERS_SECRET: &str = "ecsrunner/chain/otlp";
pub(crate) const HEADERS: &str = "x-collector-key=the-key-of-the-collector";

/// An OTLP endpoint. It refuses the first request, and takes all others.
pub(crate) struct Collector {
    url: String,
    got: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let got: Arc<Mutex<Vec<_>>> = Arc::default();
        let keep = Arc::clone(&got);
        let take = async move |headers: HeaderMap, body: Bytes| {
            let mut got = keep.lock().unwrap_or_else(PoisonError::into_inner);
            got.push((headers, body));
            if got.len() == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
        };
        let app = Router::new().route("/v1/traces", post(take));
        // It ends with the test's runtime.
        drop(tokio::spawn(async move { axum::serve(listener, app).await }));
        Self { url, got }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the requests that were taken.
    fn taken(&self) -> Vec<ExportTraceServiceRequest> {
        let got = self.got.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, expected) = HEADERS.split_once('=').unwrap();
        for (headers, _) in got.iter() {
            assert_eq!(headers["x-collector-key"], expected);
            assert_eq!(headers["content-type"], "application/x-protobuf");
        }
        got.iter().skip(1).map(|(_, body)| ExportTraceServiceRequest::decode(body.clone()).unwrap()).collect()
    }

    /// Returns the spans that were taken.
    fn spans(&self) -> Vec<Span> {
        let of_scopes = self.taken().into_iter().flat_map(|request| request.resource_spans);
        of_scopes.flat_map(|spans| spans.scope_spans).flat_map(|spans| spans.spans).collect()
    }
}

/// The job of this runner is one trace, with the parts that its agent told at its end.
pub(crate) async fn a_job_is_one_trace(chain: &Chain, runner: &str) {
    let spans = eventually("the agent's part of the trace", async || {
        let spans = chain.collector.spans();
        let trace =
            spans.iter().find(|span| text(span, "cicd.worker.name") == Some(runner))?.trace_id.clone();
        let of_job: Vec<Span> = spans.into_iter().filter(|span| span.trace_id == trace).collect();
        of_job.iter().any(|span| span.name == "session").then_some(of_job)
    })
    .await;
    let root = spans.iter().find(|span| span.parent_span_id.is_empty()).unwrap();
    assert_eq!(text(root, "cicd.pipeline.task.run.result"), Some("success"), "{root:?}");
    for name in ["webhook", "launch", "boot", "run", "clean_up", "container", "listener", "assignment"] {
        let span = spans.iter().find(|span| span.name == name);
        let span = span.unwrap_or_else(|| panic!("no span `{name}`: {spans:#?}"));
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
        let parent = spans.iter().find(|parent| parent.span_id == span.parent_span_id);
        assert!(parent.is_some(), "`{name}` has no parent: {spans:#?}");
    }
}

/// What the collector refused was told and counted, and the jobs were none the worse.
pub(crate) async fn a_trace_that_was_refused_is_counted(chain: &Chain) {
    let logs = chain.logs().await;
    let told = logs.said("traces were dropped");
    assert!(
        told.iter().any(|line| line["error"].as_str().is_some_and(|it| it.contains("answered 503"))),
        "{told:?}"
    );
    assert!(logs.sum("TracesDropped") >= 1.0, "{told:?}");
    assert!(!chain.collector.taken().is_empty());
}

fn text<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}
